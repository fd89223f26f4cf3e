"""How a made text is marked, and what must be the same in it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.corpus import is_held_out
from shared.word_pairs import MODALS, NEGATIONS, NUMERALS

MEANING = NUMERALS | NEGATIONS | MODALS | frozenset("0123456789０１２３４５６７８９.%％‰")
"""Characters that a made text has as often as its original: a norm with another number or negation is another norm."""


class Method(StrEnum):
    """How a text was made."""

    SYNONYMS = "synonyms"
    BACK_TRANSLATION = "back-translation"


@dataclass(frozen=True, kw_only=True)
class TrainingText:
    """A text with what decides where it may be used.

    Attributes:
        group: What must fall on one side of the held-out split; a made text has its original's.
        labels: A made text has its original's.
        augmented_from: SHA-256 of the original text as 64 hexadecimal digits; None: it is an original.
        method: How it was made; None: it is an original.
    """

    text: str
    group: str
    labels: tuple[str, ...] = ()
    augmented_from: str | None = None
    method: Method | None = None


def may_be_augmented(original: TrainingText) -> bool:
    """Whether texts may be made from a text: from an original that is not held out."""
    return original.augmented_from is None and not is_held_out(original.group)


def for_evaluation(texts: Iterable[TrainingText]) -> list[TrainingText]:
    """Return the originals among the held-out texts; nothing that was made is ever measured with."""
    return [one for one in texts if one.augmented_from is None and is_held_out(one.group)]


def meaning_markers(text: str) -> Counter[str]:
    """Return how often each digit, numeral, negation and modal character stands in a text."""
    return Counter(character for character in text if character in MEANING)
