"""White space: a run of spaces is one space, a run of line breaks one line feed, none at the edges."""

import re

import numpy as np

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.traits import Trait

_SPACES = re.compile(r"[^\S\n]*[^\S\n ][^\S\n]*|  +")
_BREAKS = re.compile(r" ?\n[ \n]+| \n")


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents have a space other than the plain one, two in a row, or one at an edge."""
    space = joined.at(Trait.SPACE)
    nonempty = joined.ends > joined.starts
    edges = space[joined.starts] | (space[np.maximum(joined.ends - 1, 0)] & nonempty)
    return joined.has(Trait.ODD_SPACE, Trait.LINE_BREAK) | edges | joined.documents_with(space[:-1] & space[1:])


def tighten(text: str) -> tuple[str, int]:
    r"""Return the text with tight white space, and how many places changed.

    Example:
        >>> tighten(" 甲\u3000 乙\n\n丙")
        ('甲 乙\n丙', 3)
    """
    stripped = text.strip()
    changed = int(len(stripped) != len(text))
    text, num_spaces = _SPACES.subn(" ", stripped)
    text, num_breaks = _BREAKS.subn("\n", text)
    return text, changed + num_spaces + num_breaks
