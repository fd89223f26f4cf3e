"""Whether a batch is like what its domain got so far; what is not is held for a person.

Each measure is a distance between the batch and the sum of the accepted batches. It is far when it passes a fixed limit and
lies well above the distances that accepted batches had: a domain that gets one law at a time varies more than one that gets
samples of all, and is allowed to.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contracts.corpus import BatchStatistics
from contracts.envelope import Contract
from services.ingest.core.statistics import MAX_NAMES, OTHERS, length_quantile, merged
from services.ingest.settings import HoldRules

MIN_BIGRAMS = 10_000
"""Of fewer pairs, most differ in any text."""
CLASSES_PER_OCTAVE = 2
MIN_DEVIATIONS_FROM = 3
"""Distances that a deviation is taken from, at least."""


class Spread(Contract):
    """The distances of accepted batches: their number, mean and sum of squared differences from it.

    Source: Welford, Technometrics 4 (1962).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def plus(self, value: float) -> "Spread":
        """Return it with one more value."""
        count = self.count + 1
        mean = self.mean + (value - self.mean) / count
        return Spread(count=count, mean=mean, squares=self.squares + (value - self.mean) * (value - mean))

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample; 0 of fewer than two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


class Reference(Contract):
    """What a domain got so far: the accepted batches, as one, and how far each was from those before it.

    Attributes:
        num_batches: Accepted batches.
        total: Their statistics.
        spreads: By measure.
    """

    num_batches: int = 0
    total: BatchStatistics = BatchStatistics()
    spreads: dict[str, Spread] = Field(default_factory=dict)

    @property
    def mean_size(self) -> float:
        """Documents of a batch; of at least one batch."""
        return self.total.num_documents / self.num_batches

    def plus(self, statistics: BatchStatistics, rules: HoldRules) -> "Reference":
        """Return it with one more accepted batch."""
        spreads = dict(self.spreads)
        if self.num_batches:
            for name, distance in distances(statistics, self, rules).items():
                spreads[name] = spreads.get(name, Spread()).plus(distance)
        return Reference(num_batches=self.num_batches + 1, total=merged((self.total, statistics)), spreads=spreads)


@dataclass(frozen=True)
class Accepted:
    """A batch goes on."""


@dataclass(frozen=True)
class Held:
    """A batch waits for a person.

    Attributes:
        reasons: How it differs, each with its number, the limit, and what the domain has.
    """

    reasons: tuple[str, ...]


Judgement = Accepted | Held


def judge(statistics: BatchStatistics, reference: Reference, rules: HoldRules) -> Judgement:
    """Say whether a batch is like what its domain got so far. Before there is enough of that, everything is."""
    is_young = reference.num_batches < rules.min_batches or reference.total.num_documents < rules.min_documents
    if not rules.enabled or is_young:
        return Accepted()
    reasons = (*_absolute(statistics, reference, rules), *_distant(statistics, reference, rules))
    return Held(reasons) if reasons else Accepted()


def distances(statistics: BatchStatistics, reference: Reference, rules: HoldRules) -> dict[str, float]:
    """Return how far a batch lies from what there is, by measure; what it is too small for is left out.

    Size and lengths in doublings, everything else 0 to 1. The size is below 0 where the batch is smaller than usual, as the rest
    of every upload is: that is never far, but tells how much sizes vary.

    Args:
        statistics: Of the batch.
        reference: Of at least one batch.
        rules: What is too small.
    """
    found = {"size": math.log2(statistics.num_documents / reference.mean_size)}
    total = reference.total
    if statistics.num_documents >= rules.min_batch_documents:
        found["length"] = octaves_between(statistics.length_counts, total.length_counts)
    if statistics.num_chars >= rules.min_batch_chars:
        found["scripts"] = divergence_of_names(statistics.script_chars, total.script_chars)
        if statistics.relevance is not None:
            found["relevance"] = 1 - statistics.relevance
        found["characters"] = divergence(statistics.character_counts, total.character_counts)
    if statistics.num_compared_texts >= rules.min_batch_documents:
        found["mixture"] = statistics.num_unlike_texts / statistics.num_compared_texts
    if sum(statistics.labels.values()) >= rules.min_batch_documents and total.labels:
        found["labels"] = divergence_of_names(statistics.labels, total.labels)
    return found


def divergence(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the Jensen-Shannon distance of two distributions: the square root of the divergence in bits, 0 to 1.

    Source: Endres and Schindelin, IEEE Trans. Inf. Theory 49 (2003). Counts are scaled; missing ones at the end are 0.

    Example:
        >>> divergence([1, 0], [0, 5])
        1.0
    """
    size = max(len(one), len(other))
    p, q = (np.pad(np.asarray(counts, dtype=float), (0, size - len(counts))) for counts in (one, other))
    if not p.sum() or not q.sum():
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    bits = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(math.sqrt(min(max(bits, 0.0), 1.0)))


def octaves_between(one: Sequence[int], other: Sequence[int]) -> float:
    """Return how far lengths lie apart: the earth mover's distance of their logarithms, in doublings.

    Unlike a divergence it knows that neighbouring classes are alike: texts that grow by a tenth may all change their class.

    Args:
        one: Documents by length, two classes a doubling (`BatchStatistics.length_counts`).
        other: The same of others.

    Example:
        >>> octaves_between([0, 0, 5], [0, 0, 0, 0, 1])
        1.0
    """
    size = max(len(one), len(other))
    p, q = (np.pad(np.asarray(counts, dtype=float), (0, size - len(counts))) for counts in (one, other))
    if not p.sum() or not q.sum():
        return 0.0
    return float(np.abs(np.cumsum(p / p.sum()) - np.cumsum(q / q.sum())).sum() / CLASSES_PER_OCTAVE)


def divergence_of_names(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Return the same of counts by name."""
    names = sorted({*one, *other})
    return divergence([one.get(name, 0) for name in names], [other.get(name, 0) for name in names])


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def _absolute(statistics: BatchStatistics, reference: Reference, rules: HoldRules) -> Iterator[str]:
    """Yield what is wrong whatever the spread of earlier batches."""
    if statistics.num_bigrams >= MIN_BIGRAMS:
        distinct = statistics.num_distinct_bigrams / statistics.num_bigrams
        if distinct > rules.max_distinct_bigrams:
            yield f"noise: {distinct:.0%} of the pairs of neighbours differ, more than {rules.max_distinct_bigrams:.0%}"
    if statistics.num_documents < rules.min_batch_documents:
        return
    repeated = statistics.num_repeated / statistics.num_documents
    if repeated > rules.max_repeated:
        yield f"repetition: {repeated:.0%} of the documents repeat another one of the batch, more than {rules.max_repeated:.0%}"
    foreign = _foreign_share(statistics.labels, reference.total.labels)
    if sum(statistics.labels.values()) >= rules.min_batch_documents and foreign > rules.max_foreign_labels:
        yield f"labels: {foreign:.0%} have a label that the domain has never seen, more than {rules.max_foreign_labels:.0%}"


def _foreign_share(labels: Mapping[str, int], known: Mapping[str, int]) -> float:
    """Return the share of labels that are not known; 0 where none is known, or not all known ones are kept by name."""
    total = sum(labels.values())
    if not total or not known or (OTHERS in known and len(known) >= MAX_NAMES):
        return 0.0
    return sum(count for label, count in labels.items() if label not in known) / total


def _distant(statistics: BatchStatistics, reference: Reference, rules: HoldRules) -> Iterator[str]:
    limits = {
        "size": math.log2(rules.max_size_ratio),
        "length": rules.max_length_octaves,
        "scripts": rules.max_script_distance,
        "characters": rules.max_character_distance,
        "relevance": 1 - rules.min_relevance,
        "labels": rules.max_label_distance,
        "mixture": rules.max_unlike,
    }
    says_little = sum(statistics.labels.values()) < rules.min_labels_ratio * reference.mean_size
    for name, distance in distances(statistics, reference, rules).items():
        if name == "labels" and says_little:
            continue
        spread = reference.spreads.get(name, Spread())
        usual = spread.mean + rules.num_deviations * spread.deviation if spread.count >= MIN_DEVIATIONS_FROM else 0.0
        limit = max(limits[name], usual)
        if distance > limit:
            yield f"{name}: at a distance of {distance:.2f} (limit {limit:.2f}){_told(name, statistics, reference)}"


def _told(name: str, statistics: BatchStatistics, reference: Reference) -> str:
    """Return the same in words that say what to look at."""
    total = reference.total
    match name:
        case "size":
            return f"; {statistics.num_documents:,} documents, a batch of the domain has {reference.mean_size:,.0f} on average"
        case "length":
            medians = (length_quantile(statistics, 0.5), length_quantile(total, 0.5))
            return f"; half of the texts are longer than {medians[0]:,.0f} characters, of the domain {medians[1]:,.0f}"
        case "scripts":
            return f"; {_largest(statistics.script_chars)}, of the domain {_largest(total.script_chars)}"
        case "relevance":
            return f"; {statistics.relevance:.0%} of its pairs of neighbouring characters are known in the domain"
        case "mixture":
            unlike, compared = statistics.num_unlike_texts, statistics.num_compared_texts
            return f"; {unlike:,} of {compared:,} texts have few of their pairs of characters in common with the domain"
        case "labels":
            return f"; {_largest(statistics.labels)}, of the domain {_largest(total.labels)}"
        case _:
            return ""


def _largest(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    largest = sorted(counts.items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{name} {count / total:.0%}" for name, count in largest)
