"""Names of the data streams: one of each kind for each day, named by the record's own date. Pure.

A deterministic `_id` tells a repetition only within one backing index. A record's own date never changes, and no stream is ever
rolled over while it is written to, so a repetition always meets its first. The same names make retention a matter of deleting
whole streams, without any lifecycle module.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from shared.telemetry_store.records import METRICS_RETENTION

FUTURE = timedelta(days=2)
"""Days that may have streams already: a clock that is off must not make streams of all the days to come."""
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of record.

    Attributes:
        name: Part of its streams' names.
        retention: How long records are kept at least; None: for ever, in one stream, since they are few.
    """

    name: str
    retention: timedelta | None


class Kinds(NamedTuple):
    """All kinds of records; `ticks` are the lifecycle events of every second."""

    traces: Kind
    logs: Kind
    metrics: Kind
    ticks: Kind
    events: Kind


def kinds_of(retention: timedelta) -> Kinds:
    """Return the kinds, with traces and logs kept for so long."""
    return Kinds(
        traces=Kind(name="traces", retention=retention),
        logs=Kind(name="logs", retention=retention),
        metrics=Kind(name="metrics", retention=METRICS_RETENTION),
        ticks=Kind(name="ticks", retention=METRICS_RETENTION),
        events=Kind(name="events", retention=None),
    )


def stream_of(prefix: str, kind: Kind, time_ns: int, now: datetime) -> str:
    """Return the stream of a record, e.g. `plumbline-traces-2026.11.22`.

    What is dated further ahead than days may have streams lies in the present one; of such records alone a repetition beyond
    midnight is not told.
    """
    if kind.retention is None:
        return f"{prefix}-{kind.name}"
    day = _day_of(time_ns)
    return f"{prefix}-{kind.name}-{day if day <= (now + FUTURE).date() else now.date():%Y.%m.%d}"


def pattern_of_kind(prefix: str, kind: Kind) -> str:
    """Return what the names of all streams of a kind match."""
    return f"{prefix}-{kind.name}-*" if kind.retention else f"{prefix}-{kind.name}"


def has_expired(kind: Kind, time_ns: int, now: datetime) -> bool:
    """Tell whether a record is older than its kind is kept; such a one is not written, since its stream may be gone."""
    return kind.retention is not None and time_ns < (now - kind.retention).timestamp() * NS_PER_S


def expired_streams(prefix: str, kind: Kind, names: list[str], now: datetime) -> list[str]:
    """Return the streams of a kind of which the last moment is older than its retention, oldest first."""
    if kind.retention is None:
        return []
    named = re.compile(rf"{re.escape(prefix)}-{kind.name}-(\d{{4}})\.(\d\d)\.(\d\d)")
    dated = [(date(*map(int, found.groups())), name) for name in names if (found := named.fullmatch(name))]
    oldest_kept = now - kind.retention
    return [name for day, name in sorted(dated) if _end_of(day) <= oldest_kept]


def _day_of(time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).date()


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)
