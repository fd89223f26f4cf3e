"""A batch from raw documents to artifacts. Most of the cleaner's work, and a function of documents and rules alone.

So any cleaner may do it for any domain, at any time and again: a repeat writes the same artifacts and says the same. What is left
for the one that has the domain (`services.cleaner.batches`) needs all that came before it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

import pyarrow as pa

from contracts.corpus import BatchPrepared, BatchReceived
from contracts.envelope import Digest
from services.cleaner.core.cleaned_tables import CleanedTable, CleaningCounts, clean_table
from services.cleaner.core.cleaning import DomainLanguage
from services.cleaner.core.facts import Facts, document_digests
from services.cleaner.core.near.fingerprints import fingerprints
from services.cleaner.facts_files import FactsFiles
from services.cleaner.ledger import CleanedBatch
from services.cleaner.settings import CleaningRules
from shared.artifacts import ArtifactStore
from shared.corpus import CORPUS_SCHEMA, DIGEST
from shared.errors import ArtifactCorrupt, ArtifactMissing
from shared.shards import SCHEMA, read_table, write_table


@dataclass(frozen=True, kw_only=True)
class StoredTable:
    """What the steps made of a batch, as artifacts; the names are those of `BatchPrepared`."""

    shard_digest: Digest
    facts_digest: Digest
    removed_digest: Digest
    num_documents: int
    counts: CleaningCounts

    @classmethod
    def told_by(cls, event: BatchPrepared) -> Self:
        """Return what another cleaner says that it has stored."""
        return cls(
            shard_digest=event.shard_digest,
            facts_digest=event.facts_digest,
            removed_digest=event.removed_digest,
            num_documents=event.num_documents,
            counts=CleaningCounts(changed=event.changed, masked=event.masked, rejected=event.rejected),
        )

    @classmethod
    def known_of(cls, batch: CleanedBatch) -> Self:
        """Return what was stored of a batch that the ledger knows."""
        return cls(
            shard_digest=batch.shard_digest,
            facts_digest=batch.facts_digest,
            removed_digest=batch.removed_digest,
            num_documents=batch.num_documents,
            counts=batch.counts,
        )

    def said_after(self, event: BatchReceived) -> BatchPrepared:
        """Return the event that hands the batch over: the same whenever it is said."""
        return BatchPrepared.caused_by(
            event,
            now=event.occurred_at,
            batch_id=event.batch_id,
            shard_digest=self.shard_digest,
            facts_digest=self.facts_digest,
            removed_digest=self.removed_digest,
            num_documents=self.num_documents,
            **self.counts.model_dump(),
        )

    def as_batch(
        self, domain: str, batch_id: UUID, *, event_id: UUID, traceparent: str | None, now: datetime
    ) -> CleanedBatch:
        """Return what the ledger remembers.

        Args:
            domain: Of the batch.
            batch_id: Its id.
            event_id: The `batch-received` event.
            traceparent: W3C trace context of the batch.
            now: The time at which it is taken in.
        """
        return CleanedBatch(
            domain=domain,
            batch_id=batch_id,
            event_id=event_id,
            traceparent=traceparent,
            shard_digest=self.shard_digest,
            facts_digest=self.facts_digest,
            removed_digest=self.removed_digest,
            num_documents=self.num_documents,
            counts=self.counts,
            cleaned_at=now,
        )


def prepare_table(
    store: ArtifactStore, files: FactsFiles, event: BatchReceived, rules: CleaningRules, language: DomainLanguage
) -> StoredTable:
    """Take a batch's documents through the steps, and store what comes of them.

    Args:
        store: Has the raw documents, and gets what comes of them.
        files: Get what is known of each.
        event: The batch.
        rules: Which steps there are; all cleaners have the same.
        language: What is known of the domain's language; all cleaners know the same.

    Raises:
        ArtifactMissing: Its raw documents are gone.
        ArtifactCorrupt: They are damaged.
    """
    raw = read_table(store, event.raw_digest).select(SCHEMA.names).cast(SCHEMA)
    return store_table(store, files, clean_table(raw, rules, language))


def store_table(store: ArtifactStore, files: FactsFiles, cleaned: CleanedTable) -> StoredTable:
    """Store documents that went through the steps, with what is known of each."""
    digests = document_digests(cleaned.kept)
    facts = Facts.of(cleaned.kept, digests)
    shard = cleaned.kept.append_column(CORPUS_SCHEMA.field(DIGEST), pa.array(digests, pa.binary(32)))
    return StoredTable(
        shard_digest=write_table(store, shard),
        facts_digest=files.write(facts, fingerprints(cleaned.kept["text"].to_pylist())),
        removed_digest=write_table(store, cleaned.removed),
        num_documents=len(cleaned.kept),
        counts=cleaned.counts,
    )


def check_there(store: ArtifactStore, files: FactsFiles, stored: StoredTable) -> None:
    """See that what another cleaner stored is there, before a ledger counts on it for good.

    Raises:
        ArtifactMissing: An artifact is not there.
        ArtifactCorrupt: It is something else, or of another batch.
    """
    for digest in (stored.shard_digest, stored.removed_digest):
        if not store.exists(digest):
            msg = f"no artifact has the digest {digest}"
            raise ArtifactMissing(
                msg, next_step="see that all cleaners use one artifact store, PLUMBLINE_ARTIFACTS__URL"
            )
    num_known = len(files.read_ahead(stored.facts_digest).facts)
    if num_known != stored.num_documents:
        msg = f"artifact {stored.facts_digest} knows {num_known:,} documents of a batch of {stored.num_documents:,}"
        raise ArtifactCorrupt(msg, next_step="send the batch again")
