"""Records as rows of SQLite, and back. Pure."""

import json
import math
import sqlite3
from datetime import datetime
from hashlib import blake2b
from typing import Any, cast

from contracts.api import EventRecord
from shared.telemetry_store.patterns import level_of, pattern_of, searchable_words
from shared.telemetry_store.records import (
    FIRST_US,
    MAX_FOUND,
    SEARCHABLE_ATTRIBUTES,
    Attributes,
    LogPattern,
    LogQuery,
    LogRecord,
    MetricPoint,
    Span,
    SpanLink,
    microseconds,
    subjects_of,
    to_the_millisecond,
)
from shared.telemetry_store.words import phrases_of

SEQ_BITS = 9
MAX_SEQ = 2**63 - 1


def bound_us(moment: datetime | None) -> int:
    """Return after which Unix microsecond something is looked for; none: after what is before all others."""
    return FIRST_US if moment is None else microseconds(moment)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def span_row(span: Span) -> tuple[Any, ...]:
    """Return a span."""
    links = [[link.trace_id, link.span_id] for link in span.links]
    return (
        span.trace_id, span.span_id, span.parent_span_id, span.service, span.name, span.start_ns, span.end_ns, span.status,
        _dump(span.attributes), _dump(links),
    )  # fmt: skip


def link_rows(span: Span) -> list[tuple[Any, ...]]:
    """Return by which traces a span is found that it links to."""
    return [(link.trace_id, span.trace_id, span.span_id, span.start_ns) for link in span.links]


def attribute_rows(span: Span) -> list[tuple[Any, ...]]:
    """Return by which attributes a span is found."""
    found = [name for name in SEARCHABLE_ATTRIBUTES if isinstance(span.attributes.get(name), str)]
    return [(name, span.attributes[name], span.start_ns, span.trace_id, span.span_id) for name in found]


def span_of(row: sqlite3.Row) -> Span:
    """Return the span of a row."""
    fields = {key: row[key] for key in row.keys() if key not in {"attributes", "links"}}  # noqa: SIM118 a row is no dict
    links = tuple(SpanLink(trace_id=trace_id, span_id=span_id) for trace_id, span_id in json.loads(row["links"]))
    return Span(**fields, attributes=_attributes(row), links=links)


def log_row(log: LogRecord, *, attempt: int = 0) -> tuple[Any, ...]:
    """Return a log record with what it is found by."""
    return (
        log_seq(log.uid, log.time_ns, attempt), log.uid, log.time_ns, log.service, log.severity, log.body, log.trace_id,
        log.span_id, _dump(log.attributes), level_of(log.severity), pattern_of(log), " ".join(searchable_words(log)),
    )  # fmt: skip


def log_seq(uid: str, time_ns: int, attempt: int) -> int:
    """Return a place for a log record: the microsecond, and nine bits of the uid.

    Rows that lie in the order of time are read newest first without sorting. Where a place is taken the next attempt looks
    elsewhere, in twice as many microseconds each time.
    """
    salt = int.from_bytes(blake2b(f"{attempt} {uid}".encode(), digest_size=8).digest(), "big")
    spread_us = (salt >> SEQ_BITS) % (1 << attempt)
    time_us = min(time_ns // 1000 + spread_us, MAX_SEQ >> SEQ_BITS)
    return time_us << SEQ_BITS | salt % (1 << SEQ_BITS)


def log_of(row: sqlite3.Row) -> LogRecord:
    """Return the log record of a row."""
    fields = {key: row[key] for key in row.keys() if key != "attributes"}  # noqa: SIM118 a row is no dict
    return LogRecord(**fields, attributes=_attributes(row))


def series_row(point: MetricPoint) -> tuple[Any, ...]:
    """Return what describes a point's series."""
    return (point.series, point.service, point.name, point.kind, point.is_delta, _dump(point.attributes))


def point_row(point: MetricPoint) -> tuple[Any, ...]:
    """Return a metric point."""
    return (point.series, point.time_ns, point.value, _dump(point.bounds), _dump(point.counts))


def point_of(row: sqlite3.Row) -> MetricPoint:
    """Return the metric point of a row."""
    return MetricPoint(
        series=row["series"],
        service=row["service"],
        name=row["name"],
        kind=row["kind"],
        is_delta=bool(row["is_delta"]),
        time_ns=row["time_ns"],
        # SQLite turns NaN into NULL.
        value=math.nan if row["value"] is None else row["value"],
        bounds=tuple(json.loads(row["bounds"])),
        counts=tuple(json.loads(row["counts"])),
        attributes=_attributes(row),
    )


def _attributes(row: sqlite3.Row) -> Attributes:
    return cast("Attributes", json.loads(row["attributes"]))


def event_row(record: EventRecord) -> tuple[Any, ...]:
    """Return an event."""
    return (
        str(record.event_id), record.topic, str(record.causation_id) if record.causation_id else None, record.domain,
        record.occurred_at.isoformat(), microseconds(record.occurred_at), record.trace_id, _dump(record.event),
    )  # fmt: skip


def event_of(row: sqlite3.Row) -> EventRecord:
    """Return the event of a row."""
    return EventRecord(
        topic=row["topic"],
        event_id=row["event_id"],
        causation_id=row["causation_id"],
        occurred_at=row["occurred_at"],
        domain=row["domain"],
        trace_id=row["trace_id"],
        event=json.loads(row["body"]),
    )


def subject_rows(record: EventRecord) -> list[tuple[str, str]]:
    """Return by which subjects an event is found."""
    return [(subject, str(record.event_id)) for subject in subjects_of(record)]


def asked_of(query: LogQuery) -> dict[str, Any]:
    """Return the parameters of a search in logs; without words that could match anything, no record is asked for."""
    return {
        "match": match_of(query.words),
        "service": query.service,
        "trace_id": query.trace_id,
        "min_level": query.min_level,
        "after_ns": bound_us(query.after) * 1000,
        "before_ns": MAX_SEQ if query.before is None else microseconds(query.before) * 1000,
        "limit": min(query.limit, MAX_FOUND),
    }


def match_of(query: str) -> str:
    """Return a query in the language of FTS5; words hold nothing but letters and digits, so nothing is to be escaped."""
    phrases = phrases_of(query)
    return " AND ".join(f'"{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}' for phrase in phrases)


def pattern_of_row(row: sqlite3.Row, example: LogRecord) -> LogPattern:
    """Return a row of patterns with its example."""
    return LogPattern(
        service=row["service"], pattern=row["pattern"], count=row["num_records"],
        first_seen=to_the_millisecond(row["first_ns"]), last_seen=to_the_millisecond(row["last_ns"]), example=example,
    )  # fmt: skip
