"""The telemetry store of embedded mode: one SQLite file, written in batches by threads so that the event loop goes on."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts.api import EventRecord
from contracts.envelope import Digest
from contracts.telemetry import AttributeName
from shared.telemetry_store import sql
from shared.telemetry_store import sqlite_rows as rows
from shared.telemetry_store.records import (
    DEFAULT_RETENTION,
    FLEETING_TOPICS,
    METRICS_RETENTION,
    LogPattern,
    LogQuery,
    LogRecord,
    MetricPoint,
    Span,
    StoreUnavailable,
    check_searchable,
    microseconds,
)

BUSY_TIMEOUT_S = 5.0
MAX_DELETED_ROWS = 5_000
"""Rows that one transaction deletes, so that writers get their turn in between."""

log = logging.getLogger(__name__)

Batch = tuple[str, Sequence[tuple[Any, ...]]]


class SqliteTelemetryStore:
    """Keeps telemetry in one file; one connection writes, one reads.

    Attributes:
        num_refused: None ever is: a file takes whatever a record may hold.
    """

    num_refused = 0

    def __init__(self, path: Path, *, retention: timedelta = DEFAULT_RETENTION) -> None:
        self._retention = retention
        self._writer = _connect(path)
        self._writer.executescript(sql.SCHEMA)
        self._reader = _connect(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._take_over_old_logs()

    async def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans, their links and the attributes by which they are found."""
        await self._write(
            (sql.ADD_SPAN, [rows.span_row(span) for span in spans]),
            (sql.ADD_SPAN_LINK, [row for span in spans for row in rows.link_rows(span)]),
            (sql.ADD_SPAN_ATTRIBUTE, [row for span in spans for row in rows.attribute_rows(span)]),
        )

    async def add_logs(self, records: Sequence[LogRecord]) -> None:
        """Keep log records."""
        await asyncio.to_thread(self._add_logs_now, records)

    async def add_metrics(self, points: Sequence[MetricPoint]) -> None:
        """Keep metric points, and what describes their series once."""
        series = {point.series: point for point in points}
        await self._write(
            (sql.ADD_SERIES, [rows.series_row(point) for point in series.values()]),
            (sql.ADD_POINT, [rows.point_row(point) for point in points]),
        )

    async def add_events(self, events: Sequence[EventRecord]) -> None:
        """Keep lifecycle events, and which artifacts and batches they are about."""
        await self._write(
            (sql.ADD_EVENT, [rows.event_row(event) for event in events]),
            (sql.ADD_EVENT_SUBJECT, [row for event in events for row in rows.subject_rows(event)]),
        )

    async def spans_of_trace(self, trace_id: str, *, limit: int = 1000) -> tuple[Span, ...]:
        """Return a trace's spans, earliest first."""
        return tuple(rows.span_of(row) for row in await self._read(sql.SPANS_OF_TRACE, (trace_id, limit)))

    async def spans_with_attribute(self, name: AttributeName, value: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans that carry one of SEARCHABLE_ATTRIBUTES with this value, newest first."""
        check_searchable(name)
        return tuple(rows.span_of(row) for row in await self._read(sql.SPANS_WITH_ATTRIBUTE, (name, value, limit)))

    async def spans_linked_to(self, trace_id: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans of other traces that link to this trace, earliest first."""
        return tuple(rows.span_of(row) for row in await self._read(sql.SPANS_LINKED_TO, (trace_id, trace_id, limit)))

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
        asked = {"trace_id": trace_id, "service": service, "after_ns": rows.bound_us(after) * 1000, "limit": limit}
        return tuple(rows.log_of(row) for row in await self._read(query, asked))

    async def search_logs(self, query: LogQuery) -> tuple[LogRecord, ...]:
        """Return the newest log records that a query asks for, newest first."""
        asked = rows.asked_of(query)
        if query.has_words and not asked["match"]:
            return ()
        found = await self._read(sql.SEARCH_WORDS if query.has_words else sql.SEARCH_LOGS, asked)
        return tuple(sorted((rows.log_of(row) for row in found), key=lambda log: (log.time_ns, log.uid), reverse=True))

    async def log_patterns(self, query: LogQuery) -> tuple[LogPattern, ...]:
        """Return the patterns of all log records that a query asks for, the most frequent first."""
        asked = rows.asked_of(query)
        if query.has_words and not asked["match"]:
            return ()
        found = await self._read(sql.LOG_PATTERNS_WITH_WORDS if query.has_words else sql.LOG_PATTERNS, asked)
        return tuple([rows.pattern_of_row(row, await self._example(row)) for row in found])

    async def _example(self, row: sqlite3.Row) -> LogRecord:
        [example] = await self._read(sql.LOG_OF_PATTERN, (row["service"], row["pattern"], row["last_ns"]))
        return rows.log_of(example)

    async def metrics(self, name: str, *, after: datetime | None = None, limit: int = 1000) -> tuple[MetricPoint, ...]:
        """Return the points of a metric, earliest first."""
        return tuple(
            rows.point_of(row) for row in await self._read(sql.METRICS, (name, rows.bound_us(after) * 1000, limit))
        )

    async def event(self, event_id: UUID) -> EventRecord | None:
        """Return one event."""
        found = await self._read(sql.EVENT, (str(event_id),))
        return rows.event_of(found[0]) if found else None

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
        after_us = rows.bound_us(after if isinstance(after, datetime) else None)
        asked = {"domain": domain, "topic": topic, "after_id": after_id, "after_us": after_us, "limit": limit}
        return tuple(rows.event_of(row) for row in await self._read(sql.EVENTS, asked))

    async def events_of_trace(self, trace_id: str) -> tuple[EventRecord, ...]:
        """Return the events that were published within a trace, in the order of coming in."""
        return tuple(rows.event_of(row) for row in await self._read(sql.EVENTS_OF_TRACE, (trace_id,)))

    async def events_by_digest(self, digest: Digest) -> tuple[EventRecord, ...]:
        """Return the events that name an artifact in a field of their own, in the order of coming in; not traffic."""
        return tuple(rows.event_of(row) for row in await self._read(sql.EVENTS_ABOUT, (digest,)))

    async def events_by_batch(self, batch_id: UUID) -> tuple[EventRecord, ...]:
        """Return the events about one batch, in the order of coming in."""
        return tuple(rows.event_of(row) for row in await self._read(sql.EVENTS_ABOUT, (str(batch_id),)))

    async def latest_events(self) -> tuple[EventRecord, ...]:
        """Return the latest event of every domain and topic."""
        return tuple(rows.event_of(row) for row in await self._read(sql.LATEST_EVENTS, ()))

    async def delete_expired(self, now: datetime) -> int:
        """Delete metrics and fleeting events after 48 hours, spans and logs after their retention; return how many rows went."""
        metrics_us, others_us = microseconds(now - METRICS_RETENTION), microseconds(now - self._retention)
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

    def _add_logs_now(self, records: Sequence[LogRecord]) -> None:
        """Add log records; those whose place is taken by another look for one elsewhere, until each is there."""
        attempt = 0
        missing = list({record.uid: record for record in records}.values())
        with self._write_lock, _unavailable(), self._writer:
            while missing:
                found = self._writer.executemany(sql.ADD_LOG, [rows.log_row(one, attempt=attempt) for one in missing])
                all_new = found.rowcount == len(missing)
                missing = [] if all_new else [one for one in missing if not self._has_log(one.uid)]
                attempt += 1

    def _has_log(self, uid: str) -> bool:
        return self._writer.execute(sql.LOG_IS_KEPT, (uid,)).fetchone() is not None

    def _take_over_old_logs(self) -> None:
        """Make the logs of an older version searchable; a start that is cut off takes them over again."""
        if self._writer.execute(sql.OLD_LOGS).fetchone() is None:
            return
        log.info("logs of an older version are made searchable")
        old = self._writer.execute(sql.READ_OLD_LOGS)
        while found := old.fetchmany(MAX_DELETED_ROWS):
            self._add_logs_now([rows.log_of(row) for row in found])
        with self._writer:
            self._writer.execute(sql.DROP_OLD_LOGS)

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
