"""What the child process is told, what it reads, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.envelope import Contract, Digest, Domain
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules


class Job(Contract):
    """One run.

    Attributes:
        artifacts_url: Where the corpus is, and where the tokenizer goes.
        serving_tokenizer_digest: The tokenizer of the bundle that serves, if one does.
        serving_corpus_digest: The corpus version that this bundle was trained on.
    """

    artifacts_url: str
    domain: Domain
    corpus_digest: Digest
    serving_tokenizer_digest: Digest | None
    serving_corpus_digest: Digest | None
    rules: TokenizerRules
    lexicon_rules: LexiconRules


class Fitted(Contract):
    """What a run ended with: coverage and tokens per character are those of the new text."""

    tokenizer_digest: Digest
    vocab_size: int
    reused: bool
    coverage: float
    tokens_per_char: float
    decision: Literal["built", "reused", "extended", "rebuilt"]
    reason: str
    parent_tokenizer_digest: Digest | None
    num_new_tokens: int
    lexicon_digest: Digest
    report_digest: Digest


@dataclass(frozen=True, kw_only=True)
class CorpusTexts:
    """A corpus version's texts.

    Attributes:
        new: Those of the batches that the serving bundle's corpus version lacks, held-out ones included.
        old: The rest.
        training: All but the held-out ones.
        held_out: The held-out ones.
        parts: The part of the corpus that each of `training` belongs to, see `spread.parts_of`; empty: nobody knows.
    """

    new: Sequence[str]
    old: Sequence[str]
    training: Sequence[str]
    held_out: Sequence[str]
    parts: Sequence[str | None] = ()
