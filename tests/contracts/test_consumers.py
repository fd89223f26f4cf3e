"""Every example payload is fed to every daemon that the topic table names for it, through the daemon's own wiring."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faststream.kafka import TestKafkaBroker

from contracts.topics import ALL_DAEMONS, EVENT_TOPICS, Topic
from shared.bus import Bus
from shared.errors import ArtifactMissing, RunFailed
from shared.messages import cloudevent_headers, decode
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink
from tests.contracts.goldens import example_paths

PATIENCE_S = 90.0
CASES = [
    pytest.param(daemon, topic, id=f"{daemon}/{topic.name}")
    for daemon in ALL_DAEMONS
    for topic in EVENT_TOPICS
    if daemon in {*topic.consumers, *topic.readers}
]
GONE = (ArtifactMissing, RunFailed)
"""What the examples name lies in no store, and to say so is the right answer to them."""


class Watched:
    """What became of messages: each was handled, or refused with a reason."""

    def __init__(self) -> None:
        self.buses: list[Bus] = []
        self.refused: list[Exception] = []


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    found = Watched()
    telemetries: list[Telemetry] = []

    class WatchedBus(Bus):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.buses.append(self)

        async def _dead_letter(self, message: Any, error: Exception) -> None:
            found.refused.append(error)

    def to_memory(service: str, settings: Any, _kafka: Any) -> Telemetry:
        telemetries.append(Telemetry(service, settings, KeptSink()))
        return telemetries[-1]

    monkeypatch.setattr(Telemetry, "to_kafka", to_memory)
    monkeypatch.setattr("shared.bus.Bus", WatchedBus)
    environment = {
        "STATE_DIR": str(tmp_path / "state"), "ARTIFACTS__URL": f"file://{tmp_path}/artifacts",
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
    async with TestKafkaBroker(bus.broker), app.router.lifespan_context(app):
        yield bus


@pytest.mark.mesh
@pytest.mark.parametrize(("daemon", "topic"), CASES)
async def test_a_daemon_takes_every_example_of_its_topics(
    daemon: str, topic: Topic, watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(PATIENCE_S), running(daemon, watched, monkeypatch) as bus:
        for path in example_paths(topic):
            event = decode(topic, path.read_bytes(), {})
            headers = cloudevent_headers(topic, event, service="test")
            await bus.broker.publish(path.read_bytes(), topic.name, key=event.domain.encode(), headers=headers)

    assert [error for error in watched.refused if not isinstance(error, GONE)] == []
    unread = [record.exc_info for record in caplog.records if record.message == "state message left unread"]
    assert unread == []
    defects = [
        record for record in caplog.records if record.levelno >= logging.ERROR and record.message == "work ended"
    ]
    assert defects == []
