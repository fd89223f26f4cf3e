"""Asking a process whether it answers: daemons over HTTP, the broker and the cache in their own protocols."""

import asyncio
import struct
from dataclasses import dataclass
from http import HTTPStatus

import httpx
from pydantic import BaseModel, ValidationError

from shared.embedded.plan import Protocol
from shared.embedded.ports import LOOPBACK

API_VERSIONS_KEY = 18
"""Kafka protocol: ApiVersions, the request that every broker answers without a session."""


@dataclass(frozen=True)
class Answer:
    """A poll that was answered.

    Attributes:
        unready_because: Why the process cannot serve yet; None: it can.
    """

    unready_because: str | None = None


class Readiness(BaseModel):
    """The part of /readyz that is read here."""

    reason: str


async def probe(protocol: Protocol, port: int, *, client: httpx.AsyncClient, timeout_s: float) -> Answer | None:
    """Ask the process on a port; None: no answer, or not the right one, within the timeout."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(protocol, port, client)
    except (OSError, TimeoutError, httpx.HTTPError, asyncio.IncompleteReadError):
        return None


async def _ask(protocol: Protocol, port: int, client: httpx.AsyncClient) -> Answer | None:
    match protocol:
        case Protocol.HTTP:
            return await _ask_daemon(port, client)
        case Protocol.KAFKA:
            return await _ask_broker(port)
        case Protocol.REDIS:
            return await _ask_cache(port)


async def _ask_daemon(port: int, client: httpx.AsyncClient) -> Answer | None:
    alive = await client.get(f"http://{LOOPBACK}:{port}/healthz")
    if alive.status_code != HTTPStatus.OK:
        return None
    ready = await client.get(f"http://{LOOPBACK}:{port}/readyz")
    return Answer() if ready.status_code == HTTPStatus.OK else Answer(unready_because=_reason(ready))


def _reason(response: httpx.Response) -> str:
    try:
        return Readiness.model_validate_json(response.content).reason
    except ValidationError:
        return f"/readyz answered {response.status_code}"


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
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(request)
        return await reader.readexactly(num_bytes)
    finally:
        writer.close()
