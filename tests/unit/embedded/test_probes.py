import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.embedded.plan import Protocol
from shared.embedded.ports import LOOPBACK
from shared.embedded.probes import Answer, probe


@asynccontextmanager
async def server(*replies: bytes) -> AsyncIterator[int]:
    """Answer one connection after the other with the next reply; without one, never."""
    left = list(replies)
    open_connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(asyncio.create_task(answer(reader, writer)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        if left:
            writer.write(left.pop(0))
            await writer.drain()
        else:
            await reader.read()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(accept, LOOPBACK, 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()
        await asyncio.gather(*open_connections)


def http(status: str, body: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("protocol", "replies", "expected"),
    [
        (Protocol.HTTP, (http("200 OK"), http("200 OK")), Answer()),
        (Protocol.HTTP, (http("200 OK"), http("200 OK", '{"reason": null, "busy_with": "law"}')), Answer(None, "law")),
        (Protocol.HTTP, (http("200 OK"), http("503 No", '{"reason": "no broker"}')), Answer("no broker")),
        (Protocol.HTTP, (http("200 OK"), http("503 No", "<html>")), Answer("/readyz answered 503")),
        (Protocol.HTTP, (http("503 No"),), None),
        (Protocol.HTTP, (b"SSH-2.0-OpenSSH_9.2",), None),
        (Protocol.HTTP, (b"",), None),
        (Protocol.HTTP, (), None),
        (Protocol.REDIS, (b"+PONG\r\n",), Answer()),
        (Protocol.REDIS, (b"-LOADING",), None),
        (Protocol.REDIS, (b"+P",), None),
        (Protocol.KAFKA, (b"\0\0\0\x08\0\0\0\x07rest",), Answer()),
        (Protocol.KAFKA, (b"\0\0\0\x08\0\0\0\x08rest",), None),
        (Protocol.KAFKA, (), None),
    ],
)
async def test_what_counts_as_an_answer(
    protocol: Protocol, replies: tuple[bytes, ...], expected: Answer | None
) -> None:
    async with server(*replies) as port:
        assert await probe(protocol, port, timeout_s=0.3) == expected


async def test_nobody_listening_is_no_answer() -> None:
    async with server() as port:
        pass
    assert await probe(Protocol.HTTP, port, timeout_s=0.3) is None
