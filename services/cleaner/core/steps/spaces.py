"""White space: a run of spaces is one space, a run of line breaks one line feed, none at the edges."""

import operator

import numpy as np

from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.traits import Trait


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents have a space other than the plain one, two in a row, or one at an edge."""
    space = joined.at(Trait.SPACE)
    nonempty = joined.ends > joined.starts
    edges = space[joined.starts] | (space[np.maximum(joined.ends - 1, 0)] & nonempty)
    return joined.has(Trait.ODD_SPACE, Trait.LINE_BREAK) | edges | joined.documents_with(space[:-1] & space[1:])


def tighten(text: str) -> tuple[str, int]:
    r"""Return the text with tight white space, and how many lines changed or went.

    Example:
        >>> tighten(" 甲\u3000 乙\n\n丙")
        ('甲 乙\n丙', 2)
    """
    if not text:
        return text, 0
    lines = text.split("\n")
    tight = [" ".join(line.split()) for line in lines]
    return "\n".join(filter(None, tight)), sum(map(operator.ne, lines, tight)) + tight.count("")
