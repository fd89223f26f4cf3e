"""What the guard knows of each code point."""

from dataclasses import dataclass
from functools import cache
from string import ascii_letters, ascii_lowercase
from typing import Any, Final
from unicodedata import ucd_3_2_0 as characters

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near import numerals
from services.cleaner.core.near.codepoints import NUM_CODE_POINTS
from services.cleaner.core.near.guard_words import (
    ALWAYS,
    CLASSES,
    CONTINUED,
    ENGLISH,
    LONGER,
    LONGER_UNITS,
    MINUS,
    ONLY,
    PERCENT,
    SAME,
    UNIT_ENDS,
    UNITS,
    UNLESS,
    words,
)
from services.cleaner.core.near.skeleton import FULL_WIDTH_OFFSET

NUMERAL: Final = 1
"""A digit or a multiplier."""
POINT: Final = 2
"""A point or comma, which belongs to a number between Arabic digits."""
ALWAYS_COUNTS: Final = 3
COUNTS_UNLESS: Final = 4
COUNTS_ONLY: Final = 5
LETTER: Final = 6
"""A Latin letter, which may belong to an English word that counts."""

CODE_BITS: Final = 21
"""Of a code point."""
LETTER_BITS: Final = 5
MAX_LETTERS: Final = 12
"""Letters of a word that fit into 64 bits."""


@dataclass(frozen=True)
class Tables:
    """By code point, apart from the last four.

    Attributes:
        kind: One of the above, 0: of no interest.
        symbol: Of a numeral or point, see `numerals.symbols`, else 0.
        is_arabic: Whether it is an Arabic digit.
        token: What it counts as; other ways to write a character have the same.
        unit: What it counts as behind a number, 0: nothing.
        percent: The unit of a number behind 百分之, 千分之 or 万分之, by the first of their characters.
        context: Its row in the next three, 0: in none of the listed words.
        unless: Whether two characters, by context, are a word in which they do not count. Shape (65,536,): `first << 8 | second`.
        only: Whether they are a word in which one of them counts. Shape (65,536,).
        longer: Which longer form of a word that counts they are, 0: none. Shape (65,536,).
        letter: By code point: which Latin letter it is, 1 to 26, whatever its case and width, 0: none.
        english: The English words that count, sorted, see `packed_word`. Shape (words,).
        longer_unit: Whether a unit that begins so goes on.
        unit_end: What it adds to such a unit, 0: nothing.
        is_minus: Whether it makes a number negative.
        is_class: Whether a letter before it says which class.
        continued: The words of `CONTINUED`, three code points each, the first one highest, sorted. Shape (words,).
    """

    kind: NDArray[np.uint8]
    symbol: NDArray[np.uint8]
    is_arabic: NDArray[np.bool_]
    token: NDArray[np.uint32]
    unit: NDArray[np.uint32]
    percent: NDArray[np.uint32]
    context: NDArray[np.uint8]
    unless: NDArray[np.bool_]
    only: NDArray[np.bool_]
    longer: NDArray[np.uint8]
    letter: NDArray[np.uint8]
    english: NDArray[np.uint64]
    longer_unit: NDArray[np.bool_]
    unit_end: NDArray[np.uint32]
    is_minus: NDArray[np.bool_]
    is_class: NDArray[np.bool_]
    continued: NDArray[np.uint64]


@cache
def tables() -> Tables:
    """Return the tables; they take 20 MB, of which Chinese text touches little."""
    context = _context()
    return Tables(
        kind=_kind(),
        symbol=_column(np.uint8, numerals.symbols()),
        is_arabic=_column(np.bool_, dict.fromkeys(numerals.ARABIC, 1)),
        token=_token(),
        unit=_unit(),
        percent=_column(np.uint32, {first: ord(unit) for first, unit in PERCENT.items()}),
        context=context,
        unless=_pairs(words(UNLESS), context) > 0,
        only=_pairs(words(ONLY), context) > 0,
        longer=_pairs(LONGER.split(), context),
        letter=_column(np.uint8, _letters()),
        english=np.sort(np.array([packed_word(word) for word in ENGLISH.split()], dtype=np.uint64)),
        longer_unit=_column(np.bool_, dict.fromkeys(LONGER_UNITS, 1)),
        unit_end=_column(np.uint32, {end: ord(end) for end in UNIT_ENDS}),
        is_minus=_column(np.bool_, dict.fromkeys(MINUS, 1)),
        is_class=_column(np.bool_, dict.fromkeys(CLASSES, 1)),
        continued=np.sort(np.array([_packed_codes(word) for word in CONTINUED.split()], dtype=np.uint64)),
    )


def packed_word(word: str) -> int:
    """Return an English word as one number: 5 bits a letter, the first one lowest."""
    return sum((ord(letter) - ord("a") + 1) << LETTER_BITS * at for at, letter in enumerate(word))


def _packed_codes(word: str) -> int:
    first, second, third = map(ord, word)
    return first << 2 * CODE_BITS | second << CODE_BITS | third


def _letters() -> dict[str, int]:
    numbers = {letter: number for number, letter in enumerate(ascii_lowercase, 1)}
    numbers |= {letter.upper(): number for letter, number in numbers.items()}
    return numbers | {chr(ord(letter) + FULL_WIDTH_OFFSET): number for letter, number in numbers.items()}


def _kind() -> NDArray[np.uint8]:
    kinds = {chr(code_point): ALWAYS_COUNTS for code_point in _number_signs()}
    kinds |= dict.fromkeys(_letters(), LETTER)
    kinds |= dict.fromkeys(ALWAYS, ALWAYS_COUNTS)
    kinds |= dict.fromkeys(UNLESS, COUNTS_UNLESS)
    kinds |= dict.fromkeys(ONLY, COUNTS_ONLY)
    kinds |= dict.fromkeys(numerals.symbols(), NUMERAL)
    kinds |= dict.fromkeys(numerals.POINT + numerals.COMMA, POINT)
    return _column(np.uint8, kinds)


def _number_signs() -> list[int]:
    """Return the signs that are numbers in one piece: ² ½ ① Ⅲ."""
    return [code_point for code_point in range(0x20000) if characters.category(chr(code_point)) in {"No", "Nl"}]


def _token() -> NDArray[np.uint32]:
    token = np.arange(NUM_CODE_POINTS, dtype=np.uint32)
    for other, same in SAME.items():
        token[ord(other)] = ord(same)
    return token


def _unit() -> NDArray[np.uint32]:
    units = {unit: ord(SAME.get(unit, unit)) for unit in UNITS + ascii_letters}
    units |= {chr(ord(letter) + FULL_WIDTH_OFFSET): ord(letter) for letter in ascii_letters}
    return _column(np.uint32, units)


def _context() -> NDArray[np.uint8]:
    listed = sorted({character for word in words(UNLESS) + words(ONLY) + LONGER.split() for character in word})
    return _column(np.uint8, {character: number for number, character in enumerate(listed, 1)})


def _pairs(listed: list[str], context: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the number of each listed word, from 1, by the context of its two characters."""
    pairs = np.zeros(1 << 16, dtype=np.uint8)
    for number, word in enumerate(listed, 1):
        first, second = (int(context[ord(character)]) for character in word)
        pairs[first << 8 | second] = min(number, 255)
    return pairs


def _column(kind: type[np.generic], values: dict[str, int]) -> NDArray[Any]:
    column = np.zeros(NUM_CODE_POINTS, dtype=kind)
    for character, value in values.items():
        column[ord(character)] = value
    return column
