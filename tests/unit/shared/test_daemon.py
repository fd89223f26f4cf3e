"""The frame of a daemon: alive from the start, ready when it can work, and honest about why not."""

import asyncio
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from faststream.kafka import TestKafkaBroker
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

from contracts import topics
from shared.bus import Bus
from shared.daemon import check_operator, daemon_app, every
from shared.errors import RequestRefused
from shared.settings import KafkaSettings, OperatorSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink, ignore, until


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("evaluator", TelemetrySettings(), KeptSink())


@pytest.fixture
def bus(telemetry: Telemetry) -> Iterator[Bus]:
    made = Bus("evaluator", KafkaSettings(), telemetry)
    yield made
    telemetry.close()


def client(app: FastAPI) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(app), base_url="http://daemon")


async def reason(app: FastAPI) -> str | None:
    async with client(app) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == (503 if answer.json()["reason"] else 200)
    return answer.json()["reason"]


async def test_a_daemon_is_alive_before_it_is_ready(bus: Bus, telemetry: Telemetry) -> None:
    app = daemon_app(bus, telemetry)
    async with client(app) as http:
        assert (await http.get("/healthz")).json() == {"status": "alive", "service": "evaluator"}
    assert await reason(app) == "the broker has not been reached yet"


async def test_work_at_the_start_comes_before_readiness_and_then_the_rest(bus: Bus, telemetry: Telemetry) -> None:
    order: list[str] = []
    may_start = asyncio.Event()

    async def at_start() -> None:
        await may_start.wait()
        order.append("start")

    async def tick() -> None:
        order.append("tick")

    wanting = ["a bundle"]
    app = daemon_app(
        bus,
        telemetry,
        at_start=[at_start],
        background=[lambda: every(0.001, tick)],
        unready_because=lambda: wanting[0] if wanting else None,
    )
    async with TestKafkaBroker(bus.broker), app.router.lifespan_context(app):
        assert await reason(app) == "the broker has not been reached yet"
        may_start.set()
        await until(lambda: order.count("tick") > 2)
        assert order[0] == "start"
        assert await reason(app) == "a bundle"
        wanting.clear()
        assert await reason(app) is None


async def test_a_daemon_is_unready_until_its_group_is_joined(bus: Bus, telemetry: Telemetry) -> None:
    bus.consume({topics.MODEL_TRAINED: ignore})
    app = daemon_app(bus, telemetry)
    async with TestKafkaBroker(bus.broker), app.router.lifespan_context(app):
        await until(lambda: bus.broker._producer is not None)
        found = await reason(app)
    assert found in {"the broker has not been reached yet", "the consumer group has not been joined yet"}


async def test_work_that_ended_makes_the_daemon_unready_and_is_logged(
    bus: Bus, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise KeyError("oops")

    app = daemon_app(bus, telemetry, background=[fail])
    async with TestKafkaBroker(bus.broker), app.router.lifespan_context(app):
        await until(lambda: any(record.message == "work ended" for record in caplog.records))
        assert "oops" in (await reason(app) or "")


def test_only_the_operator_passes() -> None:
    settings = OperatorSettings(operator_token=SecretStr("right"))
    check_operator(settings, "Bearer right")
    for given in (None, "", "right-not", "Bearer wrong", "Bearer "):
        with pytest.raises(RequestRefused) as refused:
            check_operator(settings, given)
        assert refused.value.status == 403


def test_without_a_token_nobody_passes() -> None:
    for token in (None, SecretStr("")):
        for given in (None, "", "Bearer ", "Bearer None"):
            with pytest.raises(RequestRefused):
                check_operator(OperatorSettings(operator_token=token), given)
