"""Documents that arrive over HTTP, as JSON lines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from contracts.api import BatchReceipt
from contracts.corpus import BatchReceived, Document
from contracts.envelope import Domain
from services.ingest import core
from services.ingest.adapters import Intake
from services.ingest.settings import BatchLimits
from shared.clock import Clock
from shared.errors import InvalidDocuments, RequestRefused
from shared.problems import RESPONSE, problem_of, problem_response

NDJSON = "application/x-ndjson"
MEDIA_TYPES = frozenset({NDJSON, "application/jsonl", "application/x-jsonlines"})
DRAIN_BYTES = 1 << 30
DRAIN_S = 30.0
"""How much of a refused body, and how long, is read and thrown away, so that the client gets to read why."""

BODY_DOCS = {
    "requestBody": {
        "required": True,
        "description": "One JSON object a line, with the fields of `Document`.",
        "content": {NDJSON: {"schema": Document.model_json_schema()}},
    }
}


def router(*, intake: Intake, limits: BatchLimits, clock: Clock) -> APIRouter:
    """Return ingest's endpoints."""
    routes = APIRouter(tags=["batches"])

    @routes.post(
        "/v1/domains/{domain}/batches",
        status_code=201,
        summary="Hand over a batch of documents",
        response_model=BatchReceipt,
        responses=dict.fromkeys((413, 415, 422, 503), RESPONSE),
        openapi_extra=BODY_DOCS,
    )
    async def post_batch(
        domain: Annotated[Domain, Path(description="The domain that the documents belong to, e.g. law")],
        request: Request,
        content_type: Annotated[str, Header()] = "",
    ) -> Response:
        """Keep a batch whole, or refuse it whole with the line, the field and what to do. The same batch twice is one."""
        body = Body(request.receive)
        try:
            check_media_type(content_type, request.url.path)
            documents = await read_documents(body, limits)
        except (InvalidDocuments, RequestRefused) as error:
            return refusal(error, request.url.path, body)
        event = await intake.take(core.uploaded(domain, documents, clock.now()))
        return JSONResponse(_receipt(event).model_dump(mode="json"), status_code=201)

    return routes


class Body:
    """A request's body, read chunk by chunk."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_read = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what is left.

        Raises:
            RequestRefused: The client went away.
        """
        while not self._is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_read = True
                raise RequestRefused(400, "upload-cut-off", "The upload ended early", "the connection was closed")
            self._is_read = not message.get("more_body", False)
            yield message.get("body", b"")

    async def drain(self) -> None:
        """Read and forget what is left, within the limits."""
        left = DRAIN_BYTES
        with contextlib.suppress(TimeoutError, RequestRefused):
            async with asyncio.timeout(DRAIN_S):
                async for chunk in self.chunks():
                    left -= len(chunk)
                    if left <= 0:
                        return


async def read_documents(body: Body, limits: BatchLimits) -> tuple[Document, ...]:
    """Return the documents of a body.

    Raises:
        InvalidDocuments: The batch cannot be taken; the rest of the body is unread.
        RequestRefused: The client went away.
    """
    parser = core.BatchParser(limits)
    async for chunk in body.chunks():
        parser.feed(chunk)
    return parser.finish()


def check_media_type(content_type: str, path: str) -> None:
    """Refuse what does not say that it is JSON lines.

    Raises:
        RequestRefused: 415.
    """
    if content_type.partition(";")[0].strip().lower() not in MEDIA_TYPES:
        command = f"curl --data-binary @FILE -H 'content-type: {NDJSON}' http://HOST:PORT{path}"
        raise RequestRefused(
            415, "not-json-lines", "The body is not JSON lines",
            f"content-type is {content_type!r}, expected {NDJSON}", next_step=f"`{command}`, or `plumb ingest FILE`",
        )  # fmt: skip


def refusal(error: InvalidDocuments | RequestRefused, path: str, body: Body) -> Response:
    """Return the answer to a refused body, which also reads what the client still sends."""
    if isinstance(error, core.BatchTooLarge):
        error = RequestRefused(413, "batch-too-large", "The batch is too large", str(error), next_step=error.next_step)
    return Drained(problem_response(problem_of(error).model_copy(update={"instance": path})), body)


class Drained(Response):
    """An answer that is sent at once and ended when the request's body has been read and thrown away.

    A connection that is closed with bytes unread is reset, and the client may never see the answer.
    """

    def __init__(self, answer: Response, rest: Body) -> None:
        super().__init__(bytes(answer.body), status_code=answer.status_code)
        self.raw_headers = answer.raw_headers
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then drain."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self._rest.drain()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _receipt(event: BatchReceived) -> BatchReceipt:
    return BatchReceipt(
        batch_id=event.batch_id,
        event_id=event.event_id,
        domain=event.domain,
        num_documents=event.num_documents,
        num_bytes=event.num_bytes,
    )
