"""Counts of answers: from metric points, added up, and as shares and percentiles. Cache hits are in no count but their own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from contracts.envelope import Digest, Domain
from contracts.telemetry import ANSWER_CACHE_HITS, ANSWER_LATENCY, LATENCY_BOUNDS_MS
from shared.telemetry_store.records import MetricPoint

NS_PER_S = 1_000_000_000
HARMLESS_OUTCOMES = frozenset({"ok", "cancelled", "refused"})
"""Values of `plumbline.answer.outcome` that say nothing against a bundle: answered, given up by the client, or turned away since
too many requests waited. Every other one is an error."""

_DIGEST = re.compile(r"[0-9a-f]{64}")  # SHA-256
_DOMAIN = re.compile(r"[a-z][a-z0-9-]{0,62}")  # as contracts.envelope.Domain


class Series(NamedTuple):
    """Whose answers are counted."""

    domain: Domain
    bundle_digest: Digest


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of one bundle over some time.

    Attributes:
        num_answers: Answers that the model made, errors among them.
        num_slow: Answers over the latency limit.
        histogram: Answers by latency, one count more than LATENCY_BOUNDS_MS has bounds; sums to `num_answers`.
    """

    num_answers: int = 0
    num_errors: int = 0
    num_slow: int = 0
    num_cache_hits: int = 0
    histogram: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_MS) + 1)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.num_answers + other.num_answers,
            self.num_errors + other.num_errors,
            self.num_slow + other.num_slow,
            self.num_cache_hits + other.num_cache_hits,
            tuple(map(sum, zip(self.histogram, other.histogram, strict=True))),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nobody was answered, from the cache neither."""
        return not (self.num_answers or self.num_cache_hits)

    @property
    def error_share(self) -> float:
        """Share of answers that were errors, 0 to 1; 0 without answers."""
        return self.num_errors / self.num_answers if self.num_answers else 0.0

    @property
    def slow_share(self) -> float:
        """Share of answers over the latency limit, 0 to 1; 0 without answers."""
        return self.num_slow / self.num_answers if self.num_answers else 0.0

    def percentile_ms(self, share: float) -> float | None:
        """Return the latency that `share` of the answers do not pass, linear within a bucket; None without answers.

        What lies beyond the last bound is taken to lie at it.

        Example:
            >>> Counts(num_answers=4, histogram=(0, 4) + (0,) * 16).percentile_ms(0.5)  # 4 answers in (2, 5] ms
            3.5
        """
        rank, below = share * self.num_answers, 0
        for index, count in enumerate(self.histogram):
            if count and below + count >= rank:
                low = LATENCY_BOUNDS_MS[index - 1] if index else 0.0
                high = LATENCY_BOUNDS_MS[min(index, len(LATENCY_BOUNDS_MS) - 1)]
                return low + (high - low) * (rank - below) / count
            below += count
        return None


NOTHING = Counts()


class AnswerPoint(NamedTuple):
    """What one metric point says of answers; `series_id` and `time_ns` are its identity."""

    series_id: str
    time_ns: int
    series: Series
    counts: Counts

    @property
    def second(self) -> int:
        """The Unix second that it falls into."""
        return self.time_ns // NS_PER_S


class Answers(NamedTuple):
    """Points about answers, and what is wrong with those that cannot be used."""

    points: tuple[AnswerPoint, ...]
    refused: tuple[str, ...]


def answers_of(points: Iterable[MetricPoint], limit_ms: float) -> Answers:
    """Return what metric points say of answers; other metrics are passed over.

    One unusable point is refused by itself, since its export carries everything else that is known of that second.

    Args:
        points: Points of any metrics.
        limit_ms: Answers beyond it are slow; one of LATENCY_BOUNDS_MS.
    """
    taken: list[AnswerPoint] = []
    refused: list[str] = []
    for point in points:
        if point.name not in {ANSWER_LATENCY.name, ANSWER_CACHE_HITS.name}:
            continue
        series = _series(point)
        if series is None or (problem := _problem(point)):
            refused.append(f"{point.name}: {problem if series else 'no valid domain and bundle digest'}")
        else:
            taken.append(AnswerPoint(point.series, point.time_ns, series, _counts(point, limit_ms)))
    return Answers(tuple(taken), tuple(refused))


def _series(point: MetricPoint) -> Series | None:
    domain = point.attributes.get("plumbline.domain")
    digest = point.attributes.get("plumbline.bundle.digest")
    if not (isinstance(domain, str) and isinstance(digest, str)):
        return None
    return Series(domain, digest) if _DOMAIN.fullmatch(domain) and _DIGEST.fullmatch(digest) else None


def _problem(point: MetricPoint) -> str | None:
    if not point.is_delta:
        return "not of delta temporality"
    if point.name == ANSWER_LATENCY.name and (point.kind != "histogram" or point.bounds != LATENCY_BOUNDS_MS):
        return "not a histogram with the bounds of contracts.telemetry"
    return None


def _counts(point: MetricPoint, limit_ms: float) -> Counts:
    if point.name == ANSWER_CACHE_HITS.name:
        return Counts(num_cache_hits=int(point.value))
    num_answers = sum(point.counts)
    return Counts(
        num_answers=num_answers,
        num_errors=0 if point.attributes.get("plumbline.answer.outcome") in HARMLESS_OUTCOMES else num_answers,
        num_slow=sum(point.counts[LATENCY_BOUNDS_MS.index(limit_ms) + 1 :]),
        histogram=point.counts,
    )
