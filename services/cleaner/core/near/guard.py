"""The guard: what must agree before one of two similar texts may be dropped.

Statutes are not web pages: of the pairs of real articles with a similarity of 0.8 or more, two in five differ in a number, a
negation or a modal word. The guard of a text is a hash of the sequence of these: also a number that moves to another subject
changes the law. Numbers are compared by value and with what they count: 三年 and 3年 agree, 三年 and 三月 do not.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import Codepoints
from services.cleaner.core.near.guard_english import english_words
from services.cleaner.core.near.guard_numbers import numbers
from services.cleaner.core.near.guard_tables import (
    ALWAYS_COUNTS,
    CODE_BITS,
    COUNTS_ONLY,
    COUNTS_UNLESS,
    LETTER,
    NUMERAL,
    POINT,
    tables,
)
from services.cleaner.core.near.guard_words import NUMERALS_IN_WORDS
from services.cleaner.core.near.sketch import mixed

GUARD_FORMAT: Final = 2
"""Raised with any change of what a text's guard is: guards of two formats cannot be compared."""

T = TypeVar("T", np.bool_, np.uint8)

_SPACE = 0x20
_IN_WORDS = [ord(numeral) for numeral in NUMERALS_IN_WORDS]
_LONGER_FORM = np.uint64(32)
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Marks:
    """The characters that may matter to the guard, about a fifth of all.

    Attributes:
        place: Where in the texts. Shape (marks,), ascending, as all of these.
        text: Which text.
        kind: See `guard_tables`.
        before: The character before it, a space passed over; 0 at the beginning of the text.
        own: The character.
        behind: The character behind it, likewise.
    """

    place: NDArray[np.int64]
    text: NDArray[np.int64]
    kind: NDArray[np.uint8]
    before: NDArray[np.uint32]
    own: NDArray[np.uint32]
    behind: NDArray[np.uint32]

    def some(self, which: NDArray[np.int64]) -> "Marks":
        """Return some of the marks."""
        return Marks(
            self.place[which],
            self.text[which],
            self.kind[which],
            self.before[which],
            self.own[which],
            self.behind[which],
        )


def guards(texts: Codepoints) -> NDArray[np.uint64]:
    """Return each text's guard: equal for texts with the same numbers, negations and modal words in the same order.

    Args:
        texts: Few enough to stay in the cache.

    Returns:
        Hashes; 0 of a text without any of these. Shape (texts,).
    """
    marks = _marks(texts)
    hashes = np.zeros(len(marks.place), dtype=np.uint64)
    are_words = np.flatnonzero(_are_words(texts, marks))
    hashes[are_words] = _words(marks.some(are_words))
    numerals = np.flatnonzero(_are_numerals(marks))
    if len(numerals):
        some = marks.some(numerals)
        firsts, values = numbers(texts, some.place, some.text, some.own, some.behind)
        hashes[numerals[firsts]] = values
    letters = np.flatnonzero(marks.kind == LETTER)
    if len(letters):
        firsts, values = english_words(
            marks.place[letters], marks.text[letters], marks.own[letters], marks.behind[letters]
        )
        hashes[letters[firsts]] = values
    counts = np.flatnonzero(hashes)
    return _digests(hashes[counts], marks.text[counts], len(texts.ends))


def _marks(texts: Codepoints) -> Marks:
    kinds = tables().kind.take(texts.values)
    place = np.flatnonzero(kinds)
    text = np.searchsorted(texts.ends, place, side="right")
    starts, ends = texts.starts.take(text), texts.ends.take(text)
    values = texts.values
    return Marks(
        place,
        text,
        kinds.take(place),
        _neighbours(values, place, -1, starts, ends),
        values.take(place),
        _neighbours(values, place, 1, starts, ends),
    )


def _neighbours(
    values: NDArray[np.uint32],
    place: NDArray[np.int64],
    step: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.uint32]:
    """Return the characters before or behind; 5 年 is written for 5年, so one space is passed over."""
    at = place + step
    found = values.take(at, mode="clip")
    spaces = np.flatnonzero(found == _SPACE)
    at[spaces] += step
    found[spaces] = values.take(at[spaces], mode="clip")
    found[(at < starts) | (at >= ends)] = 0
    return found


def _are_words(texts: Codepoints, marks: Marks) -> NDArray[np.bool_]:
    counts: NDArray[np.bool_] = marks.kind == ALWAYS_COUNTS
    unless = np.flatnonzero(marks.kind == COUNTS_UNLESS)
    some = marks.some(unless)
    counts[unless] = ~_in_word(some, tables().unless) | (_in_word(some, tables().longer) > 0)
    silent = unless[~counts[unless]]
    counts[silent] = _are_continued(texts, marks.some(silent))
    only = np.flatnonzero(marks.kind == COUNTS_ONLY)
    counts[only] = _in_word(marks.some(only), tables().only)
    return counts


def _are_continued(texts: Codepoints, marks: Marks) -> NDArray[np.bool_]:
    """Return which marks and the two characters behind them are one of `CONTINUED`."""
    third_at = marks.place + 2
    third = texts.values.take(third_at, mode="clip").astype(np.uint64)
    own, behind, bits = marks.own.astype(np.uint64), marks.behind.astype(np.uint64), np.uint64(CODE_BITS)
    packed = (own << bits | behind) << bits | third
    continued = tables().continued
    listed: NDArray[np.bool_] = continued.take(np.searchsorted(continued, packed), mode="clip") == packed
    listed &= third_at < texts.ends.take(marks.text)
    return listed


def _words(marks: Marks) -> NDArray[np.uint64]:
    token = tables().token.take(marks.own).astype(np.uint64)
    return mixed(token | _in_word(marks, tables().longer).astype(np.uint64) << _LONGER_FORM)


def _are_numerals(marks: Marks) -> NDArray[np.bool_]:
    """Return which marks belong to a number: not the 一 of 一般, and a point only between Arabic digits."""
    kind, is_arabic = tables().kind, tables().is_arabic
    are_numerals: NDArray[np.bool_] = marks.kind == NUMERAL
    doubtful = np.flatnonzero(np.isin(marks.own, _IN_WORDS))
    alone = (kind.take(marks.before[doubtful]) != NUMERAL) & (kind.take(marks.behind[doubtful]) != NUMERAL)
    doubtful = doubtful[alone]
    are_numerals[doubtful] = ~_in_word(marks.some(doubtful), tables().unless)
    points = np.flatnonzero(marks.kind == POINT)
    are_numerals[points] = is_arabic.take(marks.before[points]) & is_arabic.take(marks.behind[points])
    return are_numerals


def _in_word(marks: Marks, listed: NDArray[T]) -> NDArray[T]:
    """Return what a table says of the word that each mark makes with the character before or behind it."""
    context = tables().context
    before, own, behind = (context.take(one).astype(np.int64) for one in (marks.before, marks.own, marks.behind))
    return np.maximum(listed.take(before << 8 | own), listed.take(own << 8 | behind))


def _digests(hashes: NDArray[np.uint64], text: NDArray[np.int64], num_texts: int) -> NDArray[np.uint64]:
    """Return one hash of each text's sequence of hashes: each is mixed with its place in the sequence, then they are added up."""
    ends = np.searchsorted(text, np.arange(num_texts + 1))
    rank = (np.arange(len(text)) - ends.take(text)).astype(np.uint64)
    sums = np.zeros(len(text) + 1, dtype=np.uint64)
    np.cumsum(mixed(hashes + rank * _STEP), out=sums[1:])
    return sums[ends[1:]] - sums[ends[:-1]]
