"""Runs of one symbol or punctuation mark, cut to a length that keeps what they say. Never letters or digits."""

import re
import unicodedata
from typing import Final

from services.cleaner.core.steps.joined import Flags, JoinedTexts, runs
from services.cleaner.core.steps.traits import PAIRED, Trait

STAND_INS: Final = "×*＊□○●"
"""Stand for something left out, a character each (张**, ××××年): kept up to `MAX_STAND_INS`."""
MAX_STAND_INS: Final = 8

_RUN = re.compile(r"([^\w\s]|_)\1{2,}")


def needs(joined: JoinedTexts, *, max_repeats: int) -> Flags:
    """Return which documents have more than `max_repeats` of one symbol in a row, or three of a paired one."""
    same = (joined.codes[1:] == joined.codes[:-1]) & joined.at(Trait.REPEATABLE)[1:]
    paired = same & joined.at(Trait.PAIRED)[1:]
    return joined.documents_with(runs(same, max_repeats)) | joined.documents_with(runs(paired, 2))


def shorten(text: str, *, max_repeats: int) -> tuple[str, int]:
    """Return the text with no symbol more than `max_repeats` times in a row, and how many runs were cut.

    Args:
        text: Any text.
        max_repeats: 3 or more; `…` and `—` have 2, marks that stand for characters left out 8 at least.

    Example:
        >>> shorten("好评★★★★★！！！！……第...条1111", max_repeats=3)
        ('好评★★★！！！……第...条1111', 2)
    """
    cut = 0

    def keep(match: re.Match[str]) -> str:
        nonlocal cut
        length = min(len(match[0]), _limit(match[1], max_repeats))
        cut += length < len(match[0])
        return match[1] * length

    return _RUN.sub(keep, text), cut


def _limit(symbol: str, max_repeats: int) -> int:
    if symbol in PAIRED:
        return 2
    if symbol in STAND_INS:
        return max(MAX_STAND_INS, max_repeats)
    # Combining marks and unassigned code points are no symbols: a run of them has no meaning to keep or cut.
    return max_repeats if unicodedata.category(symbol)[0] in "PS" else len(symbol) * 10**9
