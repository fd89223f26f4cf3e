"""Traditional characters to simplified ones, by OpenCC. Off unless asked for: names and quotations may be traditional."""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from opencc import OpenCC

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.traits import NUM_CODES

IN_PHRASES: Final = "覆沈藉坏瞭像著序俱彷"
"""Characters that OpenCC leaves alone when they stand alone, and changes in phrases (答覆, 沈默)."""
_HAN: Final = (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), *range(0x20000, 0x323B0))


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents hold a character that is not simplified."""
    return joined.documents_with(_traditional()[joined.codes])


def simplify(text: str) -> tuple[str, int]:
    """Return the text in simplified characters, and how many characters changed.

    Example:
        >>> simplify("中華人民共和國民法典")
        ('中华人民共和国民法典', 2)
    """
    simplified = _converter().convert(text)
    return simplified, sum(map(str.__ne__, text, simplified)) + abs(len(text) - len(simplified))


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


@cache
def _traditional() -> npt.NDArray[np.bool_]:
    """Return by code point whether OpenCC may change the character."""
    table = np.zeros(NUM_CODES, np.bool_)
    # A line each, so that no phrase of two neighbours comes about.
    simplified = _converter().convert("\n".join(map(chr, _HAN))).split("\n")
    table[[code for code, character in zip(_HAN, simplified, strict=True) if character != chr(code)]] = True
    table[[ord(character) for character in IN_PHRASES]] = True
    return table
