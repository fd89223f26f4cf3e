"""Corpus versions, tokenizers and bundles, as the artifact store holds them."""

from tokenizers import Tokenizer

from contracts.envelope import Digest
from services.tokenizer_builder.core.job import CorpusTexts
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.corpus import is_held_out, read_manifest, read_shard


def read_texts(store: ArtifactStore, corpus_digest: Digest) -> CorpusTexts:
    """Return a corpus version's texts.

    Raises:
        ArtifactMissing: The version, or one of its shards, is gone.
        ArtifactCorrupt: It is damaged.
    """
    manifest = read_manifest(store, corpus_digest)
    new_ids = frozenset(manifest.new_batch_ids)
    new: list[str] = []
    old: list[str] = []
    training: list[str] = []
    for batch in manifest.batches:
        side = new if batch.batch_id in new_ids else old
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


def tokenizer_of(store: ArtifactStore, bundle_digest: Digest) -> Digest:
    """Return the tokenizer of a bundle.

    Raises:
        ArtifactMissing: The bundle's manifest is gone.
    """
    return bundle.read_manifest(store, bundle_digest).parents.tokenizer_digest
