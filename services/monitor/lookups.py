"""What people look up in the telemetry over HTTP: logs, their patterns, traces."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from contracts.lookup import Level, LogLines, LogPatterns, TraceView
from services.monitor.core.lookup import least_level, log_line, pattern_count, trace_view
from shared.errors import RequestRefused
from shared.telemetry_store.records import LogQuery, TelemetryStore

Words = Annotated[str, Query(max_length=1_000, description="all must occur; without a blank between them: together")]
Service = Annotated[str | None, Query(max_length=200)]
TraceId = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
Limit = Annotated[int, Query(ge=1, le=10_000)]


def routes(store: TelemetryStore) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter(prefix="/v1", tags=["telemetry"])

    @router.get("/logs", summary="Log records by words, service, level, time and trace; the newest first")
    async def logs(
        words: Words = "",
        service: Service = None,
        level: Level | None = None,
        since: AwareDatetime | None = None,
        before: AwareDatetime | None = None,
        trace_id: TraceId = None,
        limit: Limit = 100,
    ) -> LogLines:
        query = LogQuery(
            words=words, service=service, min_level=least_level(level), trace_id=trace_id, after=since, before=before, limit=limit
        )  # fmt: skip
        return LogLines(logs=tuple(log_line(record) for record in await store.search_logs(query)))

    @router.get("/log-patterns", summary="How often which message comes, by service; the most frequent first")
    async def log_patterns(
        words: Words = "",
        service: Service = None,
        level: Level = Level.WARNING,
        since: AwareDatetime | None = None,
        trace_id: TraceId = None,
        limit: Limit = 50,
    ) -> LogPatterns:
        query = LogQuery(
            words=words, service=service, min_level=least_level(level), trace_id=trace_id, after=since, limit=limit
        )
        return LogPatterns(patterns=tuple(pattern_count(found) for found in await store.log_patterns(query)))

    @router.get("/traces/{subject}", summary="A trace with its logs, by its id, an answer's or an event's")
    async def trace(subject: str) -> TraceView:
        view = await trace_view(subject, store)
        if view is None:
            raise RequestRefused(
                404, "unknown-trace", "No such trace", f"no trace, answer or event {subject} is known",
                next_step="telemetry takes about a second: try again; `plumb logs` shows ids of traces",
            )  # fmt: skip
        return view

    return router
