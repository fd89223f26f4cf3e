"""Figures that the report shows, computed from what was told. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

from contracts.envelope import Digest
from contracts.monitoring import LatencyHistogram, TrafficObserved

Z_95 = 1.96
BIN_S = 5


@dataclass(frozen=True)
class Interval:
    """A share and the 95 % interval around it."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TrafficBin:
    """Some seconds of one bundle's answers.

    Attributes:
        at: The first second.
        answers_per_s: Mean over the bin.
        p95_ms: None without an answer.
    """

    at: datetime
    answers_per_s: float
    p95_ms: float | None


def wilson(share: float, n: int) -> Interval:
    """Return the Wilson score interval of a share of `n` independent cases, at 95 %.

    Source: E. B. Wilson, JASA 22 (1927), 209-212. Held-out documents of one law resemble each other, so the truth is wider.

    Example:
        >>> interval = wilson(0.5, 100)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.404, 0.596)
    """
    if n == 0:
        return Interval(share, 0.0, 1.0)
    square = Z_95**2
    center = (share + square / (2 * n)) / (1 + square / n)
    half = Z_95 * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return Interval(share, max(0.0, center - half), min(1.0, center + half))


def percentile_ms(histograms: Sequence[LatencyHistogram], share: float) -> float | None:
    """Return a percentile of latencies, between the bounds of its bucket in proportion; None without an answer.

    What lies beyond the last bound is taken to lie at it: the truth is at least as high.
    """
    if not histograms:
        return None
    bounds = histograms[0].bounds_ms
    counts: list[int] = [
        sum(column) for column in zip(*(one.counts for one in histograms if one.bounds_ms == bounds), strict=True)
    ]
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    before = 0
    for index, count in enumerate(counts):
        if count and before + count >= rank:
            low = bounds[index - 1] if index else 0.0
            high = bounds[index] if index < len(bounds) else low
            return float(low + (high - low) * (rank - before) / count)
        before += count
    return float(bounds[-1])


def binned(traffic: Iterable[TrafficObserved], *, bin_s: int = BIN_S) -> dict[Digest, list[TrafficBin]]:
    """Return traffic by bundle in bins of some seconds, by time; bins without an answer are left out."""
    seconds: dict[tuple[Digest, int], list[TrafficObserved]] = defaultdict(list)
    for second in traffic:
        seconds[second.bundle_digest, int(second.second.timestamp()) // bin_s].append(second)
    found: dict[Digest, list[TrafficBin]] = defaultdict(list)
    for digest, number in sorted(seconds):
        members = seconds[digest, number]
        found[digest].append(
            TrafficBin(
                at=min(member.second for member in members),
                answers_per_s=sum(member.num_answers for member in members) / bin_s,
                p95_ms=percentile_ms([member.latency for member in members], 0.95),
            )
        )
    return dict(found)


def bin_s_for(duration_s: float) -> int:
    """Return a width of bins that leaves a few hundred of them."""
    return max(BIN_S, int(duration_s / 300) + 1)
