"""Ingest on a broker in memory, with everything that it says."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker

from contracts.corpus import BatchReceived
from contracts.topics import BATCH_RECEIVED
from services.ingest import api, handlers
from services.ingest.adapters import Batches, Intake
from services.ingest.settings import BatchLimits
from shared import problems
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import FakeClock
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry

START = datetime(2025, 6, 1, tzinfo=UTC)
LIMITS = BatchLimits(line_bytes=1000, batch_bytes=5000, documents=20)


class NoSink:
    """Takes telemetry and forgets it."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass
class Ingest:
    """The daemon's parts, as `app.wire` puts them together, and what was said, each with its trace context."""

    store: ArtifactStore
    clock: FakeClock
    bus: Bus
    user: Bus
    intake: Intake
    app: FastAPI
    said: list[tuple[BatchReceived, str]] = field(default_factory=list)

    @property
    def events(self) -> list[BatchReceived]:
        return [event for event, _ in self.said]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://ingest")


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    observed = Telemetry("ingest", TelemetrySettings(metric_interval_s=3600), NoSink())
    yield observed
    observed.close()


@asynccontextmanager
async def running(folder: Path, telemetry: Telemetry, clock: FakeClock) -> AsyncIterator[Ingest]:
    store = ArtifactStore((folder / "artifacts").as_uri())
    bus, user = (Bus(name, KafkaSettings(), telemetry) for name in ("ingest", "user"))
    intake = Intake(bus, telemetry, Batches(store))
    handlers.register(bus, intake=intake, clock=clock)
    app = FastAPI()
    problems.install(app)
    app.include_router(api.router(intake=intake, limits=LIMITS, clock=clock))
    ingest = Ingest(store, clock, bus, user, intake, app)
    sink = KafkaBroker()

    @sink.subscriber(BATCH_RECEIVED.name, group_id="test")
    async def hear(message: KafkaMessage) -> None:
        event = BatchReceived.model_validate_json(message.body)
        ingest.said.append((event, str(message.headers.get("traceparent"))))

    async with TestKafkaBroker(bus.broker, user.broker, sink):
        yield ingest


@pytest.fixture
async def ingest(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Ingest]:
    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        yield ingest
