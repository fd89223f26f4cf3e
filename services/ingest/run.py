"""Taking batches: read, kept, judged, announced. What was kept and not announced is announced at the next start."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO, TypeVar
from uuid import UUID

from aiokafka.errors import KafkaError
from faststream.exceptions import IncorrectState

from contracts.corpus import DocumentsSubmitted
from contracts.telemetry import BATCH_HELD, DOCUMENT_RECEIVED, AttributeName
from contracts.topics import BATCH_RECEIVED
from services.ingest.adapters import Batches, KeptBatch, References, Upload
from services.ingest.core.arrivals import refused_upload_id, submitted, upload_id_of
from services.ingest.core.entries import Entry
from services.ingest.core.judging import Held, judge
from services.ingest.core.known import hashes_of_bytes
from services.ingest.core.pairs import cells_of_bytes
from services.ingest.core.parts import Tally, parts_of
from services.ingest.core.records import record_of_document
from services.ingest.known import KnownContent, Taking
from services.ingest.reading import BodyKind, Reader, Staged, Staging, UploadRefused
from services.ingest.settings import HoldRules
from services.ingest.spooling import storage_errors
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import InvalidDocuments, TransientError
from shared.telemetry import Telemetry, current_traceparent

READINGS_AT_ONCE = 2
"""Uploads that are read at a time, each in a thread of its own; others wait."""
ONE_BATCH_BYTES = 1 << 40
"""An event is one batch, however long: its message has a limit of its own."""

AnyValue = TypeVar("AnyValue")
Attributes = dict[AttributeName, str]

log = logging.getLogger(__name__)


class Intake:
    """Takes batches from wherever they come."""

    def __init__(
        self,
        bus: Bus,
        telemetry: Telemetry,
        *,
        batches: Batches,
        references: References,
        known: KnownContent,
        rules: HoldRules,
        reader: Reader,
        clock: Clock,
    ) -> None:
        """Start with nothing under way.

        Args:
            bus: Tells the mesh.
            telemetry: Counts.
            batches: Where batches are kept.
            references: What each domain got so far.
            known: Which texts and pairs of characters.
            rules: When a batch is held.
            reader: Reads bodies.
            clock: The wall clock.
        """
        self._bus = bus
        self._telemetry = telemetry
        self._batches = batches
        self._references = references
        self._known = known
        self._rules = rules
        self._reader = reader
        self._clock = clock
        self._readings = asyncio.Semaphore(READINGS_AT_ONCE)
        # Judging and keeping are one step: of two that come at the same moment the later one is compared with the earlier.
        self._keeping = threading.Lock()
        self._unannounced: dict[UUID, KeptBatch] = {}

    async def take(self, body: IO[bytes], kind: BodyKind, *, domain: str, tally: Tally) -> list[KeptBatch]:
        """Keep an upload and announce those of its batches that are like what the domain got so far.

        Args:
            body: From its beginning on.
            kind: How it is to be read.
            domain: Whose documents they are.
            tally: Is kept up to date.

        Returns:
            Its batches in order; one that is known is said as it was.

        Raises:
            InvalidDocuments: It is refused whole; where too many records are bad, they are kept to be looked at.
            StorageFull: There is no space; nothing was taken.
            TransientError: It is kept, but the broker cannot be reached at the moment.
        """

        def read() -> Staging:
            try:
                return self._reader.staged(body, kind, domain=domain, now=self._clock.now(), tally=tally)
            except UploadRefused as error:
                name = refused_upload_id(domain, error.records)
                self._batches.add_refused(name, error.records)
                raise InvalidDocuments(
                    str(error), next_step=f"see all of them with `plumb batches refused {name}`; {error.next_step}"
                ) from error

        async with self._readings:
            return await self._take(await _in_thread(read), domain)

    async def take_event(self, event: DocumentsSubmitted) -> KeptBatch:
        """Keep the documents of an event, as one batch.

        Raises:
            InvalidDocuments: The event's id stands for other documents.
            StorageFull: There is no space; nothing was taken.
            TransientError: They are kept, but the broker cannot be reached at the moment.
        """
        [batch] = await self._take(await _in_thread(lambda: self._staged_event(event)), event.domain)
        return batch

    async def announce(self, kept: Sequence[KeptBatch]) -> None:
        """Tell the mesh of the accepted ones.

        Raises:
            TransientError: The broker cannot be reached at the moment.
        """
        accepted = {batch.event.batch_id: batch for batch in kept if batch.state == "accepted"}
        self._unannounced |= accepted
        for batch_id, batch in accepted.items():
            try:
                await self._bus.publish(BATCH_RECEIVED, batch.event, traceparent=batch.traceparent)
            except (KafkaError, IncorrectState) as error:
                msg = f"batch {batch.event.batch_id} is kept, but the broker cannot be told of it: {error!r}"
                raise TransientError(
                    msg,
                    next_step="wait until it is back: ingest tells it then; or send the same batch again, which adds nothing",
                ) from error
            self._unannounced.pop(batch_id, None)

    async def announce_late(self) -> None:
        """Announce what is kept and could not be announced when it came."""
        try:
            await self.announce(list(self._unannounced.values()))
        except TransientError as error:
            extra = {"batches": len(self._unannounced), "error": str(error)}
            log.warning("batches wait for the broker", extra=extra)

    async def announce_again(self) -> None:
        """Announce what the cleaner has not finished: a broker that lost its contents in a restart loses no batch."""
        for _, upload in await asyncio.to_thread(lambda: list(self._batches.outstanding())):
            for marked in upload.batches:
                batch = await asyncio.to_thread(self._batches.keep, marked)
                if batch.state == "accepted" and not await asyncio.to_thread(self._batches.is_cleaned, batch):
                    await self.announce([batch])
                    extra = {"domain": batch.event.domain, "batch": str(batch.event.batch_id)}
                    log.info("batch announced again", extra=extra)

    async def forget_cleaned(self) -> None:
        """Remove the marks of what the cleaner has finished."""
        try:
            await asyncio.to_thread(lambda: sum(1 for _ in self._batches.outstanding()))
        except TransientError as error:
            log.info("marks of cleaned batches not removed", extra={"error": str(error)})

    async def _take(self, staging: Staging, domain: str) -> list[KeptBatch]:
        attributes = {
            "plumbline.domain": domain, "plumbline.batch.id": str(staging.batches[0].arrival.batch_id),
        }  # fmt: skip
        try:
            with self._telemetry.tracer.start_as_current_span("receive batch", attributes=attributes):
                traceparent = current_traceparent()
                kept, fresh = await _in_thread(lambda: self._keep(staging, domain, traceparent))
                self._count(fresh)
                await self.announce(kept)
        finally:
            staging.close()
        return kept

    def _staged_event(self, event: DocumentsSubmitted) -> Staging:
        entries = (
            Entry(number, 0, record_of_document(document)) for number, document in enumerate(event.documents, start=1)
        )
        limits = self._reader.limits.model_copy(
            update={"documents": len(event.documents), "batch_bytes": ONE_BATCH_BYTES}
        )
        [part] = parts_of(entries, limits, Tally(), strict=True, unit="document")
        staging = Staging(self._reader.scratch())
        self._reader.stage(staging, part, submitted(event, part.records, self._clock.now()))
        return staging

    def _keep(self, staging: Staging, domain: str, traceparent: str | None) -> tuple[list[KeptBatch], list[KeptBatch]]:
        """Keep an upload; return all its batches, and those that were not known before."""
        fresh: dict[str, tuple[KeptBatch, Staged]] = {}
        known: dict[str, KeptBatch] = {}
        order = [str(staged.arrival.batch_id) for staged in staging.batches]
        for key, staged in zip(order, staging.batches, strict=True):
            found = self._batches.find(domain, staged.arrival.batch_id)
            if found is not None:
                known[key] = _same(found, staged.arrival.content_digest)
            else:
                fresh[key] = self._stored(staging, staged, traceparent), staged
        with self._keeping:
            with self._known.taking(domain) as known_content:
                judged = self._judged(domain, list(fresh.values()), staging, known_content)
                if judged:
                    upload_id = upload_id_of(batch.event.batch_id for batch in judged)
                    self._batches.mark(upload_id, Upload(batches=tuple(judged)))
            kept = [_same(self._batches.keep(batch), batch.content_digest) for batch in judged]
            new = [batch for batch in kept if any(batch is one for one in judged)]
            accepted = [batch.event.statistics for batch in new if batch.state == "accepted"]
            if accepted:
                self._references.add(domain, accepted)
        known |= {str(batch.event.batch_id): batch for batch in kept}
        num_refused = self._keep_refused(staging)
        taken = [known[key].model_copy(update={"num_refused": num_refused[key]}) for key in dict.fromkeys(order)]
        return taken, new

    def _keep_refused(self, staging: Staging) -> Counter[str]:
        """Keep what was left out, beside batches that were known, too; return how many records that are, by batch."""
        num_refused: Counter[str] = Counter()
        for staged in staging.batches:
            if staged.num_refused:
                self._batches.add_refused(staged.arrival.batch_id, staging.read(staged.refused))
                num_refused[str(staged.arrival.batch_id)] += staged.num_refused
        return num_refused

    def _stored(self, staging: Staging, staged: Staged, traceparent: str | None) -> KeptBatch:
        """Store what a batch consists of; without a ref it is none yet."""
        raw_digest = self._batches.store.put_bytes(staging.read(staged.shard))
        refused_digest = self._batches.store.put_bytes(staging.read(staged.refused)) if staged.num_refused else None
        event = staged.arrival.announcement(raw_digest, num_refused=staged.num_refused, statistics=staged.statistics)
        return KeptBatch(
            event=event,
            content_digest=staged.arrival.content_digest,
            traceparent=traceparent,
            refused_digest=refused_digest,
        )

    def _judged(
        self, domain: str, batches: Sequence[tuple[KeptBatch, Staged]], staging: Staging, known: Taking
    ) -> list[KeptBatch]:
        """Return the batches with their state, each compared with what the domain had before it, this upload's included."""
        if not batches:
            return []
        reference, judged = self._references.of(domain), []
        for stored, staged in batches:
            hashes, cells = hashes_of_bytes(staging.read(staged.hashes)), cells_of_bytes(staging.read(staged.new_cells))
            batch = stored.saying(num_known=known.count(hashes))
            verdict = judge(batch.event.statistics, reference, self._rules)
            if isinstance(verdict, Held):
                judged.append(batch.model_copy(update={"state": "held", "reasons": verdict.reasons}))
            else:
                judged.append(batch)
                known.add(hashes, cells)
                reference = reference.plus(batch.event.statistics, self._rules)
        return judged

    def _count(self, fresh: Sequence[KeptBatch]) -> None:
        for batch in fresh:
            event = batch.event
            for number, outcome in ((event.num_documents, batch.state), (event.num_refused_documents, "refused")):
                if number:
                    attributes: Attributes = {"plumbline.domain": event.domain, "plumbline.outcome": outcome}
                    self._telemetry.add(DOCUMENT_RECEIVED, number, attributes)
            if batch.state == "held":
                self._telemetry.add(BATCH_HELD, 1, {"plumbline.domain": event.domain})
                log.warning(
                    "batch held for a person",
                    extra={"domain": event.domain, "batch": str(event.batch_id), "reasons": "; ".join(batch.reasons)},
                )


async def _in_thread(work: Callable[[], AnyValue]) -> AnyValue:
    def named() -> AnyValue:
        with storage_errors("take the batch"):
            return work()

    return await asyncio.to_thread(named)


def _same(kept: KeptBatch, digest: str) -> KeptBatch:
    if kept.content_digest != digest:
        raise InvalidDocuments(
            f"batch {kept.event.batch_id} was received before with other documents",
            next_step="give every documents-submitted event an event_id of its own",
        )
    return kept
