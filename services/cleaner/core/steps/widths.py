"""One width and one code point for what is the same letter: targeted folding, then composition (NFC).

Plain NFKC would change meaning (10⁹ becomes 109, ① becomes 1, full-width punctuation becomes ASCII), so only these are folded:
full-width digits and Latin letters, and radicals that stand for whole characters, as text copied out of PDF files has them.
NFC itself turns compatibility ideographs into unified ones.
"""

import re
import unicodedata
from functools import cache
from typing import Final

from services.cleaner.core.steps.ranges import members

_FULL_WIDTH_OFFSET = 0xFEE0
_FULL_WIDTH: Final = members(((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)))
_KANGXI: Final = members(((0x2F00, 0x2FD5),))
# Of the supplement of radicals only those that are written like a whole character; Unicode maps just two of them itself.
_SUPPLEMENT: Final = dict(
    zip(
        "⺟⺠⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰⻳",
        "母民虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙龟",
        strict=True,
    )
)

FOLDS: Final = (
    {character: chr(ord(character) - _FULL_WIDTH_OFFSET) for character in _FULL_WIDTH}
    | {character: unicodedata.normalize("NFKC", character) for character in _KANGXI}
    | _SUPPLEMENT
)
"""What each folded character becomes."""
COMPATIBILITY_SUPPLEMENT: Final = (0x2F800, 0x2FA20)
"""Compatibility ideographs beyond the second plane; end exclusive."""

_FOLDED = re.compile(f"[{''.join(FOLDS)}]")


def fold(text: str) -> tuple[str, int]:
    """Return the text with one width of letters and digits, composed, and how many places changed.

    Composition counts as one place.

    Example:
        >>> fold("第１２条 10⁹/L，甲")
        ('第12条 10⁹/L，甲', 2)
    """
    text, changed = _FOLDED.subn(lambda match: FOLDS[match[0]], text)
    if unicodedata.is_normalized("NFC", text):
        return text, changed
    return unicodedata.normalize("NFC", text), changed + 1


def may_compose(character: str) -> bool:
    """Whether a text with the character may not be composed: it has to be replaced, reordered, or may join what precedes."""
    return (
        unicodedata.combining(character) != 0
        or character in _joining()
        or not unicodedata.is_normalized("NFC", character)
    )


@cache
def _joining() -> frozenset[str]:
    """Return what is the second half of a composed character, Hangul vowels and finals included."""
    decompositions = (unicodedata.decomposition(chr(code)).split() for code in range(0x20000))
    pairs = (parts for parts in decompositions if len(parts) == 2 and not parts[0].startswith("<"))  # noqa: PLR2004
    return frozenset(chr(int(parts[1], 16)) for parts in pairs) | set(members(((0x1161, 0x1175), (0x11A8, 0x11C2))))
