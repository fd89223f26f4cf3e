"""The held-out documents of a corpus version, as the artifact store holds them."""

from collections.abc import Iterator

from contracts.envelope import Digest
from services.evaluator.core import Question
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.corpus import read_content_keys, read_records


def held_out_questions(
    store: ArtifactStore, corpus_digest: Digest, serving_digest: Digest | None
) -> Iterator[Question]:
    """Yield the labelled held-out documents of a corpus version.

    Raises:
        ArtifactMissing: The version, a shard of it, or the serving bundle is gone.
        ArtifactCorrupt: One of them is damaged.
    """
    known = _known_documents(store, serving_digest)
    for record in read_records(store, corpus_digest):
        if record.document.label and record.is_for_evaluation:
            yield Question(record.document.text, record.document.label, is_new=record.content_key not in known)


def _known_documents(store: ArtifactStore, serving_digest: Digest | None) -> frozenset[int]:
    if serving_digest is None:
        return frozenset()
    return read_content_keys(store, bundle.read_manifest(store, serving_digest).parents.corpus_digest)
