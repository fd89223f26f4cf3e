"""The guard: what must agree before one of two similar texts may be dropped.

Statutes are not web pages: of the pairs of real articles with a similarity of 0.8 or more, two in five differ in a number, a
negation or a modal word. The guard of a text is a hash of the sequence of these: also a number that moves to another subject
changes the law. Numbers are compared by value and with what they count: 三年 and 3年 agree, 三年 and 三月 do not.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import Codepoints
from services.cleaner.core.near.guard_english import english_words
from services.cleaner.core.near.guard_numbers import numbers, rates
from services.cleaner.core.near.guard_tables import (
    ALWAYS_COUNTS,
    CODE_BITS,
    CONTEXT_BITS,
    COUNTS_ONLY,
    COUNTS_UNLESS,
    LETTER,
    NUMERAL,
    POINT,
    RATE,
    WORD_LONGER,
    WORD_ONLY,
    WORD_UNLESS,
    tables,
)
from services.cleaner.core.near.guard_words import NUMERALS_IN_WORDS
from services.cleaner.core.near.sketch import mixed

GUARD_FORMAT: Final = 3
"""Raised with any change of what a text's guard is: guards of two formats cannot be compared."""

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
    at, values = _words(texts, marks)
    hashes[at] = values
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
    slashes = np.flatnonzero(marks.kind == RATE)
    if len(slashes):
        hashes[slashes] = rates(texts, marks.place[slashes], marks.text[slashes], marks.behind[slashes])
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


def _words(texts: Codepoints, marks: Marks) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which marks are, or stand for, a word that counts, and the words' hashes."""
    at = np.flatnonzero((marks.kind >= ALWAYS_COUNTS) & (marks.kind <= COUNTS_ONLY))
    some = marks.some(at)
    word = _word(some)
    counts: NDArray[np.bool_] = (some.kind == ALWAYS_COUNTS) | ((some.kind == COUNTS_ONLY) & (word & WORD_ONLY > 0))
    longer = word & WORD_LONGER
    unless = np.flatnonzero(some.kind == COUNTS_UNLESS)
    counts[unless] = (word[unless] & WORD_UNLESS == 0) | (longer[unless] > 0)
    silent = unless[~counts[unless]]
    counts[silent] = _are_continued(texts, some.some(silent))
    which = np.flatnonzero(counts)
    token = tables().token.take(some.own[which]).astype(np.uint64)
    return at[which], mixed(token | longer[which].astype(np.uint64) << _LONGER_FORM)


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


def _are_numerals(marks: Marks) -> NDArray[np.bool_]:
    """Return which marks belong to a number: not the 一 of 一般, and a point only between Arabic digits."""
    kind, is_arabic = tables().kind, tables().is_arabic
    are_numerals: NDArray[np.bool_] = marks.kind == NUMERAL
    doubtful = np.flatnonzero(np.isin(marks.own, _IN_WORDS))
    alone = (kind.take(marks.before[doubtful]) != NUMERAL) & (kind.take(marks.behind[doubtful]) != NUMERAL)
    doubtful = doubtful[alone]
    are_numerals[doubtful] = _word(marks.some(doubtful)) & WORD_UNLESS == 0
    points = np.flatnonzero(marks.kind == POINT)
    are_numerals[points] = is_arabic.take(marks.before[points]) & is_arabic.take(marks.behind[points])
    return are_numerals


def _word(marks: Marks) -> NDArray[np.uint16]:
    """Return what each mark and the character before it, and the one behind it, are together: both of their flags."""
    context, table = tables().context, tables().word
    before, own, behind = (context.take(one).astype(np.int64) for one in (marks.before, marks.own, marks.behind))
    left, right = table.take(before << CONTEXT_BITS | own), table.take(own << CONTEXT_BITS | behind)
    longer = np.maximum(left & WORD_LONGER, right & WORD_LONGER)
    word: NDArray[np.uint16] = (left | right) & np.uint16(WORD_UNLESS | WORD_ONLY)
    word |= longer
    return word


def _digests(hashes: NDArray[np.uint64], text: NDArray[np.int64], num_texts: int) -> NDArray[np.uint64]:
    """Return one hash of each text's sequence of hashes: each is mixed with its place in the sequence, then they are added up."""
    ends = np.searchsorted(text, np.arange(num_texts + 1))
    rank = (np.arange(len(text)) - ends.take(text)).astype(np.uint64)
    sums = np.zeros(len(text) + 1, dtype=np.uint64)
    np.cumsum(mixed(hashes + rank * _STEP), out=sums[1:])
    return sums[ends[1:]] - sums[ends[:-1]]
