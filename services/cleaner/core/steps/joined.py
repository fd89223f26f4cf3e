"""A batch of documents as one array of code points, so that a question is asked of all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps.traits import SEPARATOR, Trait, trait_table

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class JoinedTexts:
    """Documents one after the other, each followed by a separator that no text holds.

    Attributes:
        text: The documents with a line feed for the separator.
        codes: Code points, shape [characters + documents]; the separator is 0x110000.
        traits: Kind and traits of each, same shape.
        starts: Where each document begins, shape [documents].
        ends: Where its separator is, shape [documents].
    """

    text: str
    codes: npt.NDArray[np.uint32]
    traits: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Join the texts."""
        text = "\n".join(texts) + "\n"
        # Half of a surrogate pair is no character; it passes here, for the step that removes it to find.
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1) - 1
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
        codes[ends] = SEPARATOR
        return cls(text=text, codes=codes, traits=np.take(trait_table(), codes), starts=starts, ends=ends)

    @cached_property
    def _present(self) -> npt.NDArray[np.uint32]:
        return np.bitwise_or.reduceat(self.traits, self.starts)

    def has(self, *traits: Trait) -> Flags:
        """Return which documents hold a character with one of the traits."""
        return _any_of(self._present, traits)

    def at(self, *traits: Trait) -> Flags:
        """Return which characters have one of the traits."""
        return _any_of(self.traits, traits)

    def documents_at(self, places: npt.NDArray[np.int64]) -> Flags:
        """Return which documents the places, in increasing order or not, are in."""
        flags = np.zeros(len(self.starts), np.bool_)
        flags[np.searchsorted(self.starts, places, side="right") - 1] = True
        return flags

    def documents_with(self, characters: Flags) -> Flags:
        """Return which documents one of the marked characters is in; marks may be fewer than characters (at the end)."""
        return self.documents_at(np.flatnonzero(characters))


def _any_of(bits: npt.NDArray[np.uint32], traits: Sequence[Trait]) -> Flags:
    flags: Flags = (bits & np.uint32(sum(traits))) != 0
    return flags


def runs(characters: Flags, length: int) -> Flags:
    """Return where at least `length` (2 or more) marked characters begin, one after the other.

    Doubles the window, so that a long run costs little more than a short one.
    """
    window, found = 1, characters
    while window < length:
        step = min(window, length - window)
        found = found[: len(found) - step] & found[step:] if len(found) > step else found[:0]
        window += step
    return found
