"""Terms that a text itself shows: letters that hold together, stand in free company, and are rarer in general language.

Cohesion is the pointwise mutual information of a candidate's two parts where it is weakest, normalised to 1 (Bouma 2009). Freedom
follows from the branching entropy: how little the letters before and after can be foretold (Jin and Tanaka-Ishii 2006).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import rjieba
from numpy.typing import NDArray

from services.tokenizer_builder.core.grams import Codes, Counted, Grams, keys_of

Floats: TypeAlias = NDArray[np.float64]

MAX_CHARS = 8
"""Longest candidate; templates of statutes are longer."""
GENERAL_TOTAL = 60_101_967
"""Sum of the frequencies in jieba's dictionary, which rjieba carries."""
LOOSE_TAGS = frozenset("ucpdrmqfyteo")
"""First letters of jieba's tags for words that no term begins or ends with: particles, conjunctions, prepositions, adverbs,
pronouns, numbers, measures, places, times and sounds."""
MEASURE_TAGS = frozenset("q")
"""A term may end with one: 片 counts sheets, and is also what tablets are called."""
JOINING_TAGS = frozenset("ucpry")
"""Those that no term has inside: particles, conjunctions, prepositions, pronouns."""
MODALS = frozenset({
    "应当", "可以", "不得", "必须", "能够", "应该", "应", "须", "可", "是", "有", "为", "等", "要", "会",
    "能", "使", "令", "让", "给", "向", "按照", "依照", "根据", "属于", "具有", "进行", "予以", "给予",
})  # fmt: skip
"""Verbs and the like that join what stands beside them into a clause."""
STYLE = frozenset({
    "本法", "本条", "本款", "本章", "本节", "本条例", "本办法", "本规定", "本解释", "本决定",
    "前款", "前条", "前项", "另有", "之日起", "下列", "上述",
    "您好", "你好", "请问", "谢谢", "感谢", "想问", "问问", "想知道", "祝您", "祝你",
    "怎么办", "怎么样", "怎么回事", "为什么", "是不是", "能不能",
})  # fmt: skip
"""What statutes call themselves and their parts by, and how letters greet, ask and thank: of no subject, however frequent."""
ADVERB_TAGS = frozenset("d")
NAMING_SPREAD = 0.5

MIN_GENERAL_COUNT = 3
"""What a general text has less often stands in it by chance: in a short one it would count as frequent."""

Tag: TypeAlias = Callable[[str], list[tuple[str, str]]]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A string that may be a term.

    Attributes:
        count: How often it occurs, at least.
        cohesion: Normalised mutual information at its weakest joint, -1 to 1.
        freedom: 1 - exp(-H) of the smaller of its two branching entropies H in nats, 0 to 1.
    """

    text: str
    count: int
    cohesion: float
    freedom: float

    @property
    def score(self) -> float:
        """Cohesion by freedom, 0 to 1."""
        return max(self.cohesion, 0.0) * self.freedom


@dataclass(frozen=True, kw_only=True)
class GeneralText:
    """What general language is like.

    Attributes:
        frequency: The frequency of a word in the segmenter's dictionary, out of 60 million words; 0 where it has none.
        counts: Every occurrence of candidates in a general text that the operator gave, where there is one.
        num_chars: Its Han characters, which is what the domain's own text is measured in.
    """

    frequency: Callable[[str], int]
    counts: Mapping[str, int] = field(default_factory=dict)
    num_chars: int = 0

    def per_million(self, term: str) -> float:
        """Return how often a term occurs in a million Han characters of general text, the larger of both sources."""
        # A word of the dictionary has 1.7 characters on average.
        told = self.frequency(term) / (GENERAL_TOTAL * 1.7) * 1e6
        count = self.counts.get(term, 0)
        return max(told, count / self.num_chars * 1e6) if count >= MIN_GENERAL_COUNT else told


def dictionary_frequency(word: str) -> int:
    """Return a word's frequency in rjieba's dictionary, 0 where it is not there.

    rjieba gives the frequency that would keep the word together, which is its own or, of a rare word of frequent letters, a
    higher one.
    """
    return int(rjieba.suggest_freq(word)) if rjieba.has_word(word) else 0


def candidates(counted: Counted, *, min_count: int, min_cohesion: float, min_freedom: float) -> list[Candidate]:
    """Return what holds together and stands free, best first.

    Args:
        counted: The text's n-grams, up to one character longer than the longest candidate.
        min_count: Rarer ones are left out.
        min_cohesion: Looser ones are left out.
        min_freedom: Those that are parts of something longer are left out.
    """
    found: list[Candidate] = []
    for length in range(2, len(counted.of) - 1):
        grams, longer = counted.of[length], counted.of[length + 1]
        freedom = np.minimum(
            _freedom(grams, longer.prefixes, longer.counts), _freedom(grams, longer.suffixes, longer.counts)
        )
        chosen = np.flatnonzero((grams.counts >= min_count) & (freedom >= min_freedom))
        codes, whole = counted.spelled(length, grams.keys[chosen])
        codes, chosen = codes[whole], chosen[whole]
        cohesion = _cohesion(counted, codes, grams.counts[chosen])
        for at in np.flatnonzero(cohesion >= min_cohesion).tolist():
            text = codes[at].tobytes().decode("utf-32-le")
            place = chosen[at]
            found.append(
                Candidate(
                    text=text,
                    count=int(grams.counts[place]),
                    cohesion=float(cohesion[at]),
                    freedom=float(freedom[place]),
                )
            )
    return sorted(found, key=lambda one: (-one.score, -one.count, one.text))


def why_no_term(text: str, *, spread: float | None = None, tag: Tag) -> str | None:
    """Return why a candidate's words make no term, or None.

    Args:
        text: One that holds together.
        spread: How much more unevenly it is spread than ordinary words, where that is known: an adverb may begin the name of
            something that only some of the texts are about, as 特别 does 特别行政区.
        tag: Cuts a text into words and names their kinds as jieba does.
    """
    words = tag(text)
    of_style = next((word for word, _ in words if word in STYLE), None)
    if of_style:
        return f"style: {of_style} is a way of speaking, of whatever subject"
    may_begin = ADVERB_TAGS if spread is not None and spread >= NAMING_SPREAD and _is_named(words) else frozenset()
    edges = (("begins", words[0], LOOSE_TAGS - may_begin), ("ends", words[-1], LOOSE_TAGS - MEASURE_TAGS))
    for place, (word, kind), loose in edges:
        if word in MODALS or kind[0] in loose:
            return f"{place} with {word}, which no term does"
    for word, kind in words[1:-1]:
        if word in MODALS or kind[0] in JOINING_TAGS:
            return f"a phrase: it holds {word}"
    return None


def _is_named(words: Sequence[tuple[str, str]]) -> bool:
    """Whether a noun ends it, and what begins it is no particle of one character, such as 不 and 将."""
    return len(words) > 1 and len(words[0][0]) > 1 and words[-1][1][0] == "n"


def _freedom(grams: Grams, parts: NDArray[np.uint64], counts: NDArray[np.int64]) -> Floats:
    """Return 1 - exp(-H) for each n-gram, H the entropy of what stands at one side of it.

    Args:
        grams: The n-grams.
        parts: Which of them each longer n-gram holds, by key.
        counts: How often the longer ones occur.

    What is missing in the longer ones, the end of a run and rare company, counts as different each time.
    """
    at = np.minimum(np.searchsorted(grams.keys, parts), max(len(grams.keys) - 1, 0))
    known = grams.keys[at] == parts if len(grams.keys) else np.zeros(len(parts), dtype=np.bool_)
    weights = counts[known] * np.log(np.maximum(counts[known], 1))
    told = np.bincount(at[known], weights=weights, minlength=len(grams.keys))
    totals = np.maximum(grams.counts, 1)
    entropy = np.log(totals) - told / totals
    return np.asarray(1 - np.exp(-np.maximum(entropy, 0)), dtype=np.float64)


def _cohesion(counted: Counted, codes: Codes, counts: NDArray[np.int64]) -> Floats:
    """Return the normalised mutual information of each n-gram's parts, at the joint where it is smallest."""
    log_total = np.log(max(counted.num_chars, 1))
    own = np.log(np.maximum(counts, 1)) - log_total
    weakest = np.full(len(codes), np.inf)
    for joint in range(1, codes.shape[1]):
        left = counted.of[joint].counts_of(keys_of(codes[:, :joint]))
        right = counted.of[codes.shape[1] - joint].counts_of(keys_of(codes[:, joint:]))
        # A part occurs as often as the whole at least, even where it was dropped from a table that was full.
        apart = np.log(np.maximum(left, counts)) + np.log(np.maximum(right, counts)) - 2 * log_total
        weakest = np.minimum(weakest, own - apart)
    return np.asarray(weakest / np.maximum(-own, 1e-9), dtype=np.float64)
