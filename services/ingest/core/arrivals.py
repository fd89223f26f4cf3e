"""Which batch documents are, and what is said of it: both follow from the content, or from the event that brought them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.corpus import BatchReceived, BatchStatistics, DocumentsSubmitted
from contracts.envelope import derived_id
from services.ingest.core.records import Record, canonical_json

BATCH_NAMESPACE = UUID("6a2f43a4-5a5c-5d0e-9d3b-0d1f6a1c7e11")
"""Names batches; pinned, since a change would take an upload that is known already for a new one."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A batch that came in.

    Attributes:
        num_bytes: Size of the texts, in UTF-8.
        content_digest: SHA-256 of the documents, whatever form they came in.
    """

    batch_id: UUID
    event_id: UUID
    causation_id: UUID | None
    domain: str
    occurred_at: datetime
    source: Literal["http", "kafka"]
    num_documents: int
    num_bytes: int
    content_digest: str

    def announcement(
        self, raw_digest: str, *, num_refused: int = 0, statistics: BatchStatistics | None = None
    ) -> BatchReceived:
        """Return the event that says so.

        Args:
            raw_digest: The artifact that holds the documents.
            num_refused: Records that were left out beside them.
            statistics: What it holds.
        """
        return BatchReceived(
            event_id=self.event_id,
            causation_id=self.causation_id,
            occurred_at=self.occurred_at,
            domain=self.domain,
            batch_id=self.batch_id,
            raw_digest=raw_digest,
            num_documents=self.num_documents,
            num_bytes=self.num_bytes,
            source=self.source,
            num_refused_documents=num_refused,
            statistics=statistics or BatchStatistics(),
        )


def uploaded(domain: str, records: Iterable[Record], now: datetime) -> Arrival:
    """Return the arrival of an uploaded batch: the same documents for the same domain are the same batch and the same event."""
    content = _Content(records)
    batch_id = derived_id(BATCH_NAMESPACE, domain, content.digest)
    return Arrival(
        batch_id=batch_id,
        event_id=derived_id(batch_id, BatchReceived.__name__),
        causation_id=None,
        domain=domain,
        occurred_at=now,
        source="http",
        num_documents=content.num_documents,
        num_bytes=content.num_bytes,
        content_digest=content.digest,
    )


def submitted(event: DocumentsSubmitted, records: Iterable[Record], now: datetime) -> Arrival:
    """Return the arrival of an event's documents: the same event in the same domain is the same batch."""
    content = _Content(records)
    return Arrival(
        batch_id=derived_id(event.event_id, "batch", event.domain),
        event_id=derived_id(event.event_id, BatchReceived.__name__, event.domain),
        causation_id=event.event_id,
        domain=event.domain,
        occurred_at=now,
        source="kafka",
        num_documents=content.num_documents,
        num_bytes=content.num_bytes,
        content_digest=content.digest,
    )


def upload_id_of(batch_ids: Iterable[UUID]) -> UUID:
    """Return the id of what came together: that of its batch where there is one, else one that follows from theirs."""
    first, *others = batch_ids
    return derived_id(BATCH_NAMESPACE, "upload", str(first), *map(str, others)) if others else first


class _Content:
    def __init__(self, records: Iterable[Record]) -> None:
        content = hashlib.sha256()
        self.num_documents = self.num_bytes = 0
        for record in records:
            content.update(canonical_json(record) + b"\n")
            self.num_documents += 1
            self.num_bytes += len(record.text.encode())
        self.digest = content.hexdigest()


def refused_upload_id(domain: str, records: bytes) -> UUID:
    """Return the id under which the records of an upload are kept that was refused whole; the same upload has the same.

    Args:
        domain: Whose documents they were to be.
        records: The refused ones, as JSONL.
    """
    return derived_id(BATCH_NAMESPACE, "refused", domain, hashlib.sha256(records).hexdigest())
