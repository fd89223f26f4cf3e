"""One batch from raw documents to a shard. Synchronous: it computes, so it runs in a thread, one batch at a time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa

from contracts.corpus import BatchCleaned, BatchReceived
from contracts.envelope import derived_id
from services.cleaner.core.cleaned_tables import CleanedTable, clean_table
from services.cleaner.core.cleaning import UNKNOWN, DomainLanguage
from services.cleaner.core.facts import Facts, document_digests
from services.cleaner.core.near.fingerprints import fingerprints
from services.cleaner.core.steps.quality import Reason
from services.cleaner.domain_index import Found
from services.cleaner.facts_files import write_facts
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import CleanedBatch, Ledger
from services.cleaner.settings import CleaningRules, CorpusRules
from shared.artifacts import ArtifactStore
from shared.corpus import CORPUS_SCHEMA, DIGEST
from shared.errors import RequestRefused
from shared.shards import SCHEMA, read_table, write_table


@dataclass(frozen=True, kw_only=True)
class BatchCleaning:
    """Cleans batches into the store, the ledger and the index.

    Attributes:
        languages: What is known of domains' languages, by domain.
    """

    store: ArtifactStore
    ledger: Ledger
    indexes: Indexes
    rules: CorpusRules
    cleaning: CleaningRules
    languages: Mapping[str, DomainLanguage] = field(default_factory=dict)

    def clean(self, event: BatchReceived, *, traceparent: str | None, now: datetime) -> BatchCleaned:
        """Return what the batch added; one that was cleaned before gives the same event and changes nothing.

        Raises:
            ArtifactMissing: Its raw documents are gone.
            ArtifactCorrupt: They are damaged.
        """
        if (before := self.ledger.batch_event(event.batch_id)) is not None:
            return before
        if not self.ledger.is_known(event.batch_id):
            self.ledger.add_batch(self._cleaned(event, traceparent, now))
        batch, found = self.indexes.take(event.domain, event.batch_id)
        cleaned = self._announcement(event, batch, found, now=now)
        self.ledger.add_batch_event(cleaned)
        return cleaned

    def clean_restored(self, batch: CleanedBatch, rows: pa.Table, batch_id: UUID, *, now: datetime) -> BatchCleaned:
        """Return what a batch adds that a person makes of documents which the steps had taken out of another batch.

        Args:
            batch: The one that they came with.
            rows: The documents as they came; they are cleaned, but not judged.
            batch_id: Of the batch that they make.
            now: The time.

        Raises:
            RequestRefused: 409, nothing is left of one after cleaning, or it was made from one that is held out.
        """
        language = replace(self.languages.get(batch.domain, UNKNOWN), relevance=None)
        cleaned = clean_table(rows, self.cleaning.model_copy(update={"quality": False}), language)
        if len(cleaned.removed):
            raise _not_restorable(cleaned)
        self.ledger.add_batch(self._stored(cleaned, batch.domain, batch_id, batch.event_id, batch.traceparent, now))
        made, found = self.indexes.take(batch.domain, batch_id)
        num_new = made.num_documents - found.num_duplicates - found.num_near_duplicates
        event = BatchCleaned(
            event_id=derived_id(batch_id, BatchCleaned.__name__),
            causation_id=batch.event_id,
            occurred_at=now,
            domain=batch.domain,
            num_documents=made.num_documents,
            **self._counted(made, found, num_new),
        )
        self.ledger.add_batch_event(event)
        return event

    def _cleaned(self, event: BatchReceived, traceparent: str | None, now: datetime) -> CleanedBatch:
        raw = read_table(self.store, event.raw_digest).select(SCHEMA.names).cast(SCHEMA)
        cleaned = clean_table(raw, self.cleaning, self.languages.get(event.domain, UNKNOWN))
        return self._stored(cleaned, event.domain, event.batch_id, event.event_id, traceparent, now)

    def _stored(
        self,
        cleaned: CleanedTable,
        domain: str,
        batch_id: UUID,
        event_id: UUID,
        traceparent: str | None,
        now: datetime,
    ) -> CleanedBatch:
        digests = document_digests(cleaned.kept)
        facts = Facts.of(cleaned.kept, digests)
        shard = cleaned.kept.append_column(CORPUS_SCHEMA.field(DIGEST), pa.array(digests, pa.binary(32)))
        return CleanedBatch(
            domain=domain,
            batch_id=batch_id,
            event_id=event_id,
            traceparent=traceparent,
            shard_digest=write_table(self.store, shard),
            facts_digest=write_facts(self.store, facts, fingerprints(cleaned.kept["text"].to_pylist())),
            removed_digest=write_table(self.store, cleaned.removed),
            num_documents=len(cleaned.kept),
            counts=cleaned.counts,
            cleaned_at=now,
        )

    def _announcement(self, event: BatchReceived, batch: CleanedBatch, found: Found, *, now: datetime) -> BatchCleaned:
        num_new = batch.num_documents - found.num_duplicates - found.num_near_duplicates
        return BatchCleaned.caused_by(
            event,
            now=now,
            num_documents=batch.num_documents + sum(batch.counts.rejected.values()),
            **self._counted(batch, found, num_new),
        )

    def _counted(self, batch: CleanedBatch, found: Found, num_new: int) -> dict[str, Any]:
        return {
            "batch_id": batch.batch_id,
            "shard_digest": batch.shard_digest,
            "num_new_documents": num_new,
            "num_duplicate_documents": found.num_duplicates + found.num_near_duplicates,
            "num_near_duplicate_documents": found.num_near_duplicates,
            "num_rejected_documents": sum(batch.counts.rejected.values()),
            "num_pending_documents": self.ledger.num_pending(batch.domain) + num_new,
            "min_new_documents": self.rules.min_new_documents,
            "changed": batch.counts.changed,
            "masked": batch.counts.masked,
            "rejected": batch.counts.rejected,
        }


def _not_restorable(cleaned: CleanedTable) -> RequestRefused:
    if Reason.MADE_FROM_HELD_OUT in cleaned.counts.rejected:
        return RequestRefused(
            409, "held-out", "It would give the test away", "the document was made from one that is for evaluation only",
            next_step="make texts only from what is trained on, as `plumb augment` does",
        )  # fmt: skip
    return RequestRefused(
        409, "nothing-left", "Nothing is left of the document", "its text is empty once it is cleaned",
        next_step="send it again with a text",
    )  # fmt: skip


def outcomes(event: BatchCleaned) -> Counter[str]:
    """Return how many documents had which outcome."""
    return Counter(
        {
            "new": event.num_new_documents,
            "duplicate": event.num_duplicate_documents,
            "rejected": event.num_rejected_documents,
        }
    )
