"""Terms found wherever they stand, inside longer ones and across one another too: as `grams` counts what it mines.

`screen.Finder` counts what a tokenizer will find, none inside another. To compare how frequent a candidate is in two texts both
must count it alike: 合同 stands in 劳动合同法 too.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from ahocorasick_rs import AhoCorasick, Implementation

_TERM = itemgetter(0)


class Occurrences:
    """Finds every occurrence of terms."""

    def __init__(self, terms: Sequence[str]) -> None:
        """Prepare to find terms, none of which is empty."""
        kind = Implementation.ContiguousNFA if terms else None
        self._automaton = AhoCorasick(terms, implementation=kind)
        self._is_empty = not terms

    def counted(self, texts: Iterable[str]) -> Counter[int]:
        """Return how often each term occurs, by its number; those that do not occur are left out.

        Example:
            Of 合同 and 合同法, `劳动合同法` holds both.
        """
        counts: Counter[int] = Counter()
        for text in texts:
            counts.update(map(_TERM, self.places(text)))
        return counts

    def places(self, text: str) -> list[tuple[int, int, int]]:
        """Return (number of the term, start, end) of each place, in characters, the end exclusive."""
        return [] if self._is_empty else self._automaton.find_matches_as_indexes(text, overlapping=True)
