"""The daemon as it is started, on the embedded broker: released by events and time, and the same after a restart."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI

from contracts.envelope import Event
from contracts.release import ReleaseChanged, ReleaseState
from contracts.topics import BUNDLE_LOADED, MODEL_EVALUATED, RELEASE_CHANGED, Topic
from services.release_manager.app import build
from shared.messages import cloudevent_headers
from shared.settings import KafkaSettings

from .conftest import KnownBundles
from .story import TRACEPARENT, evaluated, loaded, weights

WAIT_S = 30.0


@pytest.fixture
def environment(kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """What the supervisor tells the daemon."""
    for name, value in {
        "STATE_DIR": str(tmp_path),
        "ARTIFACTS__URL": f"file://{tmp_path}/artifacts",
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA__GROUP_SUFFIX": kafka.group_suffix,
        "ROLLOUT__SETTLE_S": "0.2",
        "ROLLOUT__WINDOW_S": "0.5",
        "TICK_S": "0.1",
    }.items():
        monkeypatch.setenv(f"PLUMBLINE_{name}", value)
    # The daemon takes over the process's logs; give them back afterwards.
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    return kafka


@asynccontextmanager
async def running() -> AsyncIterator[httpx.AsyncClient]:
    """Run the daemon until the block ends."""
    app: FastAPI = build()
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://d") as client:
        yield client


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_S):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 (asked from outside, as a probe does)
            await asyncio.sleep(0.05)


async def send(kafka: KafkaSettings, topic: Topic, event: Event) -> None:
    headers = cloudevent_headers(topic, event, service="test") | {"traceparent": TRACEPARENT}
    wire = [(name, value.encode()) for name, value in headers.items()]
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topic.name, event.model_dump_json().encode(), key=b"law", headers=wire)


async def changes_until(kafka: KafkaSettings, number: int) -> list[ReleaseChanged]:
    """Return the first `number` changes that were published."""
    consumer = AIOKafkaConsumer(
        RELEASE_CHANGED.name, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    async with consumer, asyncio.timeout(WAIT_S):
        return [ReleaseChanged.model_validate_json((await consumer.getone()).value) for _ in range(number)]


@pytest.mark.broker
async def test_a_release_stands_after_a_restart_and_after_all_messages_came_again(
    environment: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.release_manager.app.Admission", lambda *_, **__: KnownBundles())
    async with running() as client:
        await ready(client)
        assert (await client.get("/v1/domains/law/release")).status_code == 404
        await send(environment, MODEL_EVALUATED, evaluated("a").event)
        await changes_until(environment, 1)
        await send(environment, BUNDLE_LOADED, loaded("a"))
        told = await changes_until(environment, 4)
    assert [change.phase for change in told] == ["warming", "promoting", "window", "stable"]
    # Another group has handled nothing yet.
    monkeypatch.setenv("PLUMBLINE_KAFKA__GROUP_SUFFIX", f"{environment.group_suffix}-again")
    async with running() as client:
        await ready(client)
        await send(environment, MODEL_EVALUATED, evaluated("b", ancestors="a").event)
        again, next_change = (await changes_until(environment, 6))[4:]
        state = ReleaseState.model_validate((await client.get("/v1/domains/law/release")).json())
    assert again == told[3]
    assert (next_change.phase, next_change.state.revision) == ("warming", 5)
    assert (state.revision, weights(state)) == (5, {"a": 100})
