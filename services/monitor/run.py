"""The monitor at work: counts what comes in, says once a second what follows from it, and has all of it stored.

Of several members each counts all that is fresh; of a domain only its owner speaks. What is not a member's to say it holds for a
while: should the owner die, the next one says it, with the same ids.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from contracts.api import EventRecord, MeshStatus
from contracts.envelope import Domain, Event
from contracts.monitoring import AlertChanged, AlertState
from contracts.telemetry import MESSAGE_DEAD_LETTERS
from contracts.topics import (
    ALERT_CHANGED,
    BATCH_CLEANED,
    BATCH_RECEIVED,
    BUNDLE_REJECTED,
    MODEL_EVALUATED,
    TRAFFIC_OBSERVED,
    Topic,
)
from services.monitor.core import dead_letters, otlp, status
from services.monitor.core.events import event_of
from services.monitor.core.status import DomainView
from services.monitor.core.traffic import answers_of
from services.monitor.core.watch import Terms, Watch, observe, recall, start, tick
from services.monitor.keeping import Keeper
from shared.bus import Bus
from shared.clock import CautiousClock, Clock
from shared.errors import PermanentError, TransientError
from shared.telemetry import Telemetry
from shared.telemetry_store.records import MetricPoint, TelemetryStore

MAX_UNSAID = 10_000
"""Events that wait while the broker is away, a few minutes of traffic; beyond it the oldest are dropped."""
HOLD = timedelta(seconds=20)
"""So long is remembered what another member should have said: a takeover takes 15 s at most."""
RESTORE_WITHIN_S = 3.0
"""So long does a start wait for the store; then decisions begin without its memory."""
MEMORY = timedelta(days=7)
"""Changes of alerts, and batches, that are older are not restored."""
MAX_RESTORED_POINTS = 10_000
MISDATED_EVERY = timedelta(minutes=1)
"""Points whose time is wrong are spoken of so often: a clock that is off would fill the log."""

log = logging.getLogger(__name__)


class Monitor:
    """What the monitor knows, in memory and in its store.

    Decisions come from memory alone: the store only keeps, for people and for the next start.

    Attributes:
        keeper: Writes what comes in to the store.
    """

    def __init__(self, bus: Bus, store: TelemetryStore, telemetry: Telemetry, *, clock: Clock, terms: Terms) -> None:
        self._bus = bus
        self._store = store
        self._telemetry = telemetry
        self._clock = clock
        self._expiry_clock = CautiousClock(clock)
        self._terms = terms
        self._watch: Watch = start(clock.now(), terms, [])
        self._view: status.View = {}
        self._held: deque[tuple[Topic, Event]] = deque(maxlen=MAX_UNSAID)
        self._unsaid: deque[tuple[Topic, Event]] = deque(maxlen=MAX_UNSAID)
        self._restored_with: int | None = None
        self._dead_letters = dead_letters.DeadLetters()
        self._num_misdated_said = 0
        self._misdated_said_at = clock.now() - MISDATED_EVERY
        self.keeper = Keeper(store, self._dead_letter, check=bus.check_signature, on_kept=self.remember)

    async def restore_soon(self) -> None:
        """Restore if the store answers at once; without it decisions begin all the same."""
        try:
            async with asyncio.timeout(RESTORE_WITHIN_S):
                await self.restore()
        except (TransientError, TimeoutError):
            log.warning("begun without what the telemetry store remembers: it does not answer yet", exc_info=True)
        except PermanentError:
            log.exception("begun without what the telemetry store remembers: it refuses to say")

    async def restore_later(self) -> None:
        """Restore where the store did not answer before, or where this member may have got domains of another one."""
        if self._restored_with != self._bus.num_assignments:
            try:
                await self.restore()
            except TransientError:
                log.debug("not restored yet", exc_info=True)
            except PermanentError:
                # Asked again it would refuse again, once a second.
                self._restored_with = self._bus.num_assignments
                log.exception("not restored: the telemetry store refuses to say what it remembers")

    async def restore(self) -> None:
        """Remember from the event log what was known before the last stop, whether or not the broker remembers."""
        num_assignments = self._bus.num_assignments
        week_ago = self._clock.now() - MEMORY
        records = [
            *await self._store.latest_events(),
            *await self._all_events(MODEL_EVALUATED, None),
            *await self._all_events(ALERT_CHANGED, week_ago),
            *await self._all_events(BUNDLE_REJECTED, week_ago),
            *await self._all_batches(week_ago),
        ]
        points = await self._store.metrics(MESSAGE_DEAD_LETTERS.name, limit=MAX_RESTORED_POINTS)
        self.remember(records, points)
        changes = [change for domain in self._view.values() for change in domain.alerts.values()]
        self._watch = recall(self._watch, self._clock.now(), changes)
        self._restored_with = num_assignments

    def remember(self, records: Sequence[EventRecord], points: Sequence[MetricPoint]) -> None:
        """Take note of what the store holds; what is known already changes nothing."""
        for event in map(event_of, records):
            self._view = status.fold(self._view, event) if event else self._view
        self._dead_letters = dead_letters.count(self._dead_letters, points)

    async def _all_events(self, topic: Topic, after: datetime | UUID | None) -> list[EventRecord]:
        records: list[EventRecord] = []
        while page := await self._store.events(topic=topic.name, after=after):
            records += page
            after = page[-1].event_id
        return records

    async def _all_batches(self, after: datetime) -> list[EventRecord]:
        """Return word of batches; the view knows only the batches cleaned last, so older ones must not seem under way."""
        received = await self._all_events(BATCH_RECEIVED, after)
        cleaned = await self._all_events(BATCH_CLEANED, after)
        cleaned_ids = {record.event.get("batch_id") for record in cleaned}
        return [*cleaned, *(record for record in received if record.event.get("batch_id") not in cleaned_ids)]

    # ---- what comes in

    async def take_event(self, event: Event) -> None:
        """Take note of a lifecycle event."""
        self._view = status.fold(self._view, event)

    async def take_metrics(self, payload: bytes) -> None:
        """Count answers and dead letters."""
        points = otlp.metrics_of(payload)
        answers = answers_of(points, self._terms.latency_limit_ms)
        self._watch = observe(self._watch, answers.points, self._clock.now())
        if answers.refused:
            log.warning("answers not counted", extra={"reasons": sorted(set(answers.refused))})
        self._dead_letters = dead_letters.count(self._dead_letters, points)
        self._say_misdated()

    def _say_misdated(self) -> None:
        now, num_misdated = self._clock.now(), self._watch.windows.num_misdated
        if num_misdated > self._num_misdated_said and now - self._misdated_said_at >= MISDATED_EVERY:
            log.warning(
                "answers not counted: their time is too far from the present, see that the clocks agree",
                extra={"num_points": num_misdated - self._num_misdated_said},
            )
            self._num_misdated_said, self._misdated_said_at = num_misdated, now

    # ---- what is said

    async def tick(self) -> None:
        """Evaluate the seconds that are over, and say what follows. What cannot be said now is said at a later tick."""
        self._watch, said = tick(self._watch, self._terms, self._clock.now())
        self._held.extend((TRAFFIC_OBSERVED, event) for event in said.traffic)
        self._held.extend((ALERT_CHANGED, event) for event in said.changes)
        self._take_what_is_ours()
        try:
            while self._unsaid:
                await self._say(*self._unsaid[0])
                self._unsaid.popleft()
        except (TransientError, KafkaError, OSError):
            log.warning("put off", extra={"unsaid": len(self._unsaid)}, exc_info=True)

    def _take_what_is_ours(self) -> None:
        held, forgotten = tuple(self._held), self._clock.now() - HOLD
        self._held.clear()
        for topic, event in held:
            if self._bus.owns(event.domain):
                self._unsaid.append((topic, event))
            elif event.occurred_at > forgotten:
                self._held.append((topic, event))

    async def clean_up(self) -> None:
        """Delete expired telemetry."""
        try:
            deleted = await self._store.delete_expired(self._expiry_clock.now())
        except TransientError:
            log.warning("expired telemetry not deleted", exc_info=True)
        except PermanentError:
            log.exception("expired telemetry not deleted: the telemetry store refuses")
        else:
            log.info("expired telemetry deleted", extra={"records": deleted})

    def status(self) -> MeshStatus:
        """Return what is known of all domains."""
        known_dead = dead_letters.rows(self._dead_letters)
        return status.mesh_status(self._view, self._watch.windows, self._clock.now(), known_dead)

    def domain(self, name: Domain) -> DomainView:
        """Return what lifecycle events have said of a domain."""
        return self._view.get(name, DomainView())

    async def _say(self, topic: Topic, event: Event) -> None:
        with self._span(event) if isinstance(event, AlertChanged) else nullcontext():
            await self._bus.publish(topic, event)
        self._view = status.fold(self._view, event)

    async def _dead_letter(self, source: ConsumerRecord, error: Exception) -> None:
        await self._bus.until_done(partial(self._bus.dead_letter, source, error))

    def _span(self, change: AlertChanged) -> AbstractContextManager[object]:
        """Return the span of an alert's change, which a rollback's trace continues."""
        level = logging.WARNING if change.state is AlertState.FIRING else logging.INFO
        log.log(level, "alert changed", extra=_fields(change))
        return self._telemetry.tracer.start_as_current_span(
            f"alert {change.state}",
            attributes={"plumbline.domain": change.domain, "plumbline.bundle.digest": change.bundle_digest},
        )


def _fields(change: AlertChanged) -> dict[str, object]:
    return {
        "rule": change.rule, "state": change.state.value, "bundle_digest": change.bundle_digest, "reason": change.reason
    }  # fmt: skip
