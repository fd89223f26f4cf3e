"""Corpus versions as the cleaner makes them, for the tests of those who read them."""

import hashlib
from collections.abc import Sequence
from uuid import UUID, uuid5

from contracts.corpus import Document
from shared.artifacts import ArtifactStore
from shared.corpus import (
    CorpusBatch,
    CorpusManifest,
    CorpusRecord,
    CorpusShard,
    content_key,
    is_held_out,
    record_digest,
    records_table,
    write_manifest,
    write_shard,
)
from shared.shards import write_table


def record_of(document: Document) -> CorpusRecord:
    entities = [entity.model_dump() for entity in document.entities]
    return CorpusRecord(
        document=document,
        digest=record_digest(document),
        held_out=is_held_out(document.split_group),
        content_key=content_key(document.text, document.label, document.labels, entities),
    )


def manifest_of(
    store: ArtifactStore, *batches: Sequence[Document], number: int = 1, parent: str | None = None
) -> CorpusManifest:
    """Store the shards of a version of these batches; the last one is new, and a batch at a place always has the same id."""
    written = tuple(
        CorpusBatch(
            batch_id=uuid5(UUID(int=1), str(place)), event_id=uuid5(UUID(int=2), str(place)),
            shard_digest=write_shard(store, batch), num_documents=len(batch), traceparent=None,
        )
        for place, batch in enumerate(batches)
    )  # fmt: skip
    records = [record_of(document) for batch in batches for document in batch]
    shard = CorpusShard(digest=write_table(store, records_table(records)), num_documents=len(records))
    content = hashlib.sha256(b"".join(sorted(record.digest for record in records))).hexdigest()
    return CorpusManifest(
        domain="law", number=number, parent_digest=parent, content_digest=content, shards=(shard,), batches=written,
        new_batch_ids=tuple(batch.batch_id for batch in written[-1:]),
    )  # fmt: skip


def write_version(
    store: ArtifactStore, *batches: Sequence[Document], number: int = 1, parent: str | None = None
) -> str:
    """Store a corpus version of these batches and return its digest."""
    return write_manifest(store, manifest_of(store, *batches, number=number, parent=parent))
