"""How well a tokenizer fits a text: numbers, no judgement."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from services.tokenizer_builder.core.bpe import BYTE_TOKENS, SPECIAL_TOKENS
from services.tokenizer_builder.core.screen import Crossed, Finder
from services.tokenizer_builder.core.segmentation import Cut, is_general
from services.tokenizer_builder.core.terms import HAN_RUN

CHUNK_TEXTS = 1_000


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A tokenizer on a sample of text.

    Attributes:
        coverage: Share of characters that are in the vocabulary, so need no byte fallback; 0 to 1, higher is better.
        tokens_per_char: Fertility: tokens over characters, no special tokens counted; lower is better.
        num_chars: Size of the sample. An empty one has coverage 1 and fertility 0.
    """

    coverage: float
    tokens_per_char: float
    num_chars: int


@dataclass(frozen=True, kw_only=True)
class Integrity:
    """What a tokenizer does to words and terms of a text; shares from 0 to 1.

    Attributes:
        word_coverage: Occurrences of words of two and more Han characters, as a segmenter cuts them, that alone are one token.
        crossing: Tokens that join a part of a word to its neighbour, of all tokens; lower is better.
        spanning: Tokens of several whole words, which cut none.
        terms_whole: Terms that alone are one token; None where there is no term.
        terms_unbroken: Occurrences of terms in the text with no token's edge inside. Where a general word reaches over the edge
            of a term's letters, as 商标 does over 标注 in 商标注册, the term does not occur. None where none occurs.
        num_term_occurrences: How many occurrences those were.
        round_trip: Texts that come back from their tokens letter for letter.
        num_byte_tokens: Tokens that stand for a byte of a character outside the vocabulary.
        num_unknown: Tokens that stand for anything unknown.
        num_tokens_by_chars: Tokens by their length in characters.
    """

    num_tokens: int
    word_coverage: float
    crossing: float
    spanning: float
    num_terms: int
    terms_whole: float | None
    terms_unbroken: float | None
    num_term_occurrences: int
    round_trip: float
    num_byte_tokens: int
    num_unknown: int
    num_tokens_by_chars: dict[int, int]


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> Fit:
    """Return how `tokenizer` fits `texts`."""
    num_chars = sum(len(text) for text in texts)
    if num_chars == 0:
        return Fit(coverage=1.0, tokens_per_char=0.0, num_chars=0)
    num_tokens = sum(
        len(encoding)
        for chunk in _chunks(texts)
        for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
    )
    return Fit(coverage=coverage(tokenizer, texts), tokens_per_char=num_tokens / num_chars, num_chars=num_chars)


def coverage(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Return the share of the texts' characters that are tokens of their own; 1.0 where there is no character."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    known = sum(count for char, count in counts.items() if tokenizer.token_to_id(char) is not None)
    return known / counts.total() if counts else 1.0


def examine(tokenizer: Tokenizer, texts: Sequence[str], terms: Sequence[str], cut: Cut) -> Integrity:
    """Return what `tokenizer` does to the words and terms of `texts`.

    Args:
        tokenizer: One that gives offsets in characters.
        texts: Held-out texts.
        terms: The lexicon's terms.
        cut: A segmenter that does not know the terms.
    """
    tally = _Tally()
    finder = Finder(terms)
    byte_ids = {tokenizer.token_to_id(name) for name in BYTE_TOKENS}
    special = {tokenizer.token_to_id(name) for name in SPECIAL_TOKENS}
    for chunk in _chunks(texts):
        for text, encoding in zip(chunk, tokenizer.encode_batch(chunk, add_special_tokens=False), strict=True):
            tally.add(text, encoding, cut(text), finder)
            tally.num_byte_tokens += sum(index in byte_ids for index in encoding.ids)
            tally.num_unknown += sum(index in special for index in encoding.ids)
            tally.num_back += tokenizer.decode(encoding.ids, skip_special_tokens=False) == text
    return tally.result(
        len(texts), whole=share_whole(tokenizer, terms), num_terms=len(terms), is_one=_is_one(tokenizer)
    )


def share_whole(tokenizer: Tokenizer, terms: Sequence[str]) -> float | None:
    """Return the share of terms that alone are one token; None where there is none."""
    lengths = [len(one) for one in tokenizer.encode_batch_fast(list(terms), add_special_tokens=False)]
    return sum(length == 1 for length in lengths) / len(lengths) if lengths else None


class _Tally:
    """Counts over texts."""

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.num_tokens = self.num_crossing = self.num_spanning = 0
        self.num_occurrences = self.num_unbroken = 0
        self.num_byte_tokens = self.num_unknown = self.num_back = 0

    def add(self, text: str, encoding: Encoding, words: Sequence[str], finder: Finder) -> None:
        """Count what happens to one text."""
        self.words.update(words)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        starts, ends = offsets[:, 0], offsets[:, 1]
        edges = _edges(accumulate(map(len, words), initial=0), len(text))
        # Edges up to a place, itself not counted.
        before = np.concatenate([[0], np.cumsum(edges)])
        spans = before[ends] - before[np.minimum(starts + 1, len(text))] > 0
        aligned = edges[starts] & edges[ends]
        self.num_tokens += len(offsets)
        self.lengths.update((ends - starts).tolist())
        self.num_crossing += int((spans & ~aligned & (ends > starts)).sum())
        self.num_spanning += int((spans & aligned & (ends > starts)).sum())
        inside = np.concatenate([[0], np.cumsum(_edges(starts.tolist(), len(text)))])
        across = Crossed(words, is_general)
        for _, start, end in finder.places(text):
            if across.at(start, beyond=end) or across.at(end, beyond=start):
                continue
            self.num_occurrences += 1
            self.num_unbroken += bool(inside[end] == inside[start + 1])

    def result(
        self, num_texts: int, *, whole: float | None, num_terms: int, is_one: Callable[[list[str]], list[bool]]
    ) -> Integrity:
        """Return the shares."""
        words = [word for word in self.words if len(word) > 1 and HAN_RUN.fullmatch(word)]
        total = sum(self.words[word] for word in words)
        known = sum(self.words[word] for word, one in zip(words, is_one(words), strict=True) if one)
        return Integrity(
            num_tokens=self.num_tokens, word_coverage=_share(known, total),
            crossing=_share(self.num_crossing, self.num_tokens, empty=0),
            spanning=_share(self.num_spanning, self.num_tokens, empty=0),
            num_terms=num_terms, terms_whole=whole,
            terms_unbroken=_share(self.num_unbroken, self.num_occurrences) if self.num_occurrences else None,
            num_term_occurrences=self.num_occurrences, round_trip=_share(self.num_back, num_texts),
            num_byte_tokens=self.num_byte_tokens, num_unknown=self.num_unknown,
            num_tokens_by_chars=dict(sorted(self.lengths.items())),
        )  # fmt: skip


def _is_one(tokenizer: Tokenizer) -> Callable[[list[str]], list[bool]]:
    def are_one(words: list[str]) -> list[bool]:
        return [len(one) == 1 for one in tokenizer.encode_batch_fast(words, add_special_tokens=False)]

    return are_one


def _edges(places: Iterable[int], num_chars: int) -> NDArray[np.bool_]:
    edges = np.zeros(num_chars + 1, dtype=np.bool_)
    edges[list(places)] = True
    return edges


def _share(part: int, whole: int, *, empty: float = 1.0) -> float:
    return part / whole if whole else empty


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    bounds = [*range(0, len(texts), CHUNK_TEXTS), len(texts)]
    return (list(texts[start:end]) for start, end in pairwise(bounds))
