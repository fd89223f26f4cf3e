"""An Elasticsearch behind a server that fails in turn as real ones do, at bulk requests only."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from aiohttp import web

TURNS = ("busy", "puts off some", "cut off before", "well", "cut off after", "well")


class Faults:
    """Which faults were met."""

    def __init__(self) -> None:
        self.num_met = 0
        self.kinds_met: set[str] = set()
        self.turns = itertools.cycle(TURNS)

    def next(self) -> str:
        turn = next(self.turns)
        if turn != "well":
            self.num_met += 1
            self.kinds_met.add(turn)
        return turn


@asynccontextmanager
async def faulty_server(url: str) -> AsyncIterator[tuple[str, Faults]]:
    faults = Faults()
    async with httpx.AsyncClient(base_url=url, timeout=30) as upstream:

        async def forward(request: web.Request, body: bytes) -> web.Response:
            headers = {name: request.headers[name] for name in ("content-type", "accept") if name in request.headers}
            answer = await upstream.request(request.method, request.path_qs, content=body, headers=headers)
            kept = {
                name: answer.headers[name] for name in ("content-type", "x-elastic-product") if name in answer.headers
            }
            return web.Response(status=answer.status_code, body=answer.content, headers=kept)

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            turn = faults.next() if request.path.endswith("_bulk") else "well"
            if turn == "busy":
                return web.json_response({"error": "busy"}, status=503, headers={"x-elastic-product": "Elasticsearch"})
            if turn == "cut off before":
                request.transport.abort()
            if turn == "puts off some":
                return await _put_off_some(request, body, forward)
            answer = await forward(request, body)
            if turn == "cut off after":
                request.transport.abort()
            return answer

        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", faults
        finally:
            await runner.cleanup()


async def _put_off_some(request: web.Request, body: bytes, forward) -> web.Response:
    """Hand on every other item; say of the others that the queue was full, as HTTP 200 does."""
    lines = body.rstrip(b"\n").split(b"\n")
    pairs = list(zip(lines[::2], lines[1::2], strict=True))
    taken = b"".join(b"%s\n%s\n" % pair for pair in pairs[::2])
    answer = await forward(request, taken)
    outcome = json.loads(answer.body)
    full = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}}}
    items = iter(outcome["items"])
    outcome |= {"errors": True, "items": [next(items) if at % 2 == 0 else full for at in range(len(pairs))]}
    return web.json_response(outcome, headers={"x-elastic-product": "Elasticsearch"})
