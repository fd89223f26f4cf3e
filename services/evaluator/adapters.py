"""The held-out documents of a corpus version, as the artifact store holds them."""

from collections.abc import Iterator
from uuid import UUID

from contracts.envelope import Digest
from services.evaluator.core import Question
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.corpus import is_held_out, read_manifest, read_shard


def held_out_questions(
    store: ArtifactStore, corpus_digest: Digest, serving_digest: Digest | None
) -> Iterator[Question]:
    """Yield the labelled held-out documents of a corpus version.

    Raises:
        ArtifactMissing: The version, a shard of it, or the serving bundle is gone.
        ArtifactCorrupt: One of them is damaged.
    """
    known = _known_batches(store, serving_digest)
    for batch in read_manifest(store, corpus_digest).batches:
        for document in read_shard(store, batch.shard_digest):
            if document.label and is_held_out(document.split_group):
                yield Question(document.text, document.label, is_new=batch.batch_id not in known)


def _known_batches(store: ArtifactStore, serving_digest: Digest | None) -> frozenset[UUID]:
    if serving_digest is None:
        return frozenset()
    corpus_digest = bundle.read_manifest(store, serving_digest).parents.corpus_digest
    return frozenset(batch.batch_id for batch in read_manifest(store, corpus_digest).batches)
