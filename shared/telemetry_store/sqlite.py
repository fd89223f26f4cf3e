"""The telemetry store of embedded mode: one SQLite file, written in batches by threads so that the event loop goes on."""

import asyncio
import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from contracts.api import EventRecord
from contracts.envelope import Digest
from contracts.telemetry import AttributeName
from contracts.topics import TRAFFIC_OBSERVED, TRAINING_PROGRESSED
from shared.telemetry_store import sql
from shared.telemetry_store.records import (
    SEARCHABLE_ATTRIBUTES,
    Attributes,
    LogRecord,
    MetricPoint,
    Span,
    SpanLink,
    StoreUnavailable,
)

METRICS_RETENTION = timedelta(hours=48)
TRACES_AND_LOGS_RETENTION = timedelta(days=90)
FLEETING_TOPICS = (TRAFFIC_OBSERVED.name, TRAINING_PROGRESSED.name)
"""Events of every second; they go as early as metrics do. All others are kept, since `plumb why` asks for them."""

BUSY_TIMEOUT_S = 5.0
MAX_DELETED_ROWS = 5_000
"""Rows that one transaction deletes, so that writers get their turn in between."""

Batch = tuple[str, Sequence[tuple[Any, ...]]]


class SqliteTelemetryStore:
    """Keeps telemetry in one file; one connection writes, one reads."""

    def __init__(self, path: Path) -> None:
        self._writer = _connect(path)
        self._writer.executescript(sql.SCHEMA)
        self._reader = _connect(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()

    async def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans, their links and the attributes by which they are found."""
        await self._write(
            (sql.ADD_SPAN, [_span_row(span) for span in spans]),
            (sql.ADD_SPAN_LINK, [row for span in spans for row in _link_rows(span)]),
            (sql.ADD_SPAN_ATTRIBUTE, [row for span in spans for row in _attribute_rows(span)]),
        )

    async def add_logs(self, records: Sequence[LogRecord]) -> None:
        """Keep log records."""
        await self._write((sql.ADD_LOG, [_log_row(record) for record in records]))

    async def add_metrics(self, points: Sequence[MetricPoint]) -> None:
        """Keep metric points, and what describes their series once."""
        series = {point.series: point for point in points}
        await self._write(
            (sql.ADD_SERIES, [_series_row(point) for point in series.values()]),
            (sql.ADD_POINT, [_point_row(point) for point in points]),
        )

    async def add_events(self, events: Sequence[EventRecord]) -> None:
        """Keep lifecycle events, and which artifacts and batches they are about."""
        await self._write(
            (sql.ADD_EVENT, [_event_row(event) for event in events]),
            (sql.ADD_EVENT_SUBJECT, [row for event in events for row in _subject_rows(event)]),
        )

    async def spans_of_trace(self, trace_id: str, *, limit: int = 1000) -> tuple[Span, ...]:
        """Return a trace's spans, earliest first."""
        return tuple(_span(row) for row in await self._read(sql.SPANS_OF_TRACE, (trace_id, limit)))

    async def spans_with_attribute(self, name: AttributeName, value: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans that carry one of SEARCHABLE_ATTRIBUTES with this value, newest first."""
        if name not in SEARCHABLE_ATTRIBUTES:
            msg = f"spans are not found by {name}, only by {', '.join(sorted(SEARCHABLE_ATTRIBUTES))}"
            raise ValueError(msg)
        return tuple(_span(row) for row in await self._read(sql.SPANS_WITH_ATTRIBUTE, (name, value, limit)))

    async def spans_linked_to(self, trace_id: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans of other traces that link to this trace, earliest first."""
        return tuple(_span(row) for row in await self._read(sql.SPANS_LINKED_TO, (trace_id, trace_id, limit)))

    async def logs(
        self,
        *,
        trace_id: str | None = None,
        service: str | None = None,
        after: datetime | None = None,
        limit: int = 100,
    ) -> tuple[LogRecord, ...]:
        """Return log records, earliest first."""
        query = sql.LOGS if trace_id is None else sql.LOGS_OF_TRACE
        asked = {"trace_id": trace_id, "service": service, "after_ns": _us(after) * 1000, "limit": limit}
        return tuple(_log(row) for row in await self._read(query, asked))

    async def metrics(self, name: str, *, after: datetime | None = None, limit: int = 1000) -> tuple[MetricPoint, ...]:
        """Return the points of a metric, earliest first."""
        return tuple(_point(row) for row in await self._read(sql.METRICS, (name, _us(after) * 1000, limit)))

    async def event(self, event_id: UUID) -> EventRecord | None:
        """Return one event."""
        found = await self._read(sql.EVENT, (str(event_id),))
        return _event(found[0]) if found else None

    async def events(
        self,
        *,
        domain: str | None = None,
        topic: str | None = None,
        after: datetime | UUID | None = None,
        limit: int = 1000,
    ) -> tuple[EventRecord, ...]:
        """Return events in the order in which they came in."""
        after_id = str(after) if isinstance(after, UUID) else None
        after_us = _us(after) if isinstance(after, datetime) else -1
        asked = {"domain": domain, "topic": topic, "after_id": after_id, "after_us": after_us, "limit": limit}
        return tuple(_event(row) for row in await self._read(sql.EVENTS, asked))

    async def events_of_trace(self, trace_id: str) -> tuple[EventRecord, ...]:
        """Return the events that were published within a trace, in the order of coming in."""
        return tuple(_event(row) for row in await self._read(sql.EVENTS_OF_TRACE, (trace_id,)))

    async def events_by_digest(self, digest: Digest) -> tuple[EventRecord, ...]:
        """Return the events that name an artifact in a field of their own, in the order of coming in; not traffic."""
        return tuple(_event(row) for row in await self._read(sql.EVENTS_ABOUT, (digest,)))

    async def events_by_batch(self, batch_id: UUID) -> tuple[EventRecord, ...]:
        """Return the events about one batch, in the order of coming in."""
        return tuple(_event(row) for row in await self._read(sql.EVENTS_ABOUT, (str(batch_id),)))

    async def latest_events(self) -> tuple[EventRecord, ...]:
        """Return the latest event of every domain and topic."""
        return tuple(_event(row) for row in await self._read(sql.LATEST_EVENTS, ()))

    async def delete_expired(self, now: datetime) -> int:
        """Delete metrics and fleeting events after 48 hours, spans and logs after 90 days; return how many rows went."""
        metrics_us, others_us = _us(now - METRICS_RETENTION), _us(now - TRACES_AND_LOGS_RETENTION)
        num_deleted = await self._delete(sql.DELETE_POINTS, metrics_us * 1000)
        num_deleted += sum([await self._delete(sql.DELETE_EVENTS, topic, metrics_us) for topic in FLEETING_TOPICS])
        num_deleted += sum([await self._delete(statement, others_us * 1000) for statement in sql.DELETE_OTHERS])
        return num_deleted + await self._write((sql.DELETE_SERIES, [()]))

    async def _delete(self, statement: str, *asked: object) -> int:
        num_deleted = 0
        while num := await self._write((statement, [(*asked, MAX_DELETED_ROWS)])):
            num_deleted += num
        return num_deleted

    async def aclose(self) -> None:
        """Let go of the file."""
        await asyncio.to_thread(self._close)

    async def _write(self, *batches: Batch) -> int:
        return await asyncio.to_thread(self._write_now, batches)

    async def _read(self, query: str, asked: Sequence[Any] | dict[str, Any]) -> list[Any]:
        return await asyncio.to_thread(self._read_now, query, asked)

    def _write_now(self, batches: Iterable[Batch]) -> int:
        with self._write_lock, _unavailable(), self._writer:
            return sum(
                max(0, self._writer.executemany(statement, rows).rowcount) for statement, rows in batches if rows
            )

    def _read_now(self, query: str, asked: Sequence[Any] | dict[str, Any]) -> list[Any]:
        with self._read_lock, _unavailable():
            return self._reader.execute(query, asked).fetchall()

    def _close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Let what time or an operator can mend be tried again."""
    try:
        yield
    except sqlite3.OperationalError as error:
        msg = f"the telemetry store cannot be used: {error}"
        raise StoreUnavailable(msg, next_step="see that its disk has space and is writable") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # With a write-ahead log this loses no committed row when the process dies, only when the machine does.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _us(moment: datetime | None) -> int:
    return -1 if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _span_row(span: Span) -> tuple[Any, ...]:
    links = [[link.trace_id, link.span_id] for link in span.links]
    return (
        span.trace_id, span.span_id, span.parent_span_id, span.service, span.name, span.start_ns, span.end_ns, span.status,
        _dump(span.attributes), _dump(links),
    )  # fmt: skip


def _link_rows(span: Span) -> list[tuple[Any, ...]]:
    return [(link.trace_id, span.trace_id, span.span_id, span.start_ns) for link in span.links]


def _attribute_rows(span: Span) -> list[tuple[Any, ...]]:
    found = [name for name in SEARCHABLE_ATTRIBUTES if isinstance(span.attributes.get(name), str)]
    return [(name, span.attributes[name], span.start_ns, span.trace_id, span.span_id) for name in found]


def _span(row: sqlite3.Row) -> Span:
    fields = {key: row[key] for key in row.keys() if key not in {"attributes", "links"}}  # noqa: SIM118 a row is no dict
    links = tuple(SpanLink(trace_id=trace_id, span_id=span_id) for trace_id, span_id in json.loads(row["links"]))
    return Span(**fields, attributes=_attributes(row), links=links)


def _log_row(log: LogRecord) -> tuple[Any, ...]:
    return (
        log.uid, log.time_ns, log.service, log.severity, log.body, log.trace_id, log.span_id, _dump(log.attributes)
    )  # fmt: skip


def _log(row: sqlite3.Row) -> LogRecord:
    fields = {key: row[key] for key in row.keys() if key != "attributes"}  # noqa: SIM118 a row is no dict
    return LogRecord(**fields, attributes=_attributes(row))


def _series_row(point: MetricPoint) -> tuple[Any, ...]:
    return (point.series, point.service, point.name, point.kind, point.is_delta, _dump(point.attributes))


def _point_row(point: MetricPoint) -> tuple[Any, ...]:
    return (point.series, point.time_ns, point.value, _dump(point.bounds), _dump(point.counts))


def _point(row: sqlite3.Row) -> MetricPoint:
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


def _event_row(record: EventRecord) -> tuple[Any, ...]:
    return (
        str(record.event_id), record.topic, str(record.causation_id) if record.causation_id else None, record.domain,
        record.occurred_at.isoformat(), _us(record.occurred_at), record.trace_id, _dump(record.event),
    )  # fmt: skip


def _event(row: sqlite3.Row) -> EventRecord:
    return EventRecord(
        topic=row["topic"],
        event_id=row["event_id"],
        causation_id=row["causation_id"],
        occurred_at=row["occurred_at"],
        domain=row["domain"],
        trace_id=row["trace_id"],
        event=json.loads(row["body"]),
    )


def _subject_rows(record: EventRecord) -> list[tuple[str, str]]:
    if record.topic == TRAFFIC_OBSERVED.name:
        return []
    subjects = {
        str(value) for name, value in record.event.items() if value and (name.endswith("_digest") or name == "batch_id")
    }
    return [(subject, str(record.event_id)) for subject in subjects]
