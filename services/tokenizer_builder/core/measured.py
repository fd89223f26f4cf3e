"""The texts on which a serving tokenizer, and what could take its place, are measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.settings import TokenizerRules

KEPT_BACK_PER = 10
"""One of so many characters of new text is kept back from a trial,"""
LEARNT_TOO = 2
"""if the new text is so many times as long: the trial must learn from new text, too."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Texts, and what they are, for people.

    Attributes:
        told: Ends a reason; empty where there is nothing to be said.
    """

    texts: Sequence[str]
    told: str = ""


def judged_on(new: Sequence[str], old: Sequence[str], rules: TokenizerRules) -> Measured:
    """Return the text that says whether a tokenizer still fits: the new one, filled up with older text if it is too short.

    In a few lines one rare character is a percent. A corpus version that adds nothing is judged on nothing, and holds.

    Args:
        new: Texts that the corpus version adds.
        old: The texts before.
        rules: Say how much is enough, and how much is looked at.
    """
    sample = bpe.thin(new, max_chars=rules.max_measure_chars)
    num_new = sum(map(len, sample))
    lacking = rules.min_judged_chars - num_new
    if lacking <= 0 or not num_new:
        return Measured(texts=sample)
    before = bpe.thin(old, max_chars=lacking)
    told = (
        f"judged on {num_new:,} new characters and {sum(map(len, before)):,} from before, since fewer than"
        f" {rules.min_judged_chars:,} are new"
    )
    return Measured(texts=[*sample, *before], told=told)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a new tokenizer is built from on trial, and the text on which it is compared with the serving one.

    Attributes:
        training: The texts that it learns from.
        texts: The texts that both are measured on.
        told: What those are, for people.
    """

    training: Sequence[str]
    texts: Sequence[str]
    told: str


def trial_of(corpus: CorpusTexts, judged: Measured, rules: TokenizerRules) -> Trial:
    """Return a trial on new text that the new tokenizer has not seen, since it fits what it learnt from in any case.

    That is the held-out part of the new text; where it is too short, a tenth of the rest, which the trial does not learn from;
    where that is too short as well, there is nothing but the text that it learnt from.

    Args:
        corpus: The corpus version's texts.
        judged: What says whether the serving tokenizer fits.
        rules: Say how much is enough.
    """
    held_out = set(corpus.held_out)
    unseen = [text for text in corpus.new if text in held_out]
    if sum(map(len, unseen)) >= rules.min_judged_chars:
        return Trial(
            training=corpus.training, texts=bpe.thin(unseen, max_chars=rules.max_measure_chars), told="held-out text"
        )
    seen = [text for text in corpus.new if text not in held_out]
    size = max(rules.min_judged_chars, sum(map(len, seen)) // KEPT_BACK_PER)
    kept_back = set(bpe.thin(seen, max_chars=size))
    training = [text for text in corpus.training if text[:size] not in kept_back]
    if sum(map(len, seen)) >= LEARNT_TOO * size and training:
        texts = bpe.thin(sorted(kept_back), max_chars=rules.max_measure_chars)
        return Trial(training=training, texts=texts, told="text kept back from it")
    return Trial(training=corpus.training, texts=judged.texts, told="text that it learnt from")
