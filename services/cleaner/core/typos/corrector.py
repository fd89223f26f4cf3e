"""Finding and correcting slips of known terms in a batch of texts.

A place is a candidate where it sounds like a term of the lexicon, or like the term with one character exchanged for a look-alike:
one automaton over sounds (Aho and Corasick 1975) finds all of them in one pass. It is a slip only if nothing speaks for what is
written; see `TypoCorrector.correct`.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import rjieba
from ahocorasick_rs import BytesAhoCorasick, MatchKind

from services.cleaner.core.typos.characters import is_traditional, sound_alike, sounds_of
from services.cleaner.core.typos.shapes import NO_SHAPES, Shapes
from shared.word_pairs import COORDINATING, FUNCTION_CHARACTERS, NEVER_CHANGED, PROTECTED

HAN = re.compile("[一-鿿]+")
SEPARATOR = "\n"
_HALVES = re.compile("[\ud800-\udfff]")
CHUNK_CHARS = 1 << 20
_BYTES = [bytes([code]) for code in range(256)]
MAX_WORD_CHARS = 5
"""Longer words of a general dictionary are idioms, whose parts are words too."""
_WORD_SIZES = range(2, MAX_WORD_CHARS + 1)


@dataclass(frozen=True, kw_only=True)
class TypoRules:
    """What may be corrected.

    Attributes:
        min_term_chars: Shorter terms are no anchors, 3 or more: of two characters, the one that is left says too little.
        max_term_chars: Longer entries of a lexicon are sentences or lists.
        never_changed: Words, and characters, with those that each must not be changed into.
        protected: Characters that are neither taken away nor put in: numerals, negations, modal words.
        shapes: Common characters with those that look like them; without it only what sounds alike is corrected.
    """

    min_term_chars: int = 3
    max_term_chars: int = 16
    never_changed: Mapping[str, frozenset[str]] = field(default_factory=lambda: NEVER_CHANGED)
    protected: frozenset[str] = PROTECTED
    shapes: Shapes = field(default_factory=lambda: NO_SHAPES)


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One character that was exchanged.

    Attributes:
        position: The text's place in the batch, from 0.
        start: Where the character stands in its text, from 0; a correction moves nothing.
        found: The character that was there.
        corrected: The one that is there now.
        term: The term of the lexicon that was meant.
    """

    position: int
    start: int
    found: str
    corrected: str
    term: str


@dataclass(frozen=True)
class _Slip:
    """A term that was missed by one character: `text[begin + offset]` should be `term[offset]`."""

    begin: int
    offset: int
    term: str

    @property
    def at(self) -> int:
        return self.begin + self.offset

    @property
    def end(self) -> int:
        return self.begin + len(self.term)

    @property
    def meant(self) -> str:
        return self.term[self.offset]


class TypoCorrector:
    """Corrects texts with one lexicon and one set of rules; holds nothing of the texts."""

    def __init__(self, lexicon: Sequence[str], rules: TypoRules | None = None) -> None:
        """Build the automaton: 0.4 s and 150 MB for 8,000 terms with shapes.

        Args:
            lexicon: Terms, in any order; only what consists of Han characters becomes an anchor.
            rules: Default: `TypoRules()`.
        """
        self._rules = rules or TypoRules()
        self._words = frozenset(lexicon)
        self._pairs_in_terms = {term[at : at + 2] for term in self._words for at in range(len(term) - 1)}
        self._dictionary = _general_words()
        sizes = range(self._rules.min_term_chars, self._rules.max_term_chars + 1)
        self._terms = sorted(term for term in self._words if len(term) in sizes and HAN.fullmatch(term))
        patterns, self._term_of = self._patterns()
        self._automaton = BytesAhoCorasick(patterns, matchkind=MatchKind.Standard)

    @property
    def num_terms(self) -> int:
        """How many terms of the lexicon are anchors."""
        return len(self._terms)

    @property
    def num_patterns(self) -> int:
        """How many sequences of sounds the automaton knows."""
        return len(self._term_of)

    def correct(self, texts: Sequence[str]) -> tuple[list[str], list[Correction]]:
        """Return the texts, corrected, and what was corrected, in the texts' order.

        A character is exchanged if a term with another character there is the only one that the place can mean, and
        - the two sound or look alike, and neither is protected or a word by itself;
        - with its neighbours it belongs to no word of the general dictionary or of the lexicon, nor do two characters of any term
          stand together so;
        - it is inside the term, or the rest of the term is no word, which could stand there without it;
        - no word reaches across the ends of one of the shortest terms;
        - the exchange turns no word into one that is right as well, see `NEVER_CHANGED`, and such a variant cannot be meant.
        """
        corrected = list(texts)
        corrections: list[Correction] = []
        for first, last in _chunks(texts):
            joined = SEPARATOR.join(texts[first:last])
            starts = _starts(texts[first:last])
            for slip in self._slips(joined):
                index = bisect_right(starts, slip.at) - 1
                position, start = first + index, slip.at - starts[index]
                text = corrected[position]
                corrected[position] = text[:start] + slip.meant + text[start + 1 :]
                corrections.append(
                    Correction(position=position, start=start, found=text[start], corrected=slip.meant, term=slip.term)
                )
        return corrected, corrections

    def places(self, text: str) -> list[int]:
        """Return where `correct` would exchange a character at first, in increasing order; texts may stand in lines."""
        return [slip.at for slip in self._slips(text)]

    def _patterns(self) -> tuple[list[bytes], list[int]]:
        """Return the sounds of each term and of each near miss of it by a look-alike, with the terms' numbers."""
        all_sounds = sounds_of("".join(self._terms))
        others = {one: frozenset(sounds_of("".join(alike))) for one, alike in self._rules.shapes.items()}
        nothing: frozenset[int] = frozenset()
        patterns: list[bytes] = []
        numbers: list[int] = []
        begin = 0
        for number, term in enumerate(self._terms):
            sounds = all_sounds[begin : begin + len(term)]
            begin += len(term)
            own = [sounds]
            for offset, character in enumerate(term):
                before, after = sounds[:offset], sounds[offset + 1 :]
                own += [
                    before + _BYTES[code] + after for code in others.get(character, nothing) if code != sounds[offset]
                ]
            patterns += own
            numbers += [number] * len(own)
        return patterns, numbers

    def _slips(self, text: str) -> list[_Slip]:
        """Return what to correct, by place; at most one slip a place, and none that another one speaks against."""
        # Half of a surrogate pair is in no word, and the general dictionary takes no such text.
        text = _HALVES.sub("\n", text)
        by_place: dict[int, list[_Slip]] = defaultdict(list)
        for slip in self._candidates(text):
            if self._is_slip(text, slip):
                by_place[slip.at].append(slip)
        sure = [max(slips, key=lambda slip: len(slip.term)) for slips in by_place.values() if _agree(slips)]
        sure.sort(key=lambda slip: slip.at)
        return [slip for slip in sure if not any(_inside(place, slip) for place in by_place)]

    def _candidates(self, text: str) -> Iterator[_Slip]:
        terms, term_of = self._terms, self._term_of
        for pattern, begin, end in self._automaton.find_matches_as_indexes(sounds_of(text), overlapping=True):
            term, found = terms[term_of[pattern]], text[begin:end]
            if found == term:
                continue
            different = [offset for offset, character in enumerate(term) if character != found[offset]]
            if len(different) == 1:
                yield _Slip(begin, different[0], term)

    def _is_slip(self, text: str, slip: _Slip) -> bool:
        found, meant = text[slip.at], slip.meant
        if not self._may_exchange(found, meant):
            return False
        return not (
            self._stands_without_edge(slip)
            or self._is_in_word(text, slip.at)
            or self._is_crossed(text, slip)
            or self._is_other_word(text, slip)
            or self._may_mean_other(slip, found)
        )

    def _may_exchange(self, found: str, meant: str) -> bool:
        rules = self._rules
        if found in rules.protected or meant in rules.protected:
            return False
        if found in FUNCTION_CHARACTERS or meant in COORDINATING or is_traditional(found):
            return False
        return sound_alike(found, meant) or found in rules.shapes.get(meant, frozenset())

    def _stands_without_edge(self, slip: _Slip) -> bool:
        if 0 < slip.offset < len(slip.term) - 1:
            return False
        return self._is_word(slip.term[:-1] if slip.offset else slip.term[1:])

    def _is_in_word(self, text: str, at: int) -> bool:
        if text[max(at - 1, 0) : at + 1] in self._pairs_in_terms or text[at : at + 2] in self._pairs_in_terms:
            return True
        return any(self._is_word(word) for _, word in _words_over(text, at, _WORD_SIZES))

    def _is_crossed(self, text: str, slip: _Slip) -> bool:
        if len(slip.term) > self._rules.min_term_chars:
            return False
        left, right = text[max(slip.begin - 1, 0) : slip.begin + 1], text[slip.end - 1 : slip.end + 1]
        return self._is_word(left) or self._is_word(right)

    def _may_mean_other(self, slip: _Slip, found: str) -> bool:
        """Whether a variant of the term that is right as well, as 综合症 of 综合征, may have been meant."""
        for other in self._rules.never_changed.get(slip.meant, ()):
            if sound_alike(found, other):
                variant = slip.term[: slip.offset] + other + slip.term[slip.offset + 1 :]
                words = [word for _, word in _words_over(variant, slip.offset, _WORD_SIZES)]
                if any(self._is_word(word) or word in self._rules.never_changed for word in words):
                    return True
        return False

    def _is_other_word(self, text: str, slip: _Slip) -> bool:
        never = self._rules.never_changed
        for begin, word in _words_over(text, slip.at, range(1, MAX_WORD_CHARS + 1)):
            if word in never:
                offset = slip.at - begin
                if word[:offset] + slip.meant + word[offset + 1 :] in never[word]:
                    return True
        return False

    def _is_word(self, text: str) -> bool:
        return len(text) > 1 and (text in self._words or self._dictionary.has_word(text))


@cache
def _general_words() -> rjieba.Jieba:
    """Return rjieba's dictionary as it is shipped: an instance of its own, to which nobody adds words."""
    return rjieba.Jieba()


def _words_over(text: str, at: int, sizes: range) -> Iterator[tuple[int, str]]:
    """Yield where each run of characters that holds the one at `at` begins, and the run."""
    for size in sizes:
        for begin in range(max(0, at - size + 1), min(at, len(text) - size) + 1):
            yield begin, text[begin : begin + size]


def _agree(slips: Sequence[_Slip]) -> bool:
    return len({slip.meant for slip in slips}) == 1


def _inside(place: int, slip: _Slip) -> bool:
    """Whether another place that is in doubt lies inside what this slip takes for right."""
    return slip.begin <= place < slip.end and place != slip.at


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for position, text in enumerate(texts):
        size += len(text)
        if size > CHUNK_CHARS:
            yield first, position + 1
            first, size = position + 1, 0
    if first < len(texts):
        yield first, len(texts)


def _starts(texts: Sequence[str]) -> list[int]:
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + len(SEPARATOR)
    return starts
