"""What is said to whoever handed documents over, or looks at batches."""

from collections.abc import Iterable, Sequence

from contracts.api import BatchReceipt, BatchView, DomainStatistics, HeldBatch, UploadReceipt
from services.ingest.adapters import KeptBatch
from services.ingest.core.judging import Reference
from services.ingest.core.statistics import figures_of


def receipt_of(kept: Sequence[KeptBatch], ignored_fields: Iterable[str] = ()) -> UploadReceipt:
    """Return the receipt of an upload.

    Args:
        kept: Its batches in order, at least one.
        ignored_fields: Names in it that no field of a document has.
    """
    batches = tuple(_receipt(batch) for batch in kept)
    first = batches[0]
    return UploadReceipt(
        batch_id=first.batch_id,
        event_id=first.event_id,
        domain=first.domain,
        num_documents=sum(batch.num_documents for batch in batches),
        num_bytes=sum(batch.num_bytes for batch in batches),
        num_refused_documents=sum(batch.num_refused_documents for batch in batches),
        state=first.state,
        reasons=first.reasons,
        batches=batches,
        ignored_fields=tuple(ignored_fields),
    )


def held_of(batch: KeptBatch) -> HeldBatch:
    """Return what a person is shown of a held batch."""
    event = batch.event
    return HeldBatch(
        batch_id=event.batch_id,
        domain=event.domain,
        received_at=event.occurred_at,
        num_documents=event.num_documents,
        num_bytes=event.num_bytes,
        reasons=batch.reasons,
        statistics=event.statistics,
    )


def view_of(batch: KeptBatch) -> BatchView:
    """Return all that is known of a batch."""
    event = batch.event
    return BatchView(
        **_receipt(batch).model_dump(),
        received_at=event.occurred_at,
        source=event.source,
        decided_by=batch.decision.by if batch.decision else None,
        statistics=event.statistics,
        figures=figures_of(event.statistics),
    )


def domain_statistics_of(domain: str, reference: Reference) -> DomainStatistics:
    """Return what a domain got so far."""
    return DomainStatistics(
        domain=domain,
        num_batches=reference.num_batches,
        statistics=reference.total,
        figures=figures_of(reference.total),
    )


def _receipt(batch: KeptBatch) -> BatchReceipt:
    event = batch.event
    reasons = batch.reasons
    if batch.state == "rejected" and batch.decision:
        reasons = (f"rejected by {batch.decision.by}: {batch.decision.reason}", *reasons)
    return BatchReceipt(
        batch_id=event.batch_id,
        event_id=event.event_id,
        domain=event.domain,
        num_documents=event.num_documents,
        num_bytes=event.num_bytes,
        num_refused_documents=max(batch.num_refused, event.num_refused_documents),
        state=batch.state,
        reasons=() if batch.state == "accepted" else reasons,
    )
