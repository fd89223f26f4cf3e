"""Which batches a rollback speaks against."""

from uuid import UUID

from contracts.release import Cause, Phase, ReleaseChanged
from shared.corpus import CorpusManifest


def speaks_against_data(event: ReleaseChanged) -> bool:
    """Whether a bundle was taken back for its answers' quality while another one serves.

    A drill, an operator's word, latency and errors say nothing about the data. Without a serving bundle there is nothing to
    compare with, and the whole corpus would go.
    """
    return (
        event.phase is Phase.ROLLED_BACK
        and event.cause is Cause.QUALITY
        and event.bundle_digest is not None
        and event.state.serving_digest is not None
        and event.state.serving_digest != event.bundle_digest
    )


def only_in(bad: CorpusManifest, good: CorpusManifest) -> tuple[UUID, ...]:
    """Return the batches that only the bad bundle's corpus version holds, oldest first."""
    known = {batch.batch_id for batch in good.batches}
    return tuple(batch.batch_id for batch in bad.batches if batch.batch_id not in known)
