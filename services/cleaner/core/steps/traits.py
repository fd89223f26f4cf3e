"""What each character is, as bits of one table, so that numpy can ask about a whole batch of documents at once."""

import unicodedata
from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps import invisible_characters, widths
from services.cleaner.core.steps.encodings import GBK_LEADS, GBK_MIDDLES, LATIN_CONTINUATIONS, LATIN_HIGHS, LATIN_LEADS

SEPARATOR: Final = 0x110000
"""Stands between the joined documents: one beyond the last code point, so that no text holds it."""
NUM_CODES: Final = SEPARATOR + 1
NAMED: Final = 0x20000
"""Beyond the two first planes are Han, tags and variation selectors, which ranges describe."""


class Kind(IntEnum):
    """What statistics count a character as; the table's four low bits."""

    OTHER = 0
    """Combining marks, private use, the replacement character, unassigned."""
    HAN = 1
    LATIN = 2
    ACCENTED = 3
    """A Latin letter outside ASCII."""
    LETTER = 4
    """A letter of another script."""
    NUMBER = 5
    """Digits, and the likes of ½, ² and ①."""
    PUNCTUATION = 6
    SYMBOL = 7
    SPACE = 8
    SEPARATOR = 9


KIND_MASK: Final = np.uint32(0xF)


class Trait(IntEnum):
    """What a step looks for; the bits above the kind."""

    INVISIBLE = 1 << 4
    LINE_BREAK = 1 << 5
    FOLDED = 1 << 6
    COMPOSING = 1 << 7
    MARKUP = 1 << 8
    SPACE = 1 << 9
    ODD_SPACE = 1 << 10
    REPEATABLE = 1 << 11
    LATIN_LEAD = 1 << 12
    LATIN_CONTINUATION = 1 << 13
    GBK_LEAD = 1 << 14
    GBK_MIDDLE = 1 << 15
    BROKEN = 1 << 16
    DIGIT = 1 << 17
    DIGIT_SEPARATOR = 1 << 18
    AT = 1 << 19
    SIGN = 1 << 20
    PAIRED = 1 << 21
    LATIN_HIGH = 1 << 22


PAIRED: Final = "…—"
"""Chinese writes the ellipsis and the dash as two of these."""

LISTED: Final = {
    Trait.MARKUP: "<&[#*`\\|",
    Trait.LATIN_LEAD: LATIN_LEADS,
    Trait.LATIN_CONTINUATION: LATIN_CONTINUATIONS,
    Trait.LATIN_HIGH: LATIN_HIGHS,
    Trait.GBK_LEAD: GBK_LEADS,
    Trait.GBK_MIDDLE: GBK_MIDDLES,
    Trait.BROKEN: "\ufffd锟烫屯",
    Trait.DIGIT: "0123456789",
    Trait.DIGIT_SEPARATOR: " .-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d()（）",
    Trait.AT: "@",
    Trait.SIGN: "©Ⓒⓒ",
    Trait.PAIRED: PAIRED,
    Trait.INVISIBLE: invisible_characters.INVISIBLE_CHARACTERS,
    Trait.LINE_BREAK: invisible_characters.LINE_BREAKS,
    Trait.FOLDED: "".join(widths.FOLDS),
    Trait.SPACE: " \n",
}
_HAN_RANGES: Final = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))


@cache
def trait_table() -> npt.NDArray[np.uint32]:
    """Return kind and traits by code point, shape [0x110001]; takes a quarter of a second once a process."""
    table = np.zeros(NUM_CODES, np.uint32)
    table[:NAMED] = [_described(chr(code)) for code in range(NAMED)]
    for begin, end in _HAN_RANGES:
        table[begin:end] = table[begin:end] & ~KIND_MASK | Kind.HAN
    table[[ord("〇"), ord("々")]] = Kind.HAN
    for trait, characters in LISTED.items():
        table[[ord(character) for character in characters]] |= np.uint32(trait)
    for code in range(*widths.COMPATIBILITY_SUPPLEMENT):
        table[code] |= np.uint32(Trait.COMPOSING)
    table[SEPARATOR] = Kind.SEPARATOR
    table.setflags(write=False)
    return table


def _described(character: str) -> int:
    category = unicodedata.category(character)
    traits = int(_kind(character, category))
    if category[0] in "PS":
        traits |= Trait.REPEATABLE
    if character.isspace():
        traits |= Trait.SPACE | (0 if character in " \n" else Trait.ODD_SPACE)
    if widths.may_compose(character):
        traits |= Trait.COMPOSING
    return traits


def _kind(character: str, category: str) -> Kind:
    if character.isspace():
        return Kind.SPACE
    if character == "\ufffd":
        return Kind.OTHER
    if category[0] == "L":
        return _letter_kind(character)
    return {"N": Kind.NUMBER, "P": Kind.PUNCTUATION, "S": Kind.SYMBOL}.get(category[0], Kind.OTHER)


def _letter_kind(character: str) -> Kind:
    if character.isascii():
        return Kind.LATIN
    return Kind.ACCENTED if unicodedata.name(character, "").startswith("LATIN") else Kind.LETTER
