"""One batch into ledger and index, by the cleaner that has its domain. Synchronous: it computes, so it runs in a thread.

In batches of 10,000 documents, as large uploads become, 89 % of the CPU time go into the steps, which any cleaner may do
(`services.cleaner.preparing`), and 11 % into what is here, one batch at a time in the order of the ledger. The one that has it
to do gets fewer batches for the steps (`shared.membership.partition_in_turn`), so two cleaners are 1.7 times as fast as one. In
batches of 500 it is 29 %, most of it for the batch and not for its documents, and two are 1.4 times as fast. So the
near-duplicate index is not shared out by bands: each owner would need all of the columns, and hand its pairs over.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa

from contracts.corpus import BatchCleaned, BatchPrepared, BatchReceived
from contracts.envelope import derived_id
from services.cleaner.core.cleaned_tables import CleanedTable, clean_table
from services.cleaner.core.cleaning import UNKNOWN, DomainLanguage
from services.cleaner.core.steps.quality import Reason
from services.cleaner.domain_index import Found
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import CleanedBatch, Ledger
from services.cleaner.preparing import StoredTable, check_there, prepare_table, store_table
from services.cleaner.settings import CleaningRules, CorpusRules
from shared.artifacts import ArtifactStore
from shared.errors import RequestRefused


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
        return self.take(self.prepare(event), traceparent=traceparent, now=now)

    def prepare(self, event: BatchReceived) -> BatchPrepared:
        """Take a batch through the steps, whoever has its domain; one that the ledger knows is left as it is.

        Raises:
            ArtifactMissing: Its raw documents are gone.
            ArtifactCorrupt: They are damaged.
        """
        known = self.ledger.batch(event.batch_id)
        stored = StoredTable.known_of(known) if known else self._prepared(event)
        return stored.said_after(event)

    def _prepared(self, event: BatchReceived) -> StoredTable:
        language = self.languages.get(event.domain, UNKNOWN)
        return prepare_table(self.store, self.indexes.facts_files, event, self.cleaning, language)

    def take(self, event: BatchPrepared, *, traceparent: str | None, now: datetime) -> BatchCleaned:
        """Take a prepared batch into ledger and index; return what it added, or what was said of it before.

        Raises:
            ArtifactMissing: What it was made into is gone.
            ArtifactCorrupt: It is damaged, or of another batch.
        """
        if (before := self.ledger.batch_event(event.batch_id)) is not None:
            return before
        batch = self.ledger.batch(event.batch_id)
        if batch is None:
            stored = StoredTable.told_by(event)
            check_there(self.store, self.indexes.facts_files, stored)
            batch = stored.as_batch(
                event.domain, event.batch_id, event_id=event.causation_id, traceparent=traceparent, now=now
            )
            self.ledger.add_batch(batch)
        return self._said(batch, derived_id(batch.event_id, BatchCleaned.__name__, ""), now)

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
        made = store_table(self.store, self.indexes.facts_files, cleaned).as_batch(
            batch.domain, batch_id, event_id=batch.event_id, traceparent=batch.traceparent, now=now
        )
        self.ledger.add_batch(made)
        return self._said(made, derived_id(batch_id, BatchCleaned.__name__), now)

    def _said(self, batch: CleanedBatch, event_id: UUID, now: datetime) -> BatchCleaned:
        """Take a batch of the ledger into the index, and return what is said of it for good."""
        batch, found = self.indexes.take(batch.domain, batch.batch_id)
        event = BatchCleaned(
            event_id=event_id,
            causation_id=batch.event_id,
            occurred_at=now,
            domain=batch.domain,
            batch_id=batch.batch_id,
            shard_digest=batch.shard_digest,
            min_new_documents=self.rules.min_new_documents,
            **self._counted(batch, found),
            **batch.counts.model_dump(),
        )
        return self.ledger.add_batch_event(event)

    def _counted(self, batch: CleanedBatch, found: Found) -> dict[str, Any]:
        num_new = batch.num_documents - found.num_duplicates - found.num_near_duplicates
        num_rejected = sum(batch.counts.rejected.values())
        return {
            "num_documents": batch.num_documents + num_rejected,
            "num_new_documents": num_new,
            "num_duplicate_documents": found.num_duplicates + found.num_near_duplicates,
            "num_near_duplicate_documents": found.num_near_duplicates,
            "num_rejected_documents": num_rejected,
            "num_pending_documents": self.ledger.num_pending(batch.domain) + num_new,
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
