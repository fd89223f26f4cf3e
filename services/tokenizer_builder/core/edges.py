"""Terms whose edge is a letter or a Han numeral, and the longer runs that they would be cut out of.

A term is found before any merge, blind to what stands beside it: with 三人 a 十三人 (thirteen people) would be read as ten and
three people, with CT检查 an LDCT检查 as another examination. The file of a tokenizer cannot ask for an edge there: its
`single_word` takes Han characters for letters, too. So the training text decides, wherever the term stands in it:

- Numerals that belong to a name, as in 二审, 三叉神经痛 and 十二指肠, lie in a longer number nowhere: at none of the 4,072 places
  of 88 such terms in 2.2 million characters of medicine, nor of 35 in 3 million of statutes. Fragments of numbers do at 1.4 %
  (十年以上), 5 % (五年) and up to 96 % (一百) of theirs. `MAX_NUMBER_SHARE` lies between: what is rarer may be a slip. 万 and 亿
  at the beginning are units, which multiply what stands before them: 三|万元 says what 三万元 says.
- Letters of a name's own lie in a longer run at 0 to 2 % (维生素C, HIV感染), others at 10 % (CT检查 in TCT检查) to 71 %
  (I型糖尿病 in II型糖尿病): `MAX_LETTER_SHARE`. It is the larger one since what is left of such a run is read letter by letter
  all the same, as codes are. Digits do not count, which are read one by one: 维生素B|1|2. Where a term never occurs, nothing
  tells that its letter is safe, and nothing is lost by pieces: it is looked at anew with each corpus version.

Of 67,419 users' terms of medicine 1,734 have a letter at an edge, of which 19 occur. Held-out text (213,810 characters, 22,528
tokens) takes 0.50032 tokens a character so, 0.50033 with all 1,734 as terms and 0.50038 with none; of 29,285 occurrences of terms
0.98976, 0.98972 and 0.98941 are unbroken, of 14 of those with a letter 0.79, 0.86 and 0.07.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.tokenizer_builder.core.occurrences import Occurrences
from services.tokenizer_builder.core.terms import HAN_RUN, NUMERALS

MAX_NUMBER_SHARE = 0.01
"""A term that lies in a longer number at more of its places stays in pieces,"""
MAX_LETTER_SHARE = 0.05
"""and one that lies in a longer run of letters at more of its places."""
UNITS = "万亿"
MAX_SHOWN_CHARS = 12
"""Of a longer run, at each side of the term, for people."""
NOT_SEEN = "a letter at its edge could be cut out of a longer run: no text shows yet that it stands alone"


@dataclass(frozen=True, kw_only=True)
class Inside:
    """How often a term stands in a text, and how often there in a longer number or run of letters; one such place, for people."""

    num_places: int = 0
    num_in_numbers: int = 0
    num_in_letters: int = 0
    example: str | None = None


def kept_in_pieces(texts: Iterable[str], terms: Sequence[str]) -> dict[str, str]:
    """Return the terms that a text keeps in pieces, each with the reason.

    Args:
        texts: Training documents.
        terms: Those whose form allows a token, see `terms.standing`.
    """
    found = lying_inside(texts, terms)
    return {term: why for term, inside in found.items() if (why := _why(term, inside))}


def lying_inside(texts: Iterable[str], terms: Sequence[str]) -> dict[str, Inside]:
    """Return where the terms with a letter or a Han numeral at an edge lie; what is said of one does not depend on the others."""
    edged = [term for term in terms if _kind(term[0]) or _kind(term[-1])]
    everywhere = Occurrences(edged)
    places, numbers, letters = ([0] * len(edged) for _ in range(3))
    examples: dict[int, str] = {}
    for text in texts if edged else ():
        for term, start, end in everywhere.places(text):
            places[term] += 1
            cut = _cut(text, start, end)
            if cut:
                numbers[term] += "number" in cut
                letters[term] += "letters" in cut
                shown = _shown(text, start, end)
                examples[term] = min(shown, examples.get(term, shown), key=lambda one: (len(one), one))
    return {
        term: Inside(
            num_places=places[at], num_in_numbers=numbers[at], num_in_letters=letters[at], example=examples.get(at)
        )
        for at, term in enumerate(edged)
    }


def _why(term: str, inside: Inside) -> str | None:
    if not inside.num_places:
        return NOT_SEEN if "letters" in {_kind(term[0]), _kind(term[-1])} else None
    told = (
        ("number", inside.num_in_numbers, MAX_NUMBER_SHARE),
        ("run of letters", inside.num_in_letters, MAX_LETTER_SHARE),
    )
    for what, count, limit in told:
        if count > limit * inside.num_places:
            return (
                f"it would be cut out of a longer {what}, such as {inside.example}, "
                f"at {count:,} of {inside.num_places:,} places"
            )
    return None


def _kind(character: str) -> str | None:
    """Return what a character at an edge may be a part of: a number, or a run of letters other than Han."""
    if character in NUMERALS:
        return "number"
    is_letter = unicodedata.category(character)[0] in "LM" and not HAN_RUN.match(character)
    return "letters" if is_letter else None


def _cut(text: str, start: int, end: int) -> set[str]:
    """Return what the edges of a place cut: numbers, letters."""
    cut: set[str] = set()
    if start and (kind := _kind(text[start])) and _kind(text[start - 1]) == kind and not _is_unit(text[start:end]):
        cut.add(kind)
    if end < len(text) and (kind := _kind(text[end - 1])) and _kind(text[end]) == kind:
        cut.add(kind)
    return cut


def _is_unit(term: str) -> bool:
    """Whether a term begins with a unit of numbers, and not with a number that has one: 万元, not 万一."""
    rest = term.lstrip(UNITS)
    return len(rest) < len(term) and rest[:1] not in NUMERALS


def _shown(text: str, start: int, end: int) -> str:
    """Return a place with the rest of the runs that reach over its edges."""
    first, last = start, end
    while first and start - first < MAX_SHOWN_CHARS and _kind(text[first - 1]) == (_kind(text[start]) or ""):
        first -= 1
    while last < len(text) and last - end < MAX_SHOWN_CHARS and _kind(text[last]) == (_kind(text[end - 1]) or ""):
        last += 1
    return text[first:last]
