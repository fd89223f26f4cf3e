"""Corpus versions and tokenizers, as the artifact store holds them."""

from tokenizers import Tokenizer

from contracts.envelope import Digest
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.spread import parts_of
from shared.artifacts import ArtifactStore
from shared.corpus import read_content_keys, read_records


def read_texts(store: ArtifactStore, corpus_digest: Digest, serving_corpus_digest: Digest | None) -> CorpusTexts:
    """Return a corpus version's texts; new are those that the serving bundle's version lacks, all if nothing serves.

    Raises:
        ArtifactMissing: A version, or a shard of the first one, is gone.
        ArtifactCorrupt: It is damaged.
    """
    known = read_content_keys(store, serving_corpus_digest) if serving_corpus_digest else frozenset()
    new: list[str] = []
    old: list[str] = []
    training: list[str] = []
    held_out: list[str] = []
    labels: list[str | None] = []
    groups: list[str] = []
    for record in read_records(store, corpus_digest):
        text = record.document.text
        (old if record.content_key in known else new).append(text)
        (held_out if record.held_out else training).append(text)
        if not record.held_out:
            labels.append(record.document.label)
            groups.append(record.document.split_group)
    return CorpusTexts(new=new, old=old, training=training, held_out=held_out, parts=parts_of(labels, groups))


def read_training_texts(store: ArtifactStore, corpus_digest: Digest) -> list[str]:
    """Return the texts of a corpus version that are not held out.

    Raises:
        ArtifactMissing: The version, or a shard of it, is gone.
        ArtifactCorrupt: It is damaged.
    """
    return [record.document.text for record in read_records(store, corpus_digest) if not record.held_out]


def read_tokenizer(store: ArtifactStore, digest: Digest) -> Tokenizer:
    """Return a tokenizer.

    Raises:
        ArtifactMissing: It is gone.
    """
    return Tokenizer.from_str(store.read_bytes(digest).decode())
