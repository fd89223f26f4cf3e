"""The texts on which a serving tokenizer, and what could take its place, are measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.settings import TokenizerRules


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
