"""A daemon run through its own wiring on a broker in memory, and what became of the messages that it was given."""

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from faststream.kafka import TestKafkaBroker

from contracts.topics import ALL_DAEMONS, EVENT_TOPICS, NUM_PARTITIONS
from shared.bus import Bus
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink
from tests.broker.memory import MemoryBatches
from tests.keys import AGES_S

DAEMONS_AND_TOPICS = [
    pytest.param(daemon, topic, id=f"{daemon}/{topic.name}")
    for daemon in ALL_DAEMONS
    for topic in EVENT_TOPICS
    if daemon in {*topic.consumers, *topic.readers, *topic.keepers}
]


class Watched:
    """What became of messages: each was handled, or refused with a reason.

    Attributes:
        refused: Why messages were dead-lettered, in order.
    """

    def __init__(self) -> None:
        self.buses: list[Bus] = []
        self.refused: list[Exception] = []


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    found = Watched()
    telemetries: list[Telemetry] = []

    class WatchedBus(Bus):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            found.buses.append(self)

        async def _dead_letter(self, message: Any, error: Exception) -> None:
            found.refused.append(error)

        async def dead_letter(self, record: Any, error: Exception) -> None:
            found.refused.append(error)

    def to_memory(service: str, settings: Any, *_: Any) -> Telemetry:
        telemetries.append(Telemetry(service, settings, KeptSink()))
        return telemetries[-1]

    monkeypatch.setattr(Telemetry, "to_kafka", to_memory)
    monkeypatch.setattr("shared.bus.Bus", WatchedBus)
    environment = {
        "STATE_DIR": str(tmp_path / "state"), "ARTIFACTS__URL": f"file://{tmp_path}/artifacts",
        "COMMAND_MAX_AGE_S": str(AGES_S),  # the examples' times are what they are
        "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "REDIS__URL": "redis://127.0.0.1:1/0",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(f"PLUMBLINE_{name}", value)
    yield found
    for telemetry in telemetries:
        telemetry.close()


@asynccontextmanager
async def running(daemon: str, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bus]:
    """Run a daemon as `uvicorn services.<name>.app:build --factory` would, on a broker in memory."""
    module = importlib.import_module(f"services.{daemon.replace('-', '_')}.app")
    monkeypatch.setattr(module, "Bus", importlib.import_module("shared.bus").Bus)
    app = module.build()
    (bus,) = watched.buses
    # The in-memory broker has no groups: nobody else would tell a daemon that the domains are its own.
    bus._assignment.on_partitions_assigned([TopicPartition("any", number) for number in range(NUM_PARTITIONS)])
    kept = MemoryBatches(bus)
    async with TestKafkaBroker(bus.broker, kept.broker), kept.storing(), app.router.lifespan_context(app):
        yield bus
        await kept.stored()
