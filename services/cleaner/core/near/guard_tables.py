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
from services.cleaner.core.near.guard_opposites import OPPOSITE_UNLESS, OPPOSITES
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
    RATES,
    SAME,
    SAME_UNITS,
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
RATE: Final = 7
"""A slash, which counts between a unit and what it is per."""

CONTEXT_BITS: Final = 9
"""Of the number of a character that is in one of the listed words."""
WORD_UNLESS: Final = 1 << 15
"""The word is one in which a character does not count."""
WORD_ONLY: Final = 1 << 14
"""The word is one in which one of its characters counts."""
WORD_LONGER: Final = WORD_ONLY - 1
"""The bits with the number of a word that counts otherwise than the one character of it, 0: none."""

CODE_BITS: Final = 21
"""Of a code point."""
LETTER_BITS: Final = 5
MAX_LETTERS: Final = 12
"""Letters of a word that fit into 64 bits."""

_UNLESS: Final = UNLESS | OPPOSITE_UNLESS
_UNLESS_WORDS: Final = words(_UNLESS)
_ONLY: Final = set(ONLY) | set(OPPOSITES)
_ONLY_WORDS: Final = words(ONLY) + words(OPPOSITES)
_LONGER: Final = list(dict.fromkeys(LONGER.split() + words(OPPOSITES)))


@dataclass(frozen=True)
class Tables:
    """By code point, apart from `word`, `english` and the last three.

    Attributes:
        kind: One of the above, 0: of no interest.
        symbol: Of a numeral or point, see `numerals.symbols`, else 0.
        is_arabic: Whether it is an Arabic digit.
        token: What it counts as; other ways to write a character have the same.
        unit: What it counts as behind a number, 0: nothing.
        percent: The unit of a number behind 百分之, 千分之 or 万分之, by the first of their characters.
        context: Its number in `word`, 0: in none of the listed words.
        word: What two characters, by context, are together, see `WORD_UNLESS`, by `first << CONTEXT_BITS | second`.
            Shape (262,144,).
        letter: By code point: which Latin letter it is, 1 to 26, whatever its case and width, 0: none.
        english: The English words that count, sorted, see `packed_word`. Shape (words,).
        longer_unit: Whether a unit that begins so goes on.
        unit_end: What it adds to such a unit, 0: nothing.
        is_minus: Whether it makes a number negative.
        is_class: Whether a letter before it says which class.
        continued: The words of `CONTINUED`, three code points each, the first one highest, sorted. Shape (words,).
        unit_names: Units written out, 毫克, sorted, as three code points, the first one lowest. Shape (names,).
        unit_signs: What each of them is the same as, mg, likewise. Shape (names,).
    """

    kind: NDArray[np.uint8]
    symbol: NDArray[np.uint8]
    is_arabic: NDArray[np.bool_]
    token: NDArray[np.uint32]
    unit: NDArray[np.uint32]
    percent: NDArray[np.uint32]
    context: NDArray[np.uint16]
    word: NDArray[np.uint16]
    letter: NDArray[np.uint8]
    english: NDArray[np.uint64]
    longer_unit: NDArray[np.bool_]
    unit_end: NDArray[np.uint32]
    is_minus: NDArray[np.bool_]
    is_class: NDArray[np.bool_]
    continued: NDArray[np.uint64]
    unit_names: NDArray[np.uint64]
    unit_signs: NDArray[np.uint64]


@cache
def tables() -> Tables:
    """Return the tables; they take 20 MB, of which Chinese text touches little."""
    context = _context()
    names = sorted((_packed_unit(name), _packed_unit(sign)) for name, sign in SAME_UNITS.items())
    return Tables(
        kind=_kind(),
        symbol=_column(np.uint8, numerals.symbols()),
        is_arabic=_column(np.bool_, dict.fromkeys(numerals.ARABIC, 1)),
        token=_token(),
        unit=_unit(),
        percent=_column(np.uint32, {first: ord(unit) for first, unit in PERCENT.items()}),
        context=context,
        word=_words(context),
        letter=_column(np.uint8, _letters()),
        english=np.sort(np.array([packed_word(word) for word in ENGLISH.split()], dtype=np.uint64)),
        longer_unit=_column(np.bool_, dict.fromkeys(LONGER_UNITS, 1)),
        unit_end=_column(np.uint32, {end: ord(end) for end in UNIT_ENDS}),
        is_minus=_column(np.bool_, dict.fromkeys(MINUS, 1)),
        is_class=_column(np.bool_, dict.fromkeys(CLASSES, 1)),
        continued=np.sort(np.array([_packed_codes(word) for word in CONTINUED.split()], dtype=np.uint64)),
        unit_names=np.array([name for name, _ in names], dtype=np.uint64),
        unit_signs=np.array([sign for _, sign in names], dtype=np.uint64),
    )


def packed_word(word: str) -> int:
    """Return an English word as one number: 5 bits a letter, the first one lowest."""
    return sum((ord(letter) - ord("a") + 1) << LETTER_BITS * at for at, letter in enumerate(word))


def _packed_codes(word: str) -> int:
    first, second, third = map(ord, word)
    return first << 2 * CODE_BITS | second << CODE_BITS | third


def _packed_unit(unit: str) -> int:
    return sum(ord(character) << CODE_BITS * at for at, character in enumerate(unit))


def _letters() -> dict[str, int]:
    numbers = {letter: number for number, letter in enumerate(ascii_lowercase, 1)}
    numbers |= {letter.upper(): number for letter, number in numbers.items()}
    return numbers | {chr(ord(letter) + FULL_WIDTH_OFFSET): number for letter, number in numbers.items()}


def _kind() -> NDArray[np.uint8]:
    kinds = {chr(code_point): ALWAYS_COUNTS for code_point in _number_signs()}
    kinds |= dict.fromkeys(_letters(), LETTER)
    kinds |= dict.fromkeys(ALWAYS, ALWAYS_COUNTS)
    kinds |= dict.fromkeys(_UNLESS, COUNTS_UNLESS)
    kinds |= dict.fromkeys(_ONLY, COUNTS_ONLY)
    kinds |= dict.fromkeys(RATES, RATE)
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
    units["L"] = ord("l")
    units |= {chr(ord(letter) + FULL_WIDTH_OFFSET): units[letter] for letter in ascii_letters}
    return _column(np.uint32, units)


def _context() -> NDArray[np.uint16]:
    listed = sorted({character for word in _UNLESS_WORDS + _ONLY_WORDS + _LONGER for character in word})
    return _column(np.uint16, {character: number for number, character in enumerate(listed, 1)})


def _words(context: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return what each two characters are together, by the context of both."""
    table = np.zeros(1 << 2 * CONTEXT_BITS, dtype=np.uint16)
    rows = [(word, WORD_UNLESS) for word in _UNLESS_WORDS] + [(word, WORD_ONLY) for word in _ONLY_WORDS]
    for word, value in rows + [(word, number) for number, word in enumerate(_LONGER, 1)]:
        first, second = (int(context[ord(character)]) for character in word)
        table[first << CONTEXT_BITS | second] |= value
    return table


def _column(kind: type[np.generic], values: dict[str, int]) -> NDArray[Any]:
    column = np.zeros(NUM_CODE_POINTS, dtype=kind)
    for character, value in values.items():
        column[ord(character)] = value
    return column
