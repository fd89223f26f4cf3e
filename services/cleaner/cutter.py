"""Looks every half second whether a corpus version is due, cuts and announces it."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from aiokafka.errors import KafkaError
from faststream.exceptions import IncorrectState
from opentelemetry.context import Context

from contracts.corpus import CorpusAmended
from contracts.envelope import Domain
from contracts.topics import BATCH_CLEANED, CORPUS_AMENDED, CORPUS_VERSIONED
from services.cleaner.core.cut import Cut, Decision, NothingNew, Request, Wait
from services.cleaner.ledger import Version
from services.cleaner.versions import Versions
from shared.bus import Bus
from shared.clock import Clock
from shared.disk import is_full
from shared.errors import PermanentError, TransientError
from shared.telemetry import Telemetry, current_traceparent, links_to

HANDOVER_S = 5.0
"""By then the next stage has begun with a version that was announced, and says itself that it is busy."""

log = logging.getLogger(__name__)


class Cutter:
    """Cuts versions; shares a lock with the handlers, so that the ledger has one user at a time.

    Nothing is sent while the lock is held: what receives an event may need the lock itself.
    """

    def __init__(
        self,
        bus: Bus,
        telemetry: Telemetry,
        *,
        versions: Versions,
        lock: asyncio.Lock,
        clock: Clock,
        owns: Callable[[Domain], bool],
    ) -> None:
        """Start with nothing due.

        Args:
            bus: Where versions are announced.
            telemetry: Makes a version's trace.
            versions: Decides and cuts.
            lock: Shared with the handlers.
            clock: Tells how long it has been quiet.
            owns: Whether this member of the group has a domain; a tick leaves the others alone.
        """
        self._bus = bus
        self._telemetry = telemetry
        self._versions = versions
        self._lock = lock
        self._clock = clock
        self._owns = owns
        self._announced: tuple[Domain, float] | None = None
        self._left_out: dict[Domain, str] = {}

    def busy_with(self) -> str | None:
        """Return the version that has just been announced, which no other daemon may yet say to be under way, or None."""
        if self._announced is None:
            return None
        domain, at_s = self._announced
        is_fresh = self._clock.monotonic_s() - at_s < HANDOVER_S
        return f"a corpus version of {domain} is handed over" if is_fresh else None

    async def announce_again(self) -> None:
        """Complete what a crash left unsaid, and say again what a broker that lost its contents may not have passed on."""
        async with self._lock:
            batches = await asyncio.to_thread(self._versions.to_say_of_batches_at_start, self._clock.now())
            versions = await asyncio.to_thread(self._versions.to_announce_at_start)
            amendments = await self._amendments()
        for event, traceparent in batches:
            await self._bus.publish(BATCH_CLEANED, event, traceparent=traceparent)
        for version in versions:
            await self._announce(version)
        for amendment in amendments:
            await self._bus.publish(CORPUS_AMENDED, amendment)

    async def _amendments(self) -> list[CorpusAmended]:
        try:
            return await asyncio.to_thread(self._versions.to_say_of_amendments_at_start, self._clock.now())
        except PermanentError:
            log.exception("not said at the start which corpora were amended")
            return []

    async def tick(self) -> None:
        """Do what is due; what the broker cannot be told now is told at a later tick."""
        try:
            for version in await self._unannounced():
                await self._announce(version)
            for domain in await self._domains():
                await self._act_or_leave_out(domain)
        except (KafkaError, IncorrectState, TransientError, OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.Error) and not is_full(error):
                raise
            log.warning("corpus version not cut or announced, will try again", extra={"error": repr(error)})

    async def _unannounced(self) -> list[Version]:
        async with self._lock:
            versions = await asyncio.to_thread(self._versions.unannounced)
        return [version for version in versions if self._owns(version.event.domain)]

    async def _domains(self) -> list[str]:
        async with self._lock:
            domains = await asyncio.to_thread(self._versions.ledger.domains)
        return [domain for domain in domains if self._owns(domain)]

    async def _act_or_leave_out(self, domain: str) -> None:
        """Act for a domain, or say once what keeps it from going on; the other domains do not wait for its repair."""
        try:
            await self._act(domain)
        except PermanentError as error:
            if self._left_out.get(domain) != str(error):
                self._left_out[domain] = str(error)
                log.error(  # noqa: TRY400 (the reason says it all)
                    "domain left out", extra={"domain": domain, "reason": str(error), "next_step": error.next_step}
                )
        else:
            self._left_out.pop(domain, None)

    async def _act(self, domain: str) -> None:
        async with self._lock:
            decision: Decision = await asyncio.to_thread(self._versions.decide, domain, self._clock.now())
        if not isinstance(decision, Wait) and decision.request and decision.request.missing:
            _say_did_not_come(domain, decision.request)
        match decision:
            case Cut(request=request):
                await self._cut(domain, request)
            case NothingNew(request=request):
                await self._say_nothing_new(domain, request)

    async def _cut(self, domain: str, request: Request | None) -> None:
        """Cut in a trace of its own: a version has many causes, which it links to."""
        async with self._lock:
            batches = await asyncio.to_thread(self._versions.ledger.pending_batches, domain)
        causes = [request.traceparent if request else None, *(traceparent for _, traceparent in batches)]
        with self._telemetry.tracer.start_as_current_span(
            "cut corpus version", context=Context(), links=links_to(causes), attributes={"plumbline.domain": domain}
        ) as span:
            async with self._lock:
                version = await asyncio.to_thread(
                    self._versions.cut, domain, request, now=self._clock.now(), traceparent=current_traceparent()
                )
            span.set_attribute("plumbline.corpus.digest", version.event.corpus_digest)
            log.info("corpus version cut", extra=_fields(version))
            await self._announce(version)

    async def _announce(self, version: Version) -> None:
        """Write the ref, send the event, remember that it was sent."""
        self._announced = (version.event.domain, self._clock.monotonic_s())
        async with self._lock:
            await asyncio.to_thread(self._versions.point_at, version)
        await self._bus.publish(CORPUS_VERSIONED, version.event, traceparent=version.traceparent)
        async with self._lock:
            await asyncio.to_thread(self._versions.ledger.mark_published, version)

    async def _say_nothing_new(self, domain: str, request: Request) -> None:
        async with self._lock:
            latest = await asyncio.to_thread(self._versions.ledger.latest_version, domain)
            await asyncio.to_thread(self._versions.ledger.answer_request, request.event_id)
        log.warning(
            "nothing to cut: no new documents since the last corpus version",
            extra={
                "domain": domain,
                "request": str(request.event_id),
                "reason": request.reason,
                "latest_version": latest.event.number if latest else None,
            },
        )


def _say_did_not_come(domain: str, request: Request) -> None:
    missing = [str(batch_id) for batch_id in request.missing]
    log.warning(
        "batches that a training was to wait for did not come; it goes on without them",
        extra={"domain": domain, "request": str(request.event_id), "batches": missing},
    )


def _fields(version: Version) -> dict[str, object]:
    event = version.event
    return {
        "domain": event.domain,
        "number": event.number,
        "corpus": event.corpus_digest,
        "num_documents": event.num_documents,
        "num_new_documents": event.num_new_documents,
        "num_new_batches": len(event.batch_ids),
    }
