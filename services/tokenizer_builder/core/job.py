"""What the child process is told, what it answers, and the decision between."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from contracts.envelope import Contract, Digest
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.fit import Fit, keep_or_rebuild, measure
from services.tokenizer_builder.settings import TokenizerRules
from shared.errors import RunFailed


class Job(Contract):
    """One run.

    Attributes:
        artifacts_url: Where the corpus is, and where the tokenizer goes.
        serving_tokenizer_digest: The tokenizer of the bundle that serves, if one does.
        serving_corpus_digest: The corpus version that this bundle was trained on.
    """

    artifacts_url: str
    corpus_digest: Digest
    serving_tokenizer_digest: Digest | None
    serving_corpus_digest: Digest | None
    rules: TokenizerRules


class Fitted(Contract):
    """What a run ended with: coverage and tokens per character are those of the new text."""

    tokenizer_digest: Digest
    vocab_size: int
    reused: bool
    coverage: float
    tokens_per_char: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class CorpusTexts:
    """A corpus version's texts.

    Attributes:
        new: Those of the batches that the serving bundle's corpus version lacks, held-out ones included.
        old: The rest.
        training: All but the held-out ones.
    """

    new: Sequence[str]
    old: Sequence[str]
    training: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The tokenizer for a corpus version, how it fits the new text, and why this one."""

    tokenizer: Tokenizer
    fit: Fit
    kept: bool
    reason: str


def choose(texts: CorpusTexts, serving: Tokenizer | None, rules: TokenizerRules) -> Choice:
    """Return the serving tokenizer if it still fits, else a new one.

    Raises:
        RunFailed: There is no training text to build from.
    """
    new = bpe.thin(texts.new, max_chars=rules.max_measure_chars)
    reason = "built: nothing serves yet"
    if serving is not None:
        on_new = measure(serving, new)
        on_old = measure(serving, bpe.thin(texts.old, max_chars=rules.max_measure_chars))
        verdict = keep_or_rebuild(on_new, on_old, rules)
        if verdict.keep:
            return Choice(tokenizer=serving, fit=on_new, kept=True, reason=verdict.reason)
        reason = verdict.reason
    if not texts.training:
        raise RunFailed("the corpus version holds no training document, all are held out for evaluation")
    training = bpe.thin(texts.training, max_chars=rules.max_build_chars)
    built = bpe.train(training, vocab_size=rules.vocab_size, max_token_chars=rules.max_token_chars)
    return Choice(tokenizer=built, fit=measure(built, new), kept=False, reason=reason)
