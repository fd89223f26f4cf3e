"""The refs that the cleaner writes for others."""

from contracts.corpus import BatchCleaned, CorpusVersioned
from shared.artifacts import ArtifactStore


def mark_cleaned(store: ArtifactStore, event: BatchCleaned) -> None:
    """Write the ref that tells ingest that a batch needs no announcement any more."""
    store.write_ref(f"cleaned/{event.domain}/{event.batch_id}", event.model_dump_json().encode())


def point_at_latest(store: ArtifactStore, event: CorpusVersioned) -> None:
    """Write the ref of a domain's latest corpus version."""
    store.write_ref(f"corpus/{event.domain}/latest", event.model_dump_json().encode())
