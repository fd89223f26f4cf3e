"""Fitting the model to a corpus version: the same one for any order and any split of its documents."""

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.errors import PermanentError
from shared.relevance.counts import DEFAULT_LOG2_BUCKETS, TrigramCounts, count_trigrams, empty_counts
from shared.relevance.model import RelevanceModel, drawn_to, total_log_likelihoods

NUM_FOLDS = 5
SAMPLE_PER_FOLD = 2_000
MIN_SAMPLE = 50
"""With fewer documents the spread of the scores is guesswork."""

NORMAL_CONSISTENCY = 1.4826
"""Makes the median absolute deviation an estimate of a normal distribution's standard deviation (Rousseeuw and Croux 1993)."""
REJECT_DEVIATIONS = 3.5
"""Iglewicz and Hoaglin, "How to detect and handle outliers" (1993), call what lies further out an outlier."""
FLAG_DEVIATIONS = 2.5


class TooFewDocuments(PermanentError):
    """A corpus is too small to say what is usual in it."""


@dataclass
class RelevanceFit:
    """Collects a corpus version, then gives its model.

    Limits come from the corpus' own scores: documents fall into five folds by the digest of their group, and a fold's sample is
    scored with the counts of the other four, as an unseen text is. A document is in a sample by its digest, never by its place
    in the corpus.

    Attributes:
        log2_buckets: Size of the model, see `TrigramCounts`.
    """

    log2_buckets: int = DEFAULT_LOG2_BUCKETS
    _folds: list[TrigramCounts] = field(init=False)
    _samples: list[list[tuple[int, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self._folds = [empty_counts(self.log2_buckets) for _ in range(NUM_FOLDS)]
        self._samples = [[] for _ in range(NUM_FOLDS)]

    def add(self, texts: Sequence[str], groups: Sequence[str]) -> None:
        """Take some documents.

        Args:
            texts: Cleaned texts.
            groups: What must not be on both sides, e.g. each text's law; as many as texts.
        """
        folds: list[list[str]] = [[] for _ in range(NUM_FOLDS)]
        for text, group in zip(texts, groups, strict=True):
            fold = _number(group) % NUM_FOLDS
            folds[fold].append(text)
            self._sample(fold, text, group)
        for fold, members in enumerate(folds):
            if members:
                self._folds[fold] += count_trigrams(members, self.log2_buckets)

    def model(self) -> RelevanceModel:
        """Return the model of what was taken so far.

        Raises:
            TooFewDocuments: Fewer than 50 documents.
        """
        counts = sum(self._folds[1:], self._folds[0])
        totals, lengths = self._unseen(counts)
        if len(totals) < MIN_SAMPLE:
            msg = f"{len(totals)} documents do not show what is usual; {MIN_SAMPLE} do"
            raise TooFewDocuments(msg, next_step="leave the relevance step off until the corpus has grown")
        typical = float(np.round(np.median(totals / np.maximum(lengths, 1)), 4))
        deviation = lower_deviation(drawn_to(typical, totals, lengths))
        return RelevanceModel(
            counts=counts,
            typical=typical,
            reject_below=typical - REJECT_DEVIATIONS * deviation,
            flag_below=typical - FLAG_DEVIATIONS * deviation,
        )

    def _sample(self, fold: int, text: str, group: str) -> None:
        # A heap of the smallest numbers, the largest of them on top.
        entry = (-_number(f"{group}\x00{text}"), text)
        heap = self._samples[fold]
        if len(heap) < SAMPLE_PER_FOLD:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def _unseen(self, counts: TrigramCounts) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        totals, lengths = [], []
        for fold, sample in zip(self._folds, self._samples, strict=True):
            texts = [text for _, text in sample]
            total, length = total_log_likelihoods(texts, counts - fold)
            totals.append(total)
            lengths.append(length)
        return np.concatenate(totals), np.concatenate(lengths)


def lower_deviation(scores: NDArray[np.float64]) -> float:
    """Return the robust standard deviation of the scores below their median.

    Only that side counts: scores have a long upper tail of formulas that the corpus repeats word for word. Up to half of it may
    be damaged texts before the result gives way.
    """
    centre = np.median(scores)
    below = centre - scores[scores <= centre]
    return NORMAL_CONSISTENCY * float(np.median(below))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
