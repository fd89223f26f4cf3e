"""The refs that the cleaner writes for others."""

from contracts.corpus import BatchCleaned, CorpusVersioned
from shared.artifacts import ArtifactStore
from shared.releases import decided_ref


def mark_cleaned(store: ArtifactStore, event: BatchCleaned) -> None:
    """Write the ref that tells ingest that a batch needs no announcement any more."""
    store.write_ref(f"cleaned/{event.domain}/{event.batch_id}", event.model_dump_json().encode())


def point_at_latest(store: ArtifactStore, event: CorpusVersioned) -> None:
    """Write the ref of a domain's latest corpus version."""
    store.write_ref(f"corpus/{event.domain}/latest", event.model_dump_json().encode())


def is_decided(store: ArtifactStore, event: CorpusVersioned) -> bool:
    """Whether the release-manager has taken the judgement that a version led to."""
    return store.read_ref(decided_ref(event.domain, event.corpus_digest)) is not None
