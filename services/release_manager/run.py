"""Carries the state machine's steps out: one observation at a time, from the events and from the clock."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from uuid import NAMESPACE_URL

from aiokafka.errors import KafkaError

from contracts.envelope import Domain, Event, derived_id
from contracts.evaluation import ModelEvaluated
from contracts.release import Phase, ReleaseChanged, ReleaseState
from contracts.topics import RELEASE_CHANGED
from services.release_manager.adapters import Announcement, Held, Snapshot, SnapshotRefs
from services.release_manager.core.effects import (
    Effect,
    Evaluated,
    Observation,
    Publish,
    RequestDeclined,
    Tick,
)
from services.release_manager.core.rollout import advance
from services.release_manager.fence import Fence, Group
from services.release_manager.settings import RolloutRules
from services.release_manager.stopwatch import Stopwatch
from shared.artifacts import ABSENT
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import NotTheWriter, PermanentError, TransientError

UNSETTLED = frozenset({Phase.WARMING, Phase.CANARY, Phase.PROMOTING, Phase.ROLLING_BACK})

log = logging.getLogger(__name__)


class Releases:
    """The releases of all domains.

    A step is: write the state, then publish, then return, which acks. So a crash leaves at most a word unsaid, and that is said
    at the next start, or before the next step. The state is read anew for each step and written by compare and set: a member of
    the group that takes a domain over goes on where the other one stopped, and one that was asleep meanwhile writes nothing.
    """

    def __init__(
        self,
        bus: Bus,
        refs: SnapshotRefs,
        *,
        clock: Clock,
        rules_for: Callable[[Domain], RolloutRules],
        group: Group,
    ) -> None:
        """Carry releases out.

        Args:
            bus: Where changes are published.
            refs: Where the state is kept.
            clock: Stamps, and measures how long a phase lasts.
            rules_for: Limits and times of a domain's rollouts.
            group: Says which domains are this member's; only they are written.
        """
        self._bus = bus
        self._refs = refs
        self._clock = clock
        self._rules_for = rules_for
        self._group = group
        self._fence = Fence(refs, clock)
        self._stopwatch = Stopwatch(clock)
        self._said: dict[Domain, int] = {}
        self._phases: dict[Domain, Phase] = {}
        self._known: set[Domain] = set()
        self._left_out: dict[Domain, str] = {}
        self._listed_in: str | None = None
        # Handlers and the ticker take turns: each step reads, decides and writes.
        self._turn = asyncio.Lock()

    async def observe(self, domain: Domain, observation: Observation) -> bool:
        """Take one step of a domain's state machine.

        Returns:
            Whether it was taken. A domain that another member has by now is left to it; the message comes to that one, too.

        Raises:
            NotTheWriter: It is not settled who has the domain, or another member took it over; come back later.
            RefConflict: Another member was faster; nothing was written or said, and the next attempt sees what it did.
        """
        async with self._turn:
            membership = self._group.membership
            if not self._group.owns(domain):
                self._phases.pop(domain, None)
                log.info("left to the member that has the domain now", extra={"domain": domain})
                return False
            held = await self._fence.passed(domain, await self._refs.load(domain), membership)
            await self._say(domain, held)
            now, passed_s = self._stopwatch.read(domain, held.snapshot.state)
            state, effects = advance(
                held.snapshot.state, observation, now, passed_s=passed_s, rules=self._rules_for(domain)
            )
            self._remember_phase(domain, state)
            if state == held.snapshot.state and not effects:
                return True
            snapshot = _next_snapshot(held.snapshot, state, effects, domain=domain, cause=_cause(observation), now=now)
            held = await self._refs.save(domain, snapshot, after=held)
            self._fence.took(domain, membership)
            self._stopwatch.restart(domain, state)
            self._known.add(domain)
            _log(domain, effects)
            await self._say(domain, held)
        return True

    def busy_with(self) -> str | None:
        """Return the rollout that a pause of the mesh would disturb, or None: one that is loaded, judged or on its way."""
        found = (f"{domain} is {phase}" for domain, phase in self._phases.items() if phase in UNSETTLED)
        return next(found, None)

    def _remember_phase(self, domain: Domain, state: ReleaseState) -> None:
        self._phases.pop(domain, None)
        if state.rollout:
            self._phases[domain] = state.rollout.phase

    async def mark_decided(self, event: ModelEvaluated) -> None:
        """Note that a judgement was taken: what led to it need not be said again, whatever a broker forgets."""
        await self._refs.mark_decided(event)

    async def tick(self) -> None:
        """Look at the clock, for each domain. What a broker or disk refuses now is tried again at the next tick."""
        try:
            await self._list_once(self._group.membership)
            for domain in sorted(self._known):
                if self._group.owns(domain):
                    await self._tick_of(domain)
        except NotTheWriter as error:
            log.debug("tick left out", extra={"reason": str(error)})
        except (TransientError, KafkaError, OSError):
            log.warning("tick put off", exc_info=True)

    async def announce_all(self) -> None:
        """Publish the last change of every domain again: same revision, same event id."""
        async with self._turn:
            for domain in await self._refs.domains():
                try:
                    await self._say(domain, await self._refs.load(domain))
                except PermanentError as error:
                    self._leave_out(domain, error)

    async def state(self, domain: Domain) -> ReleaseState | None:
        """Return a domain's state, or None if nothing is known of the domain."""
        held = await self._refs.load(domain)
        return held.snapshot.state if held.version is not ABSENT else None

    async def _tick_of(self, domain: Domain) -> None:
        try:
            await self.observe(domain, Tick())
        except PermanentError as error:
            self._leave_out(domain, error)
        else:
            self._left_out.pop(domain, None)

    def _leave_out(self, domain: Domain, error: PermanentError) -> None:
        """Say once what keeps a domain from going on; the other domains do not wait for its repair."""
        if self._left_out.get(domain) != str(error):
            self._left_out[domain] = str(error)
            log.error("domain left out", extra={"domain": domain, "reason": str(error), "next_step": error.next_step})

    async def _list_once(self, membership: str) -> None:
        """Learn of domains that another member began, once after each assignment: a listing is dear in an object store."""
        if self._listed_in != membership:
            self._known.update(await self._refs.domains())
            self._listed_in = membership

    async def _say(self, domain: Domain, held: Held) -> None:
        """Publish the last change unless this process has done so, and then what has become the last one meanwhile.

        So the topic ends with the newest change, also if this process slept between reading and publishing.
        """
        while (announcement := held.snapshot.announcement) and self._said.get(
            domain
        ) != announcement.event.state.revision:
            await self._bus.publish(RELEASE_CHANGED, announcement.event, traceparent=announcement.traceparent)
            self._said[domain] = announcement.event.state.revision
            held = await self._refs.load(domain)


def _next_snapshot(
    snapshot: Snapshot,
    state: ReleaseState,
    effects: tuple[Effect, ...],
    *,
    domain: Domain,
    cause: Event | None,
    now: datetime,
) -> Snapshot:
    change = next((effect for effect in effects if isinstance(effect, Publish)), None)
    if change is None:
        return snapshot.model_copy(update={"state": state})
    event = ReleaseChanged(
        event_id=derived_id(NAMESPACE_URL, "plumbline-release", domain, str(state.revision)),
        # What time alone brought about goes back to the judgement that began the rollout.
        causation_id=cause.event_id if cause else change.candidate.evaluation_id,
        occurred_at=now,
        domain=domain,
        cause=change.cause,
        reason=change.reason,
        bundle_digest=change.candidate.bundle_digest,
        phase=change.phase,
        state=state,
    )
    announcement = Announcement(event=event, traceparent=change.candidate.traceparent)
    return snapshot.model_copy(update={"state": state, "announcement": announcement})


def _cause(observation: Observation) -> Event | None:
    match observation:
        case Evaluated():
            return observation.event
        case Tick():
            return None
        case _:
            return observation


def _log(domain: Domain, effects: tuple[Effect, ...]) -> None:
    for effect in effects:
        match effect:
            case Publish():
                log.info(
                    "release changed",
                    extra={
                        "domain": domain,
                        "phase": effect.phase,
                        "cause": effect.cause,
                        "reason": effect.reason,
                        "bundle_digest": effect.candidate.bundle_digest,
                    },
                )
            case RequestDeclined():
                log.warning("rollback declined", extra={"domain": domain, "reason": effect.reason})
            case _:
                log.error("rollback impossible", extra={"domain": domain, "reason": effect.reason})
