"""Which terms may be found before any merge, and which would cut their neighbours in two.

An added token is matched wherever its letters stand, blind to what stands beside it: with the term `国家主权`, `国家主权力` (the
main powers of the state) falls apart as `国家主权` and `力`. So each term is looked up in the training text, and its edges are
compared with the cuts of a segmenter that does not know the term: a general word that lies across an edge was cut.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from services.tokenizer_builder.core.segmentation import Cut

MIN_ADDED_CHARS = 3
"""Shorter terms become merges: two characters stand side by side by chance too often."""
MAX_CUT_SHARE = 0.05
"""A term that cuts a general word at more of its places is no added token."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How often a term stands in a text, and how often it cuts a general word there; one such word, for people."""

    num_places: int
    num_cuts: int
    example: str | None = None

    @property
    def is_harmful(self) -> bool:
        """Whether the term cuts words at more than one place and at more than `MAX_CUT_SHARE` of them."""
        return self.num_cuts > max(1, MAX_CUT_SHARE * self.num_places)


class Finder:
    """Finds terms in texts as the tokenizer will: from the left, the longest first, none inside another."""

    def __init__(self, terms: Sequence[str]) -> None:
        """Prepare to find terms; none of them is empty, and none is there twice."""
        self.terms = tuple(terms)
        kind = Implementation.ContiguousNFA if terms else None
        self._automaton = AhoCorasick(self.terms, matchkind=MatchKind.LeftmostLongest, implementation=kind)

    def places(self, text: str) -> list[tuple[int, int, int]]:
        """Return (number of the term, start, end) of each place, in characters, the end exclusive."""
        return list(self._automaton.find_matches_as_indexes(text)) if self.terms else []

    def counted(self, texts: Iterable[str]) -> Counter[str]:
        """Return how often each term occurs."""
        counts: Counter[int] = Counter()
        for text in texts:
            counts.update(at[0] for at in self.places(text))
        return Counter({self.terms[number]: count for number, count in counts.items()})


def overlaps(
    texts: Iterable[str], terms: Sequence[str], *, cut: Cut, is_general: Callable[[str], bool]
) -> dict[str, Overlap]:
    """Return how each term stands in a sample of text; terms that do not occur are left out.

    Args:
        texts: The sample.
        terms: What would be found before any merge.
        cut: A segmenter that does not know the terms.
        is_general: Whether a word of the segmenter is one of general language, not a guess.
    """
    finder = Finder(terms)
    places: Counter[int] = Counter()
    cuts: Counter[int] = Counter()
    examples: dict[int, str] = {}
    for text in texts:
        found = finder.places(text)
        if not found:
            continue
        across = Crossed(cut(text), is_general)
        for number, start, end in found:
            places[number] += 1
            word = across.at(start, beyond=end) or across.at(end, beyond=start)
            if word:
                cuts[number] += 1
                examples[number] = min(word, examples.get(number, word))
    return {
        finder.terms[number]: Overlap(num_places=count, num_cuts=cuts[number], example=examples.get(number))
        for number, count in places.items()
    }


class Crossed:
    """The words of a text, to be asked which of them lies across a place."""

    def __init__(self, words: Sequence[str], is_general: Callable[[str], bool]) -> None:
        """Take words that stand behind each other; those of them count that are general language."""
        self._words = words
        self._starts = list(accumulate(map(len, words), initial=0))
        self._edges = frozenset(self._starts)
        self._is_general = is_general

    def at(self, place: int, *, beyond: int) -> str | None:
        """Return the general word that `place` cuts, or None; one that also reaches over `beyond` holds the whole term."""
        if place in self._edges:
            return None
        number = bisect_right(self._starts, place) - 1
        word = self._words[number]
        holds_term = self._starts[number] <= beyond <= self._starts[number] + len(word)
        return word if not holds_term and self._is_general(word) else None
