"""Bodies of requests: what they say that they are, and how they are read, refused and drained."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from services.ingest.core.unpacking import Compression, ExpandsTooFar
from services.ingest.reading import BodyKind, Format
from shared.errors import PlumblineError, RequestRefused
from shared.problems import problem_of, problem_response

NDJSON = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
FORMATS = {
    NDJSON: Format.JSONL, "application/jsonl": Format.JSONL, "application/x-jsonlines": Format.JSONL,
    "application/json-lines": Format.JSONL, "text/plain": Format.TEXT, PARQUET: Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
}  # fmt: skip
PACKED = {
    "application/gzip": Compression.GZIP,
    "application/x-gzip": Compression.GZIP,
    "application/zstd": Compression.ZSTD,
}
"""Media types of packed JSON lines, as a client may call a .jsonl.gz or a .jsonl.zst."""
CODINGS = {
    "": Compression.NONE, "identity": Compression.NONE, "gzip": Compression.GZIP, "x-gzip": Compression.GZIP,
    "zstd": Compression.ZSTD,
}  # fmt: skip
UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii"})
DRAIN_BYTES = 1 << 30
DRAIN_S = 30.0
"""How much of a refused body, and how long, is read and thrown away, so that the client gets to read why."""


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


def body_kind(
    content_type: str, content_encoding: str, *, document_id: str | None, strict: bool, path: str
) -> BodyKind:
    """Return what a body is by its headers.

    Args:
        content_type: Its media type, with parameters.
        content_encoding: How it is packed.
        document_id: Of a plain text that is one document.
        strict: One bad record refuses all.
        path: The request's, for the message.

    Raises:
        RequestRefused: 415, it is nothing that can be read.
    """
    media_type, _, parameters = (part.strip().lower() for part in content_type.partition(";"))
    coding = content_encoding.strip().lower()
    packed = PACKED.get(media_type)
    text_format = Format.JSONL if packed else FORMATS.get(media_type)
    if text_format is None:
        command = f"curl --data-binary @FILE -H 'content-type: {NDJSON}' http://HOST:PORT{path}"
        raise RequestRefused(
            415, "not-json-lines", "The body is nothing that can be read",
            f"content-type is {content_type!r}, expected {NDJSON}, text/plain or {PARQUET}",
            next_step=f"`{command}`, or `plumb ingest FILE`",
        )  # fmt: skip
    if coding not in CODINGS or (packed and coding not in {"", "identity"}):
        raise RequestRefused(
            415, "unknown-coding", "The body is packed in a way that cannot be read",
            f"content-encoding is {content_encoding!r}, expected gzip or zstd", next_step="pack it so, or send it unpacked",
        )  # fmt: skip
    charset = parameters.partition("charset=")[2].partition(";")[0].strip('" ')
    if charset not in UTF8:
        raise RequestRefused(
            415, "not-utf-8", "The body is not UTF-8", f"charset is {charset!r}",
            next_step=f"convert it, or let `plumb ingest FILE --encoding {charset}` do it",
        )  # fmt: skip
    return BodyKind(format=text_format, compression=packed or CODINGS[coding], document_id=document_id, strict=strict)


def refusal(error: PlumblineError, path: str, body: Body) -> Response:
    """Return the answer to a refused body, which also reads what the client still sends."""
    if isinstance(error, ExpandsTooFar):
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
