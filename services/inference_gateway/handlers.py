"""Release state in, loaded bundles and routes out."""

import asyncio
import logging
import time

from contracts import topics
from contracts.envelope import Digest, Domain, derived_id
from contracts.release import BundleLoaded, Phase, ReleaseChanged
from services.inference_gateway.adapters import BundleShelf
from services.inference_gateway.serving import Serving
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import PlumblineError

log = logging.getLogger(__name__)


class ReleaseFollower:
    """Takes the newest release state of each domain and acts on it.

    Reading is apart from acting: while a bundle loads, newer states only replace older ones, so the history of the topic is
    passed over at a restart and a rollback never waits behind a list of old loads.
    """

    def __init__(self, bus: Bus, *, shelf: BundleShelf, serving: Serving, clock: Clock, gateway: str) -> None:
        self._bus = bus
        self._shelf = shelf
        self._serving = serving
        self._clock = clock
        self._gateway = gateway
        self._newest: dict[Domain, ReleaseChanged] = {}
        self._pending: set[Domain] = set()
        self._changed = asyncio.Event()

    def register(self) -> None:
        """Read the state topic from its start."""
        self._bus.read({topics.RELEASE_CHANGED: self.on_release_changed})

    async def on_release_changed(self, event: ReleaseChanged) -> None:
        """Remember a state, unless a newer one is known; the same one again is acted on again."""
        known = self._newest.get(event.domain)
        if known is None or event.state.revision >= known.state.revision:
            self._newest[event.domain] = event
            self._pending.add(event.domain)
            self._changed.set()

    async def run(self) -> None:
        """Act on what was remembered, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Act on every state that was remembered and not acted on."""
        while self._pending:
            await self._act(self._newest[self._pending.pop()])

    async def _act(self, event: ReleaseChanged) -> None:
        state = event.state
        # What is loaded already is routed at once: a rollback must not wait for another bundle.
        self._serving.follow(event.domain, state)
        for digest in dict.fromkeys([*(route.bundle_digest for route in state.routes), *state.warm_digests]):
            await self._load(event, digest)
        self._serving.follow(event.domain, state)
        await self._shelf.keep_only(self._serving.wanted_digests())

    async def _load(self, event: ReleaseChanged, digest: Digest) -> None:
        is_asked_for = event.phase is Phase.WARMING and digest == event.bundle_digest
        if digest in self._shelf.loaded and not is_asked_for:
            return
        started_s = time.perf_counter()
        try:
            await self._shelf.load(digest)
            error = None
        except (PlumblineError, OSError, RuntimeError, ValueError) as failure:
            # Told to the release-manager, which takes the candidate back; a retry here would hold up the next rollback.
            log.exception("bundle not loaded", extra={"bundle_digest": digest})
            error = str(failure)
        await self._tell(event, digest, error, time.perf_counter() - started_s)

    async def _tell(self, event: ReleaseChanged, digest: Digest, error: str | None, duration_s: float) -> None:
        told = BundleLoaded(
            event_id=derived_id(event.event_id, "BundleLoaded", digest, self._gateway),
            causation_id=event.event_id,
            occurred_at=self._clock.now(),
            domain=event.domain,
            bundle_digest=digest,
            gateway=self._gateway,
            loaded=error is None,
            error=error,
            duration_s=duration_s,
        )
        await self._bus.publish(topics.BUNDLE_LOADED, told)
