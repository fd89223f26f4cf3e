"""Telemetry as people look it up: logs, patterns, and a trace by whatever names it."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.lookup import Level, LogLine, LogPatternCount, TraceSpan, TraceView
from services.monitor.core.lineage import why_span
from shared.telemetry_store.patterns import level_name, level_of
from shared.telemetry_store.records import LogPattern, LogRecord, Span, TelemetryStore

MAX_SPANS = 1_000
MAX_LOGS = 1_000

_TRACE_ID = re.compile(r"[0-9a-f]{32}")  # W3C trace context
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def least_level(level: Level | None) -> int:
    """Return the number from which on records are asked for."""
    return level_of(level) if level else 0


def log_line(record: LogRecord) -> LogLine:
    """Return a log record as the API shows it."""
    return LogLine(
        at=_EPOCH + timedelta(microseconds=record.time_ns // 1000),
        service=record.service,
        level=level_name(level_of(record.severity)),
        message=record.body,
        trace_id=record.trace_id,
        span_id=record.span_id,
        attributes=dict(record.attributes),
    )


def pattern_count(found: LogPattern) -> LogPatternCount:
    """Return a pattern as the API shows it."""
    return LogPatternCount(
        service=found.service,
        pattern=found.pattern,
        count=found.count,
        first_seen=found.first_seen,
        last_seen=found.last_seen,
        example=log_line(found.example),
    )


async def trace_view(subject: str, store: TelemetryStore) -> TraceView | None:
    """Return the trace that a trace id, an answer's id or an event's id names, or None: nothing is known of it."""
    trace_id = await _trace_of(subject, store)
    if trace_id is None:
        return None
    spans = await store.spans_of_trace(trace_id, limit=MAX_SPANS)
    linked = await store.spans_linked_to(trace_id)
    logs = await store.logs(trace_id=trace_id, limit=MAX_LOGS)
    if not (spans or linked or logs):
        return None
    return TraceView(
        subject=subject,
        trace_id=trace_id,
        spans=tuple(map(_trace_span, spans)),
        linked_from=tuple(map(_trace_span, linked)),
        logs=tuple(map(log_line, logs)),
    )


async def _trace_of(subject: str, store: TelemetryStore) -> str | None:
    # An answer's id looks like a trace's: whichever is known counts.
    if answers := await store.spans_with_attribute("plumbline.answer.id", subject, limit=1):
        return answers[0].trace_id
    event_id = _event_id(subject)
    event = await store.event(event_id) if event_id else None
    if event is not None:
        return event.trace_id
    return subject if _TRACE_ID.fullmatch(subject) else None


def _event_id(subject: str) -> UUID | None:
    try:
        return UUID(subject)
    except ValueError:
        return None


def _trace_span(span: Span) -> TraceSpan:
    return TraceSpan(**dict(why_span(span)), status=span.status, attributes=dict(span.attributes))
