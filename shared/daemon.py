"""The frame that all eight daemons share: an ASGI app with health routes around a bus, telemetry and background work."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from shared import problems
from shared.bus import Bus
from shared.errors import RequestRefused
from shared.settings import OperatorSettings
from shared.telemetry import Telemetry

Work = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


def daemon_app(
    bus: Bus,
    telemetry: Telemetry,
    *,
    at_start: Sequence[Work] = (),
    background: Sequence[Work] = (),
    resources: Sequence[AbstractAsyncContextManager[object]] = (),
    unready_because: Callable[[], str | None] = lambda: None,
    busy_with: Callable[[], str | None] = lambda: None,
) -> FastAPI:
    """Return a daemon's app.

    The HTTP port answers from the start; the broker is awaited behind it, so that a daemon may come up before its broker.

    Args:
        bus: Where its events come from and go to.
        telemetry: What it is observed with.
        at_start: Work done once, after the bus can send and before it consumes: e.g. publish again what a crash left unsaid.
        background: Endless work, e.g. a ticker; an error that ends it is logged, and the daemon fails its health check.
        resources: Entered before anything else and left last, e.g. an HTTP client or a database.
        unready_because: Why the daemon cannot serve at present although its bus is ready, or None.
        busy_with: What a pause of the mesh would cut off beside a message that is handled for long, or None.
    """
    state = _State()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(telemetry.close)
            telemetry.start()
            for resource in resources:
                await stack.enter_async_context(resource)
            running = asyncio.create_task(_run(bus, at_start, background, state), name="daemon")
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running])
                await bus.broker.stop()

    app = FastAPI(title=f"Plumbline {bus.service}", version="1", lifespan=lifespan, responses=problems.RESPONSES)
    app.state.bus = bus
    problems.install(app)

    @app.get("/healthz", tags=["health"], summary="Alive? 503: its work has ended, only a restart helps")
    async def healthz() -> JSONResponse:
        body = {"status": "failed" if state.has_failed else "alive", "service": bus.service}
        return JSONResponse(body, status_code=503 if state.has_failed else 200)

    @app.get("/readyz", tags=["health"], summary="Can it serve?")
    async def readyz() -> JSONResponse:
        reason = state.unready_because or bus.unready_because or unready_because()
        status = "unready" if reason else "ready"
        body = {
            "status": status, "service": bus.service, "reason": reason, "busy_with": bus.busy_with or busy_with(),
        }  # fmt: skip
        return JSONResponse(body, status_code=503 if reason else 200)

    return app


class _State:
    """Whether the daemon's work runs."""

    def __init__(self) -> None:
        self.unready_because: str | None = "the broker has not been reached yet"
        self.has_failed = False


async def _run(bus: Bus, at_start: Sequence[Work], background: Sequence[Work], state: _State) -> None:
    try:
        await bus.connect()
        for work in at_start:
            await bus.until_done(work)
        await bus.start()
        state.unready_because = None
        async with asyncio.TaskGroup() as group:
            for work in background:
                group.create_task(_forever(work))
    except Exception as error:
        state.unready_because = f"its work ended: {error!r}"
        state.has_failed = True
        log.exception("work ended")
        raise


async def _forever(work: Work) -> None:
    await work()


async def every(seconds: float, work: Work) -> None:
    """Call `work` for ever, `seconds` after it last ended."""
    while True:
        await work()
        await asyncio.sleep(seconds)


def check_operator(settings: OperatorSettings, authorization: str | None) -> None:
    """Let only the operator pass.

    Args:
        settings: Hold the token; without one, or with an empty one, nobody passes.
        authorization: The request's `Authorization` header: `Bearer TOKEN`.

    Raises:
        RequestRefused: 403.
    """
    token = settings.operator_token.get_secret_value() if settings.operator_token else ""
    given = (authorization or "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise RequestRefused(
            403, "not-the-operator", "Only the operator may do this", "the operator token is missing or wrong",
            next_step="send `Authorization: Bearer TOKEN`; it lies in the folder of secrets, as plumbline_operator_token",
        )  # fmt: skip
