"""Sliding windows of one-second buckets by event time.

A bucket is closed when its second and a grace are over. What comes later than that counts in the oldest open second: it is
neither lost nor counted twice. What comes twice counts once.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from contracts.envelope import derived_id
from contracts.monitoring import LatencyHistogram, TrafficObserved
from contracts.telemetry import LATENCY_BOUNDS_MS
from services.monitor.core.traffic import NOTHING, AnswerPoint, Counts, Series

WINDOW_S = 5
MAX_LATENESS_S = 30
"""Older points are dropped and counted; so long is remembered which points were seen."""
MAX_CATCH_UP_S = 60
"""After a longer stop (a laptop that slept) the quiet seconds before are skipped; seconds with answers never are."""
TRAFFIC_NAMESPACE = UUID("0f5f7a2e-6f0c-5d0b-8a54-3a7f3d1c9b60")
"""Names seconds of traffic; pinned, since a change would give known seconds new ids."""

Bucket = Mapping[Series, Counts]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A bundle's answers in the last WINDOW_S seconds up to the end of `second`.

    Attributes:
        second: Unix time of the window's last second.
        latest_second: The last second with answers in it, or None.
    """

    series: Series
    second: int
    counts: Counts
    latest_second: int | None

    @property
    def until(self) -> datetime:
        """When the window ended."""
        return datetime.fromtimestamp(self.second + 1, UTC)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The open seconds, and the closed ones that windows still reach.

    Attributes:
        closed: The last closed Unix second.
        buckets: Counts by second.
        seen: Identities of points by the second that they were stamped with, the last MAX_LATENESS_S of them.
        num_misdated: Points that were dropped, since their time lies too far from the present.
    """

    closed: int
    buckets: Mapping[int, Bucket] = field(default_factory=dict)
    seen: Mapping[int, frozenset[tuple[str, int]]] = field(default_factory=dict)
    num_misdated: int = 0


def open_at(now: datetime, grace_s: float) -> Windows:
    """Return windows whose oldest open second is the first that is not over, with its grace, at `now`."""
    return Windows(closed=_last_over(now, grace_s))


def record(windows: Windows, points: Iterable[AnswerPoint], now: datetime) -> Windows:
    """Count points; one whose clock runs somewhat ahead counts now."""
    present = math.floor(now.timestamp())
    buckets, seen, num_misdated = dict(windows.buckets), dict(windows.seen), windows.num_misdated
    for point in points:
        identity, known = (point.series_id, point.time_ns), seen.get(point.second, frozenset())
        if not windows.closed - MAX_LATENESS_S < point.second <= present + MAX_LATENESS_S:
            num_misdated += 1
        elif identity not in known:
            seen[point.second] = known | {identity}
            second = max(windows.closed + 1, min(point.second, present))
            bucket = buckets.get(second, {})
            buckets[second] = {**bucket, point.series: bucket.get(point.series, NOTHING) + point.counts}
    return replace(windows, buckets=buckets, seen=seen, num_misdated=num_misdated)


def close(windows: Windows, now: datetime, grace_s: float) -> tuple[Windows, tuple[int, ...]]:
    """Close every second that is over, with its grace; return which they are, oldest first."""
    last = _last_over(now, grace_s)
    if last < windows.closed - MAX_LATENESS_S:
        # The clock was set back: without this, nothing would be heard until it gets to where it was.
        return Windows(closed=last, num_misdated=windows.num_misdated), ()
    if last <= windows.closed:
        return windows, ()
    recent = range(max(windows.closed, last - MAX_CATCH_UP_S) + 1, last + 1)
    busy = (second for second in windows.buckets if windows.closed < second <= last)
    # The windows of the seconds that close now still reach back from the last that was closed before.
    buckets = {second: bucket for second, bucket in windows.buckets.items() if second > windows.closed - WINDOW_S}
    seen = {second: points for second, points in windows.seen.items() if second > last - MAX_LATENESS_S}
    return replace(windows, closed=last, buckets=buckets, seen=seen), tuple(sorted({*recent, *busy}))


def window_of(windows: Windows, series: Series, second: int) -> Window:
    """Return a bundle's window that ends with `second`."""
    seconds = [s for s in range(second - WINDOW_S + 1, second + 1) if series in windows.buckets.get(s, {})]
    counts = sum((windows.buckets[s][series] for s in seconds), NOTHING)
    return Window(series=series, second=second, counts=counts, latest_second=max(seconds, default=None))


def present_series(windows: Windows, second: int) -> frozenset[Series]:
    """Return whose answers fall into the window that ends with `second`."""
    return frozenset(series for s in range(second - WINDOW_S + 1, second + 1) for series in windows.buckets.get(s, {}))


def traffic_of(windows: Windows, second: int, limit_ms: float, now: datetime) -> tuple[TrafficObserved, ...]:
    """Return what is said of a closed second: one event for each bundle that somebody got an answer of."""
    bucket = windows.buckets.get(second, {})
    return tuple(
        _observed(series, counts, second, limit_ms, now)
        for series, counts in sorted(bucket.items())
        if not counts.is_empty
    )


def traffic_id(series: Series, second: int) -> UUID:
    """Return the id of the event about a bundle's second: the same however often it is said."""
    return derived_id(TRAFFIC_NAMESPACE, series.domain, series.bundle_digest, str(second))


def _observed(series: Series, counts: Counts, second: int, limit_ms: float, now: datetime) -> TrafficObserved:
    return TrafficObserved(
        event_id=traffic_id(series, second),
        causation_id=None,
        occurred_at=now,
        domain=series.domain,
        second=datetime.fromtimestamp(second, UTC),
        bundle_digest=series.bundle_digest,
        num_answers=counts.num_answers,
        num_errors=counts.num_errors,
        num_slow=counts.num_slow,
        num_cache_hits=counts.num_cache_hits,
        latency_limit_ms=limit_ms,
        latency=LatencyHistogram(bounds_ms=LATENCY_BOUNDS_MS, counts=counts.histogram),
    )


def _last_over(now: datetime, grace_s: float) -> int:
    return math.floor(now.timestamp() - grace_s) - 1
