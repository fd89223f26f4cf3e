"""The skeleton of a text: its letters, digits and Han characters; what punctuation, width and case add is left out.

On the skeleton a change of punctuation alone is no change at all, while on the text it costs a third of the common 3-grams.
Superscripts and circled numbers stay themselves: folded into digits, 10⁹ would read as 109.
"""

from functools import cache
from unicodedata import ucd_3_2_0 as characters

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import NUM_CODE_POINTS, Codepoints, join

# Unicode 3.2 is part of every Python and never changes, so a skeleton does not depend on the Python that makes it.
FULL_WIDTH = range(0xFF01, 0xFF5F)
FULL_WIDTH_OFFSET = 0xFEE0
LATER_HAN = (range(0x3400, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x40000))
"""Blocks of Han characters, some of which Unicode 3.2 did not have yet."""


def skeleton(text: str) -> str:
    """Return the skeleton of one text: `第 ３ 条，Ａbc` gives `第3条abc`."""
    return skeletons(join([text])).values.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def skeletons(texts: Codepoints) -> Codepoints:
    """Return the skeletons of many texts."""
    folded = fold_table().take(texts.values)
    kept = np.flatnonzero(folded != 0)
    return Codepoints(folded.take(kept), np.searchsorted(kept, texts.ends))


@cache
def fold_table() -> NDArray[np.uint32]:
    """Return what each code point becomes, 0: it is left out. Shape (code points,)."""
    table = np.zeros(NUM_CODE_POINTS, dtype=np.uint32)
    for code_point in range(0x20000):
        folded = code_point - FULL_WIDTH_OFFSET if code_point in FULL_WIDTH else code_point
        if characters.category(chr(folded))[0] in "LN":
            lower = chr(folded).lower()
            # A Python that knows newer small letters must fold no further: the skeleton of a skeleton is itself.
            is_known = len(lower) == 1 and characters.category(lower)[0] in "LN"
            table[code_point] = ord(lower) if is_known else folded
    for han in LATER_HAN:
        missing = np.flatnonzero(table[han.start : han.stop] == 0) + han.start
        table[missing] = missing
    return table
