"""Corpus versions, tokenizers and bundles, as the artifact store holds them."""

from tokenizers import Tokenizer

from contracts.envelope import Digest
from services.tokenizer_builder.core.job import CorpusTexts
from shared.artifacts import ArtifactStore
from shared.corpus import is_held_out, read_manifest, read_shard


def read_texts(store: ArtifactStore, corpus_digest: Digest, serving_corpus_digest: Digest | None) -> CorpusTexts:
    """Return a corpus version's texts; new are those that the serving bundle's version lacks, all if nothing serves.

    Raises:
        ArtifactMissing: A version, or a shard of the first one, is gone.
        ArtifactCorrupt: It is damaged.
    """
    known = read_manifest(store, serving_corpus_digest).batches if serving_corpus_digest else ()
    known_ids = frozenset(batch.batch_id for batch in known)
    new: list[str] = []
    old: list[str] = []
    training: list[str] = []
    for batch in read_manifest(store, corpus_digest).batches:
        side = old if batch.batch_id in known_ids else new
        for document in read_shard(store, batch.shard_digest):
            side.append(document.text)
            if not is_held_out(document.split_group):
                training.append(document.text)
    return CorpusTexts(new=new, old=old, training=training)


def read_tokenizer(store: ArtifactStore, digest: Digest) -> Tokenizer:
    """Return a tokenizer.

    Raises:
        ArtifactMissing: It is gone.
    """
    return Tokenizer.from_str(store.read_bytes(digest).decode())
