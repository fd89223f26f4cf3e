"""Release state in, loaded bundles and routes out."""

import asyncio
import logging
import time
from functools import partial

from contracts import topics
from contracts.envelope import Digest, Domain, derived_id
from contracts.release import BundleLoaded, Phase, ReleaseChanged
from services.inference_gateway.adapters import BundleShelf
from services.inference_gateway.serving import Serving
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import SignatureRefused, TransientError
from shared.releases import announced

RELOAD_PAUSE_S = 2.0
"""After a load that failed for a reason that may pass, such as an object store out of reach."""

log = logging.getLogger(__name__)


class ReleaseFollower:
    """Takes the newest release state of each domain and acts on it.

    What is loaded is routed in the handler itself, so a rollback to a warm bundle waits for nothing. The rest is loaded behind
    it, for the newest state only: the history of the topic is passed over at a restart.
    """

    def __init__(
        self, bus: Bus, *, shelf: BundleShelf, serving: Serving, clock: Clock, gateway: str, admission: Admission
    ) -> None:
        self._bus = bus
        self._shelf = shelf
        self._serving = serving
        self._clock = clock
        self._gateway = gateway
        self._admission = admission
        self._newest: dict[Domain, ReleaseChanged] = {}
        self._pending: set[Domain] = set()
        self._said: dict[Digest, BundleLoaded] = {}
        self._changed = asyncio.Event()

    def register(self) -> None:
        """Read the state topic from its start."""
        self._bus.read({topics.RELEASE_CHANGED: self.on_release_changed})

    async def begin(self, store: ArtifactStore) -> None:
        """Serve what the release-manager last announced, before the topic has been read: a gateway that is ready answers."""
        for event in await asyncio.to_thread(announced, store):
            await self.on_release_changed(event)
        await self.catch_up()
        self._serving.is_starting = False

    async def on_release_changed(self, event: ReleaseChanged) -> None:
        """Route a state as far as it is loaded, unless a newer one is known; the same one again is acted on again."""
        known = self._newest.get(event.domain)
        if known is None or event.state.revision >= known.state.revision:
            self._newest[event.domain] = event
            self._serving.follow(event.domain, event.state)
            self._ask_for(event.domain)

    async def run(self) -> None:
        """Load what is asked for, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Load what every state asks for that was remembered and not acted on, and let go of what none does."""
        while self._pending:
            domain = self._pending.pop()
            event = self._newest[domain]
            state = event.state
            for digest in dict.fromkeys([*(route.bundle_digest for route in state.routes), *state.warm_digests]):
                await self._load(event, digest)
            # By now there may be a newer state than the one that was loaded for.
            self._serving.follow(domain, self._newest[domain].state)
        wanted = self._serving.wanted_digests()
        await self._shelf.keep_only(wanted)
        self._said = {digest: told for digest, told in self._said.items() if digest in wanted}

    def _ask_for(self, domain: Domain) -> None:
        self._pending.add(domain)
        self._changed.set()

    async def _load(self, event: ReleaseChanged, digest: Digest) -> None:
        is_asked_for = event.phase is Phase.WARMING and digest == event.bundle_digest
        if digest in self._shelf.loaded and not is_asked_for:
            return
        started_s = time.perf_counter()
        try:
            await self._shelf.load(digest)
            error = None
        except (TransientError, OSError):
            # Says nothing of the bundle, so nothing is told; the release-manager waits, up to its own limit.
            log.warning("bundle not loaded, will try again", extra={"bundle_digest": digest}, exc_info=True)
            asyncio.get_running_loop().call_later(RELOAD_PAUSE_S, self._ask_for, event.domain)
            return
        except SignatureRefused as refused:
            error = f"{type(refused).__name__}: {refused}"
            await self._bus.until_done(partial(self._admission.reject, event, digest, refused))
        except Exception as failure:
            log.exception("bundle not loaded", extra={"bundle_digest": digest})
            error = f"{type(failure).__name__}: {failure}"
        told = self._told(event, digest, error, time.perf_counter() - started_s)
        known = self._said.get(digest)
        if known and (known.event_id, known.loaded) == (told.event_id, told.loaded):
            # Asked again by the same event, it says the same again.
            told = known
        self._said[digest] = told
        await self._bus.until_done(lambda: self._bus.publish(topics.BUNDLE_LOADED, told))

    def _told(self, event: ReleaseChanged, digest: Digest, error: str | None, duration_s: float) -> BundleLoaded:
        return BundleLoaded(
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
