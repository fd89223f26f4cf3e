"""One batch from raw documents to a shard. Synchronous: it computes, so it runs in a thread, one batch at a time."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from contracts.corpus import BatchCleaned, BatchReceived
from services.cleaner.core.sorting import SortedBatch, sort_out
from services.cleaner.ledger import CleanedBatch, Ledger
from services.cleaner.settings import CleaningRules, CorpusRules
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusBatch, read_shard, write_shard


@dataclass(frozen=True, kw_only=True)
class BatchCleaning:
    """Cleans batches into the store and the ledger."""

    store: ArtifactStore
    ledger: Ledger
    rules: CorpusRules
    cleaning: CleaningRules

    def clean(self, event: BatchReceived, *, traceparent: str | None, now: datetime) -> BatchCleaned:
        """Return what the batch added; one that was cleaned before gives the same event and changes nothing.

        Raises:
            ArtifactMissing: Its raw documents are gone.
            ArtifactCorrupt: They are damaged.
        """
        if (before := self.ledger.batch_event(event.batch_id)) is not None:
            return before
        sorted_batch = sort_out(list(read_shard(self.store, event.raw_digest)), self.cleaning)
        new = self.ledger.first_seen(event.domain, event.batch_id, sorted_batch.kept)
        shard = write_shard(self.store, (item.document for item in sorted_batch.kept if item.position in new))
        batch = CorpusBatch(
            batch_id=event.batch_id,
            event_id=event.event_id,
            shard_digest=shard,
            num_documents=len(new),
            traceparent=traceparent,
        )
        self.ledger.add_batch(
            CleanedBatch(domain=event.domain, batch=batch, rejected=tuple(sorted_batch.rejected), cleaned_at=now)
        )
        cleaned = self._announcement(event, batch, sorted_batch, now=now)
        self.ledger.add_batch_event(cleaned)
        return cleaned

    def _announcement(
        self, event: BatchReceived, batch: CorpusBatch, sorted_batch: SortedBatch, *, now: datetime
    ) -> BatchCleaned:
        num_kept, num_rejected = len(sorted_batch.kept), len(sorted_batch.rejected)
        return BatchCleaned.caused_by(
            event,
            now=now,
            batch_id=event.batch_id,
            shard_digest=batch.shard_digest,
            num_documents=num_kept + num_rejected,
            num_new_documents=batch.num_documents,
            num_duplicate_documents=num_kept - batch.num_documents,
            num_rejected_documents=num_rejected,
            num_pending_documents=self.ledger.num_pending(event.domain),
            min_new_documents=self.rules.min_new_documents,
            changed=sorted_batch.changed,
            masked=sorted_batch.masked,
            rejected=dict(Counter(str(one.reason) for one in sorted_batch.rejected)),
        )


def outcomes(event: BatchCleaned) -> Counter[str]:
    """Return how many documents had which outcome."""
    return Counter(
        {
            "new": event.num_new_documents,
            "duplicate": event.num_duplicate_documents,
            "rejected": event.num_rejected_documents,
        }
    )
