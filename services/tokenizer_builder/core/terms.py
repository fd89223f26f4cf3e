"""What a term is, and which strings cannot be one."""

import re
from dataclasses import dataclass

HAN = r"\u2E80-\u2FDF\u3005\u3007\u3021-\u3029\u3038-\u303B\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U000323AF"
"""The characters of the script Han, as the tokenizer's own expression understands them, for a class of Python's `re`."""
HAN_RUN = re.compile(f"[{HAN}]+")
NUMERALS = "〇零一二三四五六七八九十百千万亿两"
"""What numbers are written with in Han."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term of the lexicon that shall be one token.

    Attributes:
        count: How often it occurs in the training text.
    """

    text: str
    count: int


def standing(term: str) -> str | None:
    """Return why a term's form keeps it in pieces, or None.

    Genes, formulas, codes and numbers are read character by character, so that what differs in one of them differs in a token.
    A letter or a Han numeral at an edge, as in 维生素C and 二审, is no matter of form: the text tells whether it belongs to the
    term or to something longer, see `edges`.
    """
    han = sum(len(run) for run in HAN_RUN.findall(term))
    if han < min(2, len(term)) or not han:
        return "letters, digits and signs are read one by one"
    if (term[0].isnumeric() and not HAN_RUN.match(term)) or (term[-1].isnumeric() and not HAN_RUN.match(term[-1])):
        return "a number at its edge would be cut out of a longer one"
    if term != term.strip() or "\n" in term:
        return "blanks at its edges or a line break in it"
    return None
