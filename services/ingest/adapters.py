"""Keeps batches: documents as an artifact, a ref beside it that says what is to be announced, then the announcement.

The ref is written before the event is sent, so whatever happens in between, the next start finds what was left unsaid.
"""

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

from aiokafka.errors import KafkaError
from faststream.exceptions import IncorrectState

from contracts.corpus import BatchReceived, Document
from contracts.envelope import Contract, Digest
from contracts.topics import BATCH_RECEIVED
from services.ingest.core import Arrival
from shared.artifacts import ABSENT, ArtifactStore
from shared.bus import Bus
from shared.corpus import write_shard
from shared.errors import InvalidDocuments, RefConflict, TransientError
from shared.telemetry import Telemetry, current_traceparent

KEPT = "batches"
CLEANED = "cleaned"
"""Folder of the refs that the cleaner writes: a batch that has one needs no announcement any more."""

log = logging.getLogger(__name__)


class KeptBatch(Contract):
    """What a batch's ref says.

    Attributes:
        event: The announcement, which never changes.
        content_digest: SHA-256 of the documents before compression.
        traceparent: W3C trace context in which the batch arrived.
    """

    event: BatchReceived
    content_digest: Digest
    traceparent: str | None


class Batches:
    """The stored batches, under the refs `batches/<domain>/<batch id>`."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def find(self, domain: str, batch_id: UUID) -> KeptBatch | None:
        """Return a batch that is kept already."""
        data = self._store.read_ref(f"{KEPT}/{domain}/{batch_id}")
        return KeptBatch.model_validate_json(data) if data else None

    def keep_documents(self, documents: tuple[Document, ...]) -> Digest:
        """Store the documents and return the artifact's digest."""
        return write_shard(self._store, documents)

    def keep(self, batch: KeptBatch) -> None:
        """Write the batch's ref: from here on it survives.

        Raises:
            RefConflict: It is kept already.
        """
        event = batch.event
        name = f"{KEPT}/{event.domain}/{event.batch_id}"
        self._store.write_ref(name, batch.model_dump_json().encode(), expected=ABSENT)

    def not_cleaned(self) -> Iterator[KeptBatch]:
        """Yield the batches, oldest first, that the cleaner has not finished."""
        cleaned = {_place(name) for name in self._store.ref_names(CLEANED)}
        places = (_place(name) for name in self._store.ref_names(KEPT))
        found = (self.find(domain, UUID(batch_id)) for domain, batch_id in places if (domain, batch_id) not in cleaned)
        yield from sorted((batch for batch in found if batch), key=lambda batch: batch.event.occurred_at)


class Intake:
    """Takes batches from wherever they come."""

    def __init__(self, bus: Bus, telemetry: Telemetry, batches: Batches) -> None:
        self._bus = bus
        self._telemetry = telemetry
        self._batches = batches

    async def take(self, arrival: Arrival) -> BatchReceived:
        """Keep a batch and announce it; one that is kept already is announced again as it was.

        Returns:
            The event that was sent.

        Raises:
            InvalidDocuments: The batch id stands for other documents already.
            TransientError: It is kept, but the broker cannot be reached at the moment.
        """
        attributes = {"plumbline.domain": arrival.domain, "plumbline.batch.id": str(arrival.batch_id)}
        with self._telemetry.tracer.start_as_current_span("receive batch", attributes=attributes):
            batch = await asyncio.to_thread(self._keep, arrival, current_traceparent())
            await self._announce(batch)
        return batch.event

    async def announce_again(self) -> None:
        """Announce what the cleaner has not finished: a broker that lost its contents in a restart loses no batch."""
        for batch in await asyncio.to_thread(lambda: list(self._batches.not_cleaned())):
            event = batch.event
            await self._announce(batch)
            log.info("batch announced again", extra={"domain": event.domain, "batch": str(event.batch_id)})

    def _keep(self, arrival: Arrival, traceparent: str | None) -> KeptBatch:
        if (kept := self._batches.find(arrival.domain, arrival.batch_id)) is not None:
            return _same(kept, arrival.content_digest)
        event = arrival.announcement(self._batches.keep_documents(arrival.documents))
        batch = KeptBatch(event=event, content_digest=arrival.content_digest, traceparent=traceparent)
        try:
            self._batches.keep(batch)
        except RefConflict:
            # The same upload twice at the same moment: both say what the faster one kept.
            kept = self._batches.find(arrival.domain, arrival.batch_id)
            if kept is None:
                raise
            return _same(kept, arrival.content_digest)
        return batch

    async def _announce(self, batch: KeptBatch) -> None:
        try:
            await self._bus.publish(BATCH_RECEIVED, batch.event, traceparent=batch.traceparent)
        except (KafkaError, IncorrectState) as error:
            msg = f"batch {batch.event.batch_id} is kept, but the broker cannot be told of it: {error!r}"
            raise TransientError(
                msg, next_step="send the same batch again, which adds nothing twice; or wait for ingest's next start"
            ) from error


def _same(kept: KeptBatch, digest: str) -> KeptBatch:
    if kept.content_digest != digest:
        raise InvalidDocuments(
            f"batch {kept.event.batch_id} was received before with other documents",
            next_step="give every documents-submitted event an event_id of its own",
        )
    return kept


def _place(ref_name: str) -> tuple[str, str]:
    _, domain, batch_id = ref_name.split("/")
    return domain, batch_id
