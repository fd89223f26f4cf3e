"""Ingest on a broker in memory, with everything that it says."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker

from contracts.corpus import BatchReceived
from contracts.topics import BATCH_RECEIVED
from services.ingest.app import wire
from services.ingest.run import Intake
from services.ingest.settings import BatchLimits, HoldRules, Settings, UploadLimits
from services.ingest.uploads import Uploads
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import FakeClock
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry

START = datetime(2025, 6, 1, tzinfo=UTC)
LIMITS = BatchLimits(line_bytes=1000, batch_bytes=5000, documents=20)
TOKEN = "the operator's"
AS_OPERATOR = {"authorization": f"Bearer {TOKEN}"}


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
    app: FastAPI
    state_dir: Path
    said: list[tuple[BatchReceived, str]] = field(default_factory=list)

    @property
    def intake(self) -> Intake:
        return self.app.state.intake

    @property
    def uploads(self) -> Uploads:
        return self.app.state.uploads

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


def settings_of(folder: Path, **given: Any) -> Settings:
    return Settings(
        state_dir=folder / "state",
        artifacts=ArtifactSettings(url=(folder / "artifacts").as_uri()),
        operator_token=TOKEN,
        **{"batch": LIMITS, "upload": UploadLimits(max_unfinished=3), "hold": HoldRules(), **given},
    )


@asynccontextmanager
async def running(folder: Path, telemetry: Telemetry, clock: FakeClock, **given: Any) -> AsyncIterator[Ingest]:
    settings = settings_of(folder, **given)
    bus, user = (Bus(name, KafkaSettings(), telemetry) for name in ("ingest", "user"))
    app = wire(settings, bus, telemetry, clock)
    ingest = Ingest(ArtifactStore(settings.artifacts.url), clock, bus, user, app, settings.state_dir)
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
