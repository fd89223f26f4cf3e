"""The score of a text and what follows from it.

Score: the mean natural logarithm of a character's probability given the two before it, in a trigram model whose estimates are
interpolated with fixed weights (Jelinek and Mercer 1980; Chen and Goodman, "An empirical study of smoothing techniques for
language modeling", 1999, section 2.3):

    p(c | a b) = 0.60 n(abc)/n(ab) + 0.30 n(bc)/n(b) + 0.0999 n(c)/N + 0.0001 / 65536

in nats a character, from about -20 (nothing seen before) to 0. It is minus the cross-entropy of the text: higher is nearer to
the domain. Few characters say little, so a score is drawn towards the domain's
median as if `PRIOR_CHARS` characters of that kind had been read too.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared.relevance.counts import (
    CHUNK_CHARS,
    NUM_CHARACTERS,
    CountsRefused,
    Grams,
    TrigramCounts,
    chunks,
    grams_of,
)

TRIGRAM_WEIGHT, BIGRAM_WEIGHT, UNIGRAM_WEIGHT, FLOOR_WEIGHT = 0.60, 0.30, 0.0999, 0.0001
PRIOR_CHARS = 8
STEPS_PER_NAT = 1 << 16

FORMAT = 1
MAGIC = b"PLRM"
HEADER = struct.Struct("<4sB3x3d")
"""Magic, format, the typical score and the two limits; the counts follow, in a format of their own."""


class Verdict(StrEnum):
    """What a score means."""

    KEEP = "keep"
    FLAG = "flag"
    REJECT = "off-domain"


@dataclass(frozen=True)
class Judgement:
    """A text's score, in nats a character, and what it means."""

    score: float
    verdict: Verdict


@dataclass(frozen=True)
class RelevanceModel:
    """Scores texts against a domain's corpus.

    Attributes:
        counts: Of the corpus.
        typical: The median score of the corpus' own documents, unseen.
        reject_below: A text with a lower score is off-domain or damaged.
        flag_below: A text with a lower score is kept, for a person to look at.
    """

    counts: TrigramCounts
    typical: float
    reject_below: float
    flag_below: float

    def to_bytes(self) -> bytes:
        """Return the model as bytes; equal models give equal bytes."""
        return HEADER.pack(MAGIC, FORMAT, self.typical, self.reject_below, self.flag_below) + self.counts.to_bytes()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "RelevanceModel":
        """Return the model that `to_bytes` wrote.

        Raises:
            CountsRefused: It is of another format, or cut off.
        """
        if len(stored) < HEADER.size or not stored.startswith(MAGIC):
            msg = "these bytes are no relevance model"
            raise CountsRefused(msg, next_step="fit the model again")
        _, number, typical, reject_below, flag_below = HEADER.unpack_from(stored)
        if number != FORMAT:
            msg = f"the relevance model has format {number}; this version reads format {FORMAT}"
            raise CountsRefused(msg, next_step="fit the model again")
        return cls(TrigramCounts.from_bytes(stored[HEADER.size :]), typical, reject_below, flag_below)

    @cached_property
    def _tables(self) -> "_Tables":
        return _Tables.of(self.counts)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the scores of some texts, one by one the same as together; (texts,)."""
        return drawn_to(self.typical, *_totals(texts, self._tables))

    def judge(self, texts: Sequence[str]) -> list[Judgement]:
        """Return the scores with what they mean, in the order of the texts."""
        return [Judgement(score, self.verdict(score)) for score in self.scores(texts).tolist()]

    def verdict(self, score: float) -> Verdict:
        """Return what a score means."""
        if score < self.reject_below:
            return Verdict.REJECT
        return Verdict.FLAG if score < self.flag_below else Verdict.KEEP


@dataclass(frozen=True)
class _Tables:
    """Counts as the arithmetic wants them: float32, with what does not change worked into them."""

    log2_buckets: int
    unigrams: NDArray[np.float32]
    bigrams: NDArray[np.float32]
    trigrams: NDArray[np.float32]
    num_characters: int

    @classmethod
    def of(cls, counts: TrigramCounts) -> "_Tables":
        arrays = (counts.unigrams, counts.bigrams, counts.trigrams)
        unigrams, bigrams, trigrams = (array.astype(np.float32) for array in arrays)
        return cls(counts.log2_buckets, unigrams, bigrams, trigrams, max(counts.num_characters, 1))

    def log_likelihoods(self, grams: Grams) -> NDArray[np.float32]:
        """Return each entry's natural logarithm of its probability; (n,). The first two are not meaningful."""
        one = self.unigrams.take(grams.characters)
        two = self.bigrams.take(grams.bigrams)
        three = self.trigrams.take(grams.trigrams)
        p = one * np.float32(UNIGRAM_WEIGHT / self.num_characters)
        p += np.float32(FLOOR_WEIGHT / NUM_CHARACTERS)
        # Buckets are shared, so a count may pass its context's; a ratio above 1 would be no probability.
        p[1:] += np.float32(BIGRAM_WEIGHT) * _ratio(two[1:], one[:-1])
        p[1:] += np.float32(TRIGRAM_WEIGHT) * _ratio(three[1:], two[:-1])
        np.log(p, out=p)
        return p


def total_log_likelihoods(texts: Sequence[str], counts: TrigramCounts) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the logarithm of each text's probability, in nats, and its length in characters; both (texts,)."""
    return _totals(texts, _Tables.of(counts))


def drawn_to(typical: float, totals: NDArray[np.float64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the scores of texts with these log-likelihoods and lengths, to four decimals; (texts,)."""
    return np.round((totals + PRIOR_CHARS * typical) / (lengths + PRIOR_CHARS), 4)


def _totals(texts: Sequence[str], tables: _Tables) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    totals: list[NDArray[np.float64]] = [np.empty(0)]
    lengths: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for chunk in chunks(texts, CHUNK_CHARS):
        grams = grams_of(chunk, tables.log2_buckets)
        # Sums of integers, so that a text's score does not depend on what stands before it in the batch.
        steps = np.rint(tables.log_likelihoods(grams) * np.float32(STEPS_PER_NAT)).astype(np.int64)
        sums = np.concatenate([[0], np.cumsum(steps)])
        totals.append((sums[grams.ends] - sums[grams.starts]) / STEPS_PER_NAT)
        lengths.append(grams.ends - grams.starts)
    return np.concatenate(totals), np.concatenate(lengths)


def _ratio(count: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.minimum(count / np.maximum(context, np.float32(1)), np.float32(1))
