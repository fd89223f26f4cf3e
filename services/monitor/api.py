"""What the monitor is asked: status, explanations and events; and the operator's word to train now."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query
from pydantic import AwareDatetime

from contracts.api import Accepted, EventRecord, MeshStatus, TrainNowRequest, Why
from contracts.envelope import Domain
from contracts.topics import TRAINING_REQUESTED
from contracts.training import TrainingRequested
from services.monitor.core.lineage import why
from services.monitor.core.status import has_anything_new
from services.monitor.run import Monitor
from shared.bus import Bus
from shared.clock import Clock
from shared.daemon import check_operator
from shared.errors import RequestRefused
from shared.settings import OperatorSettings
from shared.telemetry_store.records import TelemetryStore

Limit = Annotated[int, Query(ge=1, le=10_000)]


def routes(bus: Bus, monitor: Monitor, store: TelemetryStore, *, clock: Clock, operator: OperatorSettings) -> APIRouter:
    """Return the monitor's endpoints."""
    router = APIRouter(prefix="/v1", tags=["monitor"])

    @router.get("/status", summary="Stages, releases, alerts and traffic of all domains")
    async def status() -> MeshStatus:
        return monitor.status()

    @router.get("/why/{subject}", summary="From an answer, a trace or a bundle back to its batches")
    async def explain(subject: str) -> Why:
        walk = await why(subject, store)
        if walk is None:
            raise RequestRefused(
                404, "unknown-subject", "Nothing is known of it", f"no answer, trace or bundle {subject} was seen",
                next_step="telemetry takes about a second: try again, or pass the id of a later answer",
            )  # fmt: skip
        return walk

    @router.post("/training-requests", status_code=202, summary="Ask for a corpus version now")
    async def train_now(request: TrainNowRequest, authorization: Annotated[str | None, Header()] = None) -> Accepted:
        check_operator(operator, authorization)
        known = monitor.domain(request.domain)
        if not has_anything_new(known, request.batch_ids):
            raise RequestRefused(
                409, "nothing-new", "Nothing new to train on",
                f"no new document of {request.domain} waits or is under way, and nothing was restored, left out or put back",
                next_step="plumb ingest FILE...; `plumb status` shows how many documents wait",
            )  # fmt: skip
        event = TrainingRequested(
            event_id=uuid4(),
            causation_id=None,
            occurred_at=clock.now(),
            domain=request.domain,
            reason=request.reason,
            batch_ids=request.batch_ids or known.batches_under_way,
        )
        await bus.publish(TRAINING_REQUESTED, event)
        return Accepted(event_id=event.event_id)

    @router.get("/events", summary="Lifecycle events, in the order in which they came in")
    async def events(
        domain: Domain | None = None,
        topic: str | None = None,
        after: Annotated[UUID | AwareDatetime | None, Query(description="an event's id, or a time")] = None,
        limit: Limit = 1000,
    ) -> tuple[EventRecord, ...]:
        return await store.events(domain=domain, topic=topic, after=after, limit=limit)

    return router
