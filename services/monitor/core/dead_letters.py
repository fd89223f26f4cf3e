"""Dead letters, counted from the metric that every daemon's bus records: the monitor reads no dead-letter topic itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.api import DeadLetterCount
from contracts.telemetry import MESSAGE_DEAD_LETTERS
from shared.telemetry_store.records import MetricPoint

MAX_SEEN = 20_000


class Cause(NamedTuple):
    """Messages of a topic that failed alike."""

    topic: str
    error_type: str


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Counts by cause.

    Attributes:
        seen: Which points are counted, by series and time, the last MAX_SEEN: what comes twice counts once.
    """

    counts: Mapping[Cause, int] = field(default_factory=dict)
    seen: Mapping[tuple[str, int], None] = field(default_factory=dict)


def count(known: DeadLetters, points: Iterable[MetricPoint]) -> DeadLetters:
    """Return the counts with more points in them; points of other metrics are passed over."""
    new = {
        (point.series, point.time_ns): point
        for point in points
        if point.name == MESSAGE_DEAD_LETTERS.name
        and point.is_delta
        and (point.series, point.time_ns) not in known.seen
    }
    if not new:
        return known
    counts = dict(known.counts)
    for point in new.values():
        counts[_cause(point)] = counts.get(_cause(point), 0) + int(point.value)
    return DeadLetters(counts=counts, seen=dict.fromkeys([*known.seen, *new][-MAX_SEEN:]))


def rows(known: DeadLetters) -> tuple[DeadLetterCount, ...]:
    """Return the counts as the status says them."""
    return tuple(
        DeadLetterCount(topic=cause.topic, error_type=cause.error_type, count=num)
        for cause, num in sorted(known.counts.items())
        if num
    )


def _cause(point: MetricPoint) -> Cause:
    topic = point.attributes.get("messaging.destination.name")
    return Cause(str(topic or "unknown"), str(point.attributes.get("error.type") or "unknown"))
