"""Asking a process whether it answers: daemons over HTTP, the broker and the cache in their own protocols."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import BaseModel, ValidationError

from shared.embedded.plan import Protocol
from shared.embedded.ports import LOOPBACK

API_VERSIONS_KEY = 18
"""Kafka protocol: ApiVersions, the request that every broker answers without a session."""
STATUS = slice(9, 12)
"""Where the code stands in `HTTP/1.1 200 OK`."""


@dataclass(frozen=True)
class Answer:
    """A poll that was answered.

    Attributes:
        unready_because: Why the process cannot serve yet; None: it can.
        busy_with: What a pause would cut off, e.g. a training; None: nothing.
    """

    unready_because: str | None = None
    busy_with: str | None = None


class Readiness(BaseModel):
    """The part of /readyz that is read here."""

    reason: str | None = None
    busy_with: str | None = None


async def probe(protocol: Protocol, port: int, *, timeout_s: float) -> Answer | None:
    """Ask the process on a port; None: no answer, or not the right one, within the timeout."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(protocol, port)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None


async def _ask(protocol: Protocol, port: int) -> Answer | None:
    match protocol:
        case Protocol.HTTP:
            return await _ask_daemon(port)
        case Protocol.KAFKA:
            return await _ask_broker(port)
        case Protocol.REDIS:
            return await _ask_cache(port)


async def _ask_daemon(port: int) -> Answer | None:
    alive, _ = await _get(port, "/healthz")
    if alive != HTTPStatus.OK:
        return None
    ready, body = await _get(port, "/readyz")
    return _answer(ready, body)


def _answer(status: int, body: bytes) -> Answer:
    try:
        said = Readiness.model_validate_json(body)
    except ValidationError:
        said = Readiness()
    if status == HTTPStatus.OK:
        return Answer(busy_with=said.busy_with)
    return Answer(unready_because=said.reason or f"/readyz answered {status}", busy_with=said.busy_with)


async def _get(port: int, path: str) -> tuple[int, bytes]:
    # An HTTP client costs ten times as much, and eight daemons are asked twice a second for as long as the mesh runs.
    async with _connection(port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head[STATUS]), body


async def _ask_broker(port: int) -> Answer | None:
    correlation_id = 7
    client_id = b"plumb"
    body = struct.pack(f">hhih{len(client_id)}s", API_VERSIONS_KEY, 0, correlation_id, len(client_id), client_id)
    reply = await _exchange(port, struct.pack(">i", len(body)) + body, num_bytes=8)
    return Answer() if struct.unpack(">ii", reply)[1] == correlation_id else None


async def _ask_cache(port: int) -> Answer | None:
    reply = await _exchange(port, b"PING\r\n", num_bytes=7)
    return Answer() if reply == b"+PONG\r\n" else None


async def _exchange(port: int, request: bytes, *, num_bytes: int) -> bytes:
    async with _connection(port) as (reader, writer):
        writer.write(request)
        return await reader.readexactly(num_bytes)


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        yield reader, writer
    finally:
        writer.close()
