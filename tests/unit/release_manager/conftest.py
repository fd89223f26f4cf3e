"""A release-manager in memory: real bus, real refs on disk, a clock that stands still."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from faststream.kafka import KafkaMessage, TestKafkaBroker

from contracts.envelope import Event
from contracts.release import ReleaseChanged, ReleaseRequested
from contracts.topics import MODEL_EVALUATED, RELEASE_CHANGED, RELEASE_REQUESTED, Topic
from services.release_manager.adapters import SnapshotRefs
from services.release_manager.core.effects import Evaluated
from services.release_manager.handlers import register
from services.release_manager.run import Releases
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import FakeClock
from shared.errors import NotTheWriter
from shared.messages import cloudevent_headers
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.keys import command_guard, command_headers

from .story import RULES, START, TRACEPARENT, at

SERVICE = "release-manager"


class NoSink:
    """Takes telemetry and drops it."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        return True

    def close(self) -> None:
        pass


class KnownBundles(Admission):
    """Lets every bundle pass: the digests of these stories stand for none. Signatures are checked in test_signatures.py."""

    def __init__(self) -> None:
        pass

    async def admit(self, cause: Event, digest: str) -> None:
        pass


@dataclass
class Membership:
    """A place in the consumer group, moved by the test."""

    name: str = "first"
    has_domains: bool = True
    is_settled: bool = True

    @property
    def membership(self) -> str:
        if not self.is_settled:
            raise NotTheWriter("the consumer group is being rearranged")
        return self.name

    def owns(self, _: str) -> bool:
        return self.has_domains


class Daemon:
    """A release-manager and what the mesh hears of it."""

    def __init__(self, bus: Bus, store: ArtifactStore) -> None:
        self.bus = bus
        self.refs = SnapshotRefs(store)
        self.clock = FakeClock(START)
        self.releases = Releases(bus, self.refs, clock=self.clock, rules_for=lambda _: RULES, group=Membership())
        self.changes: list[tuple[ReleaseChanged, KafkaMessage]] = []
        self.requests: list[ReleaseRequested] = []
        register(bus, releases=self.releases, admission=KnownBundles())

        @bus.broker.subscriber(RELEASE_CHANGED.name, group_id="listener")
        async def on_change(message: KafkaMessage) -> None:
            self.changes.append((ReleaseChanged.model_validate_json(message.body), message))

        @bus.broker.subscriber(RELEASE_REQUESTED.name, group_id="listener")
        async def on_request(message: KafkaMessage) -> None:
            self.requests.append(ReleaseRequested.model_validate_json(message.body))

    async def hears(self, topic: Topic, event: Event | Evaluated, *, after: float = 0) -> list[ReleaseChanged]:
        """Let a message arrive; return what is published then."""
        self.clock.set(self.clock.now() + (at(after) - START))
        said = len(self.changes)
        traceparent = event.traceparent if isinstance(event, Evaluated) else None
        event = event.event if isinstance(event, Evaluated) else event
        headers = cloudevent_headers(topic, event, service="test") | {"traceparent": traceparent or TRACEPARENT}
        body = event.model_dump_json().encode()
        headers |= command_headers(topic, "law", body)
        await self.bus.broker.publish(body, topic.name, key=b"law", headers=headers)
        return [change for change, _ in self.changes[said:]]

    async def ticks(self, *, after: float) -> list[ReleaseChanged]:
        """Let time pass; return what is published then."""
        self.clock.set(self.clock.now() + (at(after) - START))
        said = len(self.changes)
        await self.releases.tick()
        return [change for change, _ in self.changes[said:]]

    async def evaluates(self, evaluation: Evaluated) -> list[ReleaseChanged]:
        return await self.hears(MODEL_EVALUATED, evaluation)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


@pytest.fixture
async def daemon(store: ArtifactStore) -> AsyncIterator[Daemon]:
    telemetry = Telemetry(SERVICE, TelemetrySettings(), NoSink())
    bus = Bus(SERVICE, KafkaSettings(), telemetry, guard=command_guard())
    daemon = Daemon(bus, store)
    async with TestKafkaBroker(bus.broker):
        yield daemon
    telemetry.close()
