"""The telemetry store on Elasticsearch: data streams by day, written with ids that tell a repetition."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.api import EventRecord
from contracts.envelope import Digest
from contracts.telemetry import AttributeName
from shared.clock import Clock
from shared.telemetry_store import documents
from shared.telemetry_store import elastic_queries as queries
from shared.telemetry_store.elastic_api import ElasticsearchApi
from shared.telemetry_store.elastic_writing import Writer
from shared.telemetry_store.records import (
    DEFAULT_RETENTION,
    FLEETING_TOPICS,
    MAX_FOUND,
    LogPattern,
    LogQuery,
    LogRecord,
    MetricPoint,
    Span,
    check_searchable,
    microseconds,
    to_the_millisecond,
)
from shared.telemetry_store.streams import Kind, expired_streams, kinds_of, pattern_of_kind

PAGE = 1_000
MAX_PATTERN_PAGES = 20
"""20,000 patterns; so many have lost their meaning."""

Hit = dict[str, Any]

log = logging.getLogger(__name__)


class ElasticsearchTelemetryStore:
    """Keeps telemetry in an Elasticsearch, 8.12 or later.

    Elasticsearch finds what was written after a refresh only, so a question is preceded by one where this process has written.
    """

    def __init__(
        self, api: ElasticsearchApi, *, clock: Clock, prefix: str, retention: timedelta = DEFAULT_RETENTION
    ) -> None:
        self._api = api
        self._prefix = prefix
        self._kinds = kinds_of(retention)
        self._clock = clock
        self._writer = Writer(api, self._kinds, prefix=prefix, clock=clock)
        self._unrefreshed = set(self._kinds)
        self._seq: int | None = None
        self._adding_events = asyncio.Lock()

    @property
    def num_refused(self) -> int:
        """Records that could not be kept, since the start."""
        return self._writer.num_refused

    # ---- what is kept

    async def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans."""
        await self._write(self._kinds.traces, [documents.span_document(span) for span in spans])

    async def add_logs(self, records: Sequence[LogRecord]) -> None:
        """Keep log records."""
        await self._write(self._kinds.logs, [documents.log_document(record) for record in records])

    async def add_metrics(self, points: Sequence[MetricPoint]) -> None:
        """Keep metric points."""
        await self._write(self._kinds.metrics, [documents.metric_document(point) for point in points])

    async def add_events(self, events: Sequence[EventRecord]) -> None:
        """Keep lifecycle events, numbered in the order in which they come in.

        One call writes after another, and what failed is numbered anew, so that a reader who goes on after an event misses none.
        """
        async with self._adding_events:
            kept: list[documents.Document] = []
            fleeting: list[documents.Document] = []
            for event in events:
                document = documents.event_document(event, await self._next_seq())
                (fleeting if event.topic in FLEETING_TOPICS else kept).append(document)
            await self._write(self._kinds.events, kept)
            await self._write(self._kinds.ticks, fleeting)

    async def _write(self, kind: Kind, written: Sequence[documents.Document]) -> None:
        try:
            await self._writer.write(kind, written)
        finally:
            self._unrefreshed.add(kind)

    async def _next_seq(self) -> int:
        """Return the present in microseconds, or one more than the last number where the clock has not moved on."""
        if self._seq is None:
            hits = await self._hits(*self._event_kinds, query=queries.all_of(), sort=[{"seq": "desc"}], size=1)
            self._seq = hits[0]["sort"][0] if hits else 0
        self._seq = max(self._seq + 1, microseconds(self._clock.now()))
        return self._seq

    # ---- what is found

    async def spans_of_trace(self, trace_id: str, *, limit: int = 1000) -> tuple[Span, ...]:
        """Return a trace's spans, earliest first."""
        return await self._spans(queries.all_of(queries.equals("trace.id", trace_id)), limit)

    async def spans_with_attribute(self, name: AttributeName, value: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans that carry one of SEARCHABLE_ATTRIBUTES with this value, newest first."""
        check_searchable(name)
        named = queries.all_of(queries.equals("subjects", documents.subject(name, value)))
        return await self._spans(named, limit, order="desc")

    async def spans_linked_to(self, trace_id: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans of other traces that link to this trace, earliest first."""
        own = queries.equals("trace.id", trace_id)
        linked = {"bool": {"filter": [queries.equals("linked_trace_ids", trace_id)], "must_not": [own]}}
        return await self._spans(linked, limit)

    async def _spans(self, query: queries.Query, limit: int, *, order: str = "asc") -> tuple[Span, ...]:
        sort = [{"time_ns": order}, {"span.id": "asc"}]
        hits = await self._hits(self._kinds.traces, query=query, sort=sort, size=limit)
        return tuple(documents.span_from(_record(hit)) for hit in hits)

    async def logs(
        self,
        *,
        trace_id: str | None = None,
        service: str | None = None,
        after: datetime | None = None,
        limit: int = 100,
    ) -> tuple[LogRecord, ...]:
        """Return log records, earliest first."""
        return await self._logs(LogQuery(trace_id=trace_id, service=service, after=after, limit=limit), order="asc")

    async def search_logs(self, query: LogQuery) -> tuple[LogRecord, ...]:
        """Return the newest log records that a query asks for, newest first."""
        return await self._logs(query, order="desc")

    async def _logs(self, query: LogQuery, *, order: str) -> tuple[LogRecord, ...]:
        asked, sort = queries.logs_asked_for(query), [{"time_ns": order}, {"uid": order}]
        hits = await self._hits(self._kinds.logs, query=asked, sort=sort, size=query.limit)
        return tuple(documents.log_from(_record(hit)) for hit in hits)

    async def log_patterns(self, query: LogQuery) -> tuple[LogPattern, ...]:
        """Return the patterns of all log records that a query asks for, the most frequent first."""
        await self._refresh(self._kinds.logs)
        found = [_pattern(bucket) async for bucket in self._pattern_buckets(queries.logs_asked_for(query))]
        found.sort(key=lambda pattern: (-pattern.count, pattern.service, pattern.pattern))
        return tuple(found[: query.limit])

    async def _pattern_buckets(self, asked: queries.Query) -> AsyncIterator[Hit]:
        after: queries.Query | None = None
        for _ in range(MAX_PATTERN_PAGES):
            aggs = queries.patterns(PAGE, after)
            answer = await self._api.search(self._index(self._kinds.logs), query=asked, aggs=aggs, size=0)
            page = answer.get("aggregations", {}).get("patterns", {"buckets": []})
            for bucket in page["buckets"]:
                yield bucket
            after = page.get("after_key")
            if after is None:
                return
        log.warning("too many patterns: some are not counted", extra={"num_patterns": MAX_PATTERN_PAGES * PAGE})

    async def metrics(self, name: str, *, after: datetime | None = None, limit: int = 1000) -> tuple[MetricPoint, ...]:
        """Return the points of a metric, earliest first."""
        asked = queries.all_of(queries.equals("name", name), queries.later_than(after))
        sort = [{"time_ns": "asc"}, {"series": "asc"}]
        hits = await self._hits(self._kinds.metrics, query=asked, sort=sort, size=limit)
        return tuple(documents.metric_from(_record(hit)) for hit in hits)

    # ---- lifecycle events

    async def event(self, event_id: UUID) -> EventRecord | None:
        """Return one event."""
        hit = await self._event_hit(event_id)
        return documents.event_from(_record(hit)) if hit else None

    async def events(
        self,
        *,
        domain: str | None = None,
        topic: str | None = None,
        after: datetime | UUID | None = None,
        limit: int = 1000,
    ) -> tuple[EventRecord, ...]:
        """Return events in the order in which they came in."""
        conditions = [queries.equals("domain", domain), queries.equals("topic", topic)]
        place: list[Any] | None = None
        if isinstance(after, datetime):
            conditions.append({"range": {"occurred_us": {"gt": microseconds(after)}}})
        elif after is not None:
            hit = await self._event_hit(after)
            if hit is None:
                return ()
            place = hit["sort"]
        hits = await self._event_hits(queries.all_of(*conditions), size=limit, after=place)
        return tuple(documents.event_from(_record(hit)) for hit in hits)

    async def events_of_trace(self, trace_id: str) -> tuple[EventRecord, ...]:
        """Return the events that were published within a trace, in the order of coming in."""
        return await self._every_event(queries.equals("trace.id", trace_id))

    async def events_by_digest(self, digest: Digest) -> tuple[EventRecord, ...]:
        """Return the events that name an artifact in a field of their own, in the order of coming in; not traffic."""
        return await self._every_event(queries.equals("subjects", digest))

    async def events_by_batch(self, batch_id: UUID) -> tuple[EventRecord, ...]:
        """Return the events about one batch, in the order of coming in."""
        return await self._every_event(queries.equals("subjects", str(batch_id)))

    async def latest_events(self) -> tuple[EventRecord, ...]:
        """Return the latest event of every domain and topic."""
        newest = [{"occurred_us": "desc"}, {"seq": "desc"}]
        hits = await self._hits(
            *self._event_kinds, query=queries.all_of(), sort=newest, size=MAX_FOUND, collapse={"field": "stage"}
        )
        return tuple(documents.event_from(_record(hit)) for hit in sorted(hits, key=lambda hit: hit["sort"][1]))

    async def _every_event(self, condition: queries.Query | None) -> tuple[EventRecord, ...]:
        found: list[EventRecord] = []
        place: list[Any] | None = None
        while hits := await self._event_hits(queries.all_of(condition), size=PAGE, after=place):
            found += [documents.event_from(_record(hit)) for hit in hits]
            place = hits[-1]["sort"]
            if len(hits) < PAGE:
                break
        return tuple(found)

    async def _event_hit(self, event_id: UUID) -> Hit | None:
        hits = await self._event_hits(queries.all_of(queries.equals("event_id", str(event_id))), size=1)
        return hits[0] if hits else None

    async def _event_hits(self, query: queries.Query, *, size: int, after: list[Any] | None = None) -> list[Hit]:
        place = {"search_after": after} if after else {}
        return await self._hits(*self._event_kinds, query=query, sort=queries.EARLIEST_EVENTS, size=size, **place)

    @property
    def _event_kinds(self) -> tuple[Kind, Kind]:
        return self._kinds.events, self._kinds.ticks

    # ---- what goes

    async def delete_expired(self, now: datetime) -> int:
        """Delete the streams whose last moment is older than their retention; return how many documents went."""
        streams = {stream.name: stream for stream in await self._api.streams(f"{self._prefix}-*")}
        num_deleted = 0
        for kind in self._kinds:
            for name in expired_streams(self._prefix, kind, list(streams), now):
                await self._api.refresh(name)
                num_records = await self._api.count(name)
                num_deleted += num_records
                await self._api.delete_stream(streams[name], is_empty=not num_records)
        return num_deleted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    # ---- how it is asked

    def _index(self, *kinds: Kind) -> str:
        return ",".join(pattern_of_kind(self._prefix, kind) for kind in kinds)

    async def _refresh(self, *kinds: Kind) -> None:
        written = self._unrefreshed.intersection(kinds)
        if not written:
            return
        self._unrefreshed -= written
        try:
            await self._api.refresh(self._index(*written))
        except BaseException:
            self._unrefreshed |= written
            raise

    async def _hits(self, *kinds: Kind, size: int, **asked: Any) -> list[Hit]:  # noqa: ANN401 (parts of a search)
        await self._refresh(*kinds)
        answer = await self._api.search(
            self._index(*kinds), size=min(size, MAX_FOUND), source=["record"], track_total_hits=False, **asked
        )
        hits: list[Hit] = answer["hits"]["hits"]
        return hits


def _record(hit: Hit) -> str:
    return str(hit["_source"]["record"])


def _pattern(bucket: Hit) -> LogPattern:
    first, last = (to_the_millisecond(int(bucket[end]["value"]) * 1_000_000) for end in ("first", "last"))
    [example] = bucket["example"]["hits"]["hits"]
    return LogPattern(
        service=bucket["key"]["service"], pattern=bucket["key"]["pattern"], count=bucket["doc_count"], first_seen=first,
        last_seen=last, example=documents.log_from(_record(example)),
    )  # fmt: skip
