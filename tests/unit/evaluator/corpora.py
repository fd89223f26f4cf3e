"""Corpus versions for the evaluator's tests; groups are chosen by their side of the held-out split."""

from collections.abc import Sequence
from itertools import count, islice
from uuid import UUID

from contracts.corpus import Document
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusBatch, CorpusManifest, is_held_out, write_manifest, write_shard

HELD_OUT = list(islice((f"law {n}" for n in count() if is_held_out(f"law {n}")), 4))
TRAINING = next(f"law {n}" for n in count() if not is_held_out(f"law {n}"))


def documents(label: str | None, texts: Sequence[str], *, group: str = HELD_OUT[0], prefix: str = "") -> list[Document]:
    """Return documents with ids of their own."""
    return [
        Document(document_id=f"{prefix}{label}-{number}", text=text, label=label, group=group)
        for number, text in enumerate(texts)
    ]


def write_version(store: ArtifactStore, *batches: Sequence[Document], number: int = 1) -> str:
    """Store a corpus version of these batches; the batch at an index always has the same id."""
    written = [
        CorpusBatch(
            batch_id=UUID(int=index), event_id=UUID(int=100 + index), shard_digest=write_shard(store, batch),
            num_documents=len(batch), traceparent=None,
        )
        for index, batch in enumerate(batches)
    ]  # fmt: skip
    manifest = CorpusManifest(
        domain="law", number=number, parent_digest=None, batches=tuple(written),
        new_batch_ids=tuple(batch.batch_id for batch in written),
    )  # fmt: skip
    return write_manifest(store, manifest)
