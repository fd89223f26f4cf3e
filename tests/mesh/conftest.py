"""All eight daemons in one process, over FastStream's in-memory broker: real handlers, real artifacts, real child processes.

It proves wiring and payloads. Redelivery, order and offsets are proved on a broker.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module

import httpx
import pytest
from aiokafka.structs import TopicPartition
from fastapi import FastAPI
from faststream.kafka import TestKafkaBroker

from contracts.topics import ALL_DAEMONS, NUM_PARTITIONS
from tests.broker.memory import MemoryBatches

OPERATOR_TOKEN = "the operator's"
SETTINGS = {
    "PLUMBLINE_TELEMETRY__ENABLED": "false",
    "PLUMBLINE_OPERATOR_TOKEN": OPERATOR_TOKEN,
    "PLUMBLINE_REDIS__URL": "redis://127.0.0.1:1/0",  # nothing listens there: losing the cache costs no answer
    "PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "300",
    "PLUMBLINE_CORPUS__QUIET_S": "0.2",
    "PLUMBLINE_TICK_S": "0.1",
    "PLUMBLINE_TOKENIZER__VOCAB_SIZE": "1200",
    # Few articles leave characters of the next ones unseen; here the serving tokenizer is to be kept all the same.
    "PLUMBLINE_TOKENIZER__MIN_COVERAGE": "0.9",
    "PLUMBLINE_TOKENIZER__MAX_FERTILITY_RISE": "1",
    "PLUMBLINE_RECIPE__FIRST_TOKENS": "50000",
    "PLUMBLINE_RECIPE__MIN_CONTINUED_TOKENS": "8000",
    "PLUMBLINE_ROLLOUT__SETTLE_S": "0.1",
    "PLUMBLINE_ROLLOUT__WINDOW_S": "0.3",
    "PLUMBLINE_ROLLOUT__MIN_CANARY_S": "600",
}


@dataclass(frozen=True)
class Mesh:
    """The daemons and a client of each."""

    clients: dict[str, httpx.AsyncClient]
    apps: dict[str, FastAPI]


@pytest.fixture
async def mesh(monkeypatch, tmp_path) -> AsyncIterator[Mesh]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PLUMBLINE_ARTIFACTS__URL", f"file://{tmp_path}/artifacts")
    apps = {}
    for name in ALL_DAEMONS:
        monkeypatch.setenv("PLUMBLINE_STATE_DIR", str(tmp_path / name))
        (tmp_path / name).mkdir()
        apps[name] = import_module(f"services.{name.replace('-', '_')}.app").build()
    async with AsyncExitStack() as stack:
        kept = [MemoryBatches(app.state.bus) for app in apps.values()]
        brokers = [*(app.state.bus.broker for app in apps.values()), *(batches.broker for batches in kept)]
        await stack.enter_async_context(TestKafkaBroker(*brokers))
        for batches in kept:
            await stack.enter_async_context(batches.storing())
        clients = {}
        for name, app in apps.items():
            # The in-memory broker has no groups: nobody else would tell a daemon that the domains are its own.
            app.state.bus._assignment.on_partitions_assigned([TopicPartition("any", n) for n in range(NUM_PARTITIONS)])
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(transport=transport, base_url=f"http://{name}", timeout=30)
            clients[name] = await stack.enter_async_context(client)
            async with asyncio.timeout(10):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 (work starts behind the port)
                    await asyncio.sleep(0.01)
        yield Mesh(clients, apps)
