"""The gateway's HTTP API."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from contracts.api import (
    ClassifyAnswer,
    ClassifyRequest,
    CompleteDone,
    CompleteRequest,
    Fault,
    FaultRequest,
    GatewayInfo,
)
from contracts.envelope import Digest
from services.inference_gateway.serving import Assigned, Serving
from shared.daemon import check_operator
from shared.errors import RequestRefused
from shared.problems import RESPONSE, problem_of
from shared.settings import OperatorSettings

NEXT_STEP = (
    "submit documents with `plumb ingest FILE`, then watch `plumb status --watch`; in Docker Compose each command begins with "
    "`docker compose run --rm plumb` instead of `plumb`, and `docker compose run --rm demo` plays the demo"
)
PROBLEMS: dict[int | str, dict[str, Any]] = {429: RESPONSE, 503: RESPONSE}

Traceparent = Annotated[str | None, Header(description="W3C trace context; the answer's span continues it")]
Authorization = Annotated[str | None, Header(description="Bearer token of the operator")]


def add_routes(app: FastAPI, serving: Serving, operator: OperatorSettings) -> None:
    """Add the gateway's routes to `app`."""

    @app.get("/", summary="What is served")
    async def info() -> GatewayInfo:
        served = serving.served()
        return GatewayInfo(served=served, next=None if any(domain.routes for domain in served) else NEXT_STEP)

    @app.post("/v1/classify", responses=PROBLEMS, summary="Classify a text")
    async def classify(request: ClassifyRequest, traceparent: Traceparent = None) -> ClassifyAnswer:
        return await serving.classify(request, traceparent=traceparent)

    @app.post(
        "/v1/complete", responses=PROBLEMS, summary="Continue a prompt, streamed", response_class=EventSourceResponse
    )
    async def complete(request: CompleteRequest, traceparent: Traceparent = None) -> EventSourceResponse:
        # Assigned before the answer begins, so that a refusal is a status and not an event in a stream.
        events = _completion(serving, request, traceparent)
        first = await anext(events)
        return EventSourceResponse(_chained(first, events))

    @app.get("/v1/operator/faults", tags=["operator"])
    async def faults(authorization: Authorization = None) -> list[Fault]:
        check_operator(operator, authorization)
        return list(serving.faults.values())

    @app.post("/v1/operator/faults", status_code=201, tags=["operator"], summary="Make a bundle slow, as a drill")
    async def arm(request: FaultRequest, authorization: Authorization = None) -> Fault:
        check_operator(operator, authorization)
        return serving.arm(request)

    @app.delete("/v1/operator/faults/{bundle_digest}", status_code=204, tags=["operator"])
    async def disarm(bundle_digest: Digest, authorization: Authorization = None) -> None:
        check_operator(operator, authorization)
        if not serving.disarm(bundle_digest):
            raise RequestRefused(404, "no-fault", "No such fault", f"no fault is armed for {bundle_digest}")


async def _completion(
    serving: Serving, request: CompleteRequest, traceparent: str | None
) -> AsyncIterator[ServerSentEvent]:
    with serving.completing(request, traceparent=traceparent) as assigned:
        num_tokens = 0
        async for piece in serving.complete(request, assigned):
            num_tokens += piece.num_tokens
            if piece.text:
                yield ServerSentEvent(data=piece.text, event="token")
        yield _done(assigned, num_tokens)


async def _chained(first: ServerSentEvent, rest: AsyncIterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    yield first
    try:
        async for event in rest:
            yield event
    except Exception as error:  # noqa: BLE001 (the status is sent; the client learns of it by a typed event)
        yield ServerSentEvent(data=problem_of(error).model_dump_json(exclude_none=True), event="error")


def _done(assigned: Assigned, num_tokens: int) -> ServerSentEvent:
    done = CompleteDone(answer_id=assigned.answer_id, bundle_digest=assigned.digest, num_tokens=num_tokens)
    return ServerSentEvent(data=done.model_dump_json(), event="done")
