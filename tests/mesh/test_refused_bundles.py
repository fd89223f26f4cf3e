"""A bundle that is not signed by who may is neither judged, routed nor loaded, and the refusal is an event that people see."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from contracts import topics
from contracts.envelope import Event
from contracts.release import BundleLoaded, BundleRejected, Phase, ReleaseChanged
from contracts.topics import Topic
from services.monitor.core import status
from services.monitor.core.windows import open_at
from shared.artifacts import ArtifactStore
from shared.bundle_signing import sign, signature_ref
from shared.bus import Bus
from shared.cli.panels import domain_panel
from shared.cli.screen import stdout
from shared.errors import SignatureRefused
from tests.contracts.daemons import Watched, running, watched
from tests.contracts.payloads import example
from tests.keys import BUNDLE_SIGNER, STRANGER
from tests.unit.evaluator.sealed import seal_lookup_bundle
from tests.unit.inference_gateway.conftest import NOW, released

__all__ = ["watched"]

pytestmark = pytest.mark.mesh
PATIENCE_S = 30.0


def unsigned(store: ArtifactStore, digest: str) -> None:
    store.delete_ref(signature_ref(digest))


def signed_by_a_stranger(store: ArtifactStore, digest: str) -> None:
    unsigned(store, digest)
    sign(store, digest, STRANGER)


def signed_as_another(store: ArtifactStore, digest: str) -> None:
    other = store.put_bytes(b"another manifest")
    sign(store, other, BUNDLE_SIGNER)
    store.write_ref(signature_ref(digest), store.read_ref(signature_ref(other)) or b"")


def told_of(daemon: str, digest: str) -> tuple[Topic, Event]:
    """Return the event that has a daemon judge, route or load a bundle."""
    if daemon == "evaluator":
        return topics.MODEL_TRAINED, example(topics.MODEL_TRAINED, bundle_digest=digest)
    if daemon == "release-manager":
        return topics.MODEL_EVALUATED, example(topics.MODEL_EVALUATED, bundle_digest=digest, passed=True)
    return topics.RELEASE_CHANGED, released(Phase.WARMING, {digest: 100}, digest, revision=1)


def listened(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return what a daemon publishes from now on."""
    said: list[Event] = []
    publish = bus.publish

    async def heard(topic: Topic, event: Event, *, traceparent: str | None = None) -> None:
        said.append(event)
        await publish(topic, event, traceparent=traceparent)

    monkeypatch.setattr(bus, "publish", heard)
    return said


@pytest.mark.parametrize("daemon", ["evaluator", "release-manager", "inference-gateway"])
@pytest.mark.parametrize("spoil", [unsigned, signed_by_a_stranger, signed_as_another])
async def test_a_bundle_without_a_right_signature_goes_nowhere(
    daemon: str,
    spoil: Callable[[ArtifactStore, str], None],
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    store = ArtifactStore(f"file://{tmp_path}/artifacts")
    digest = seal_lookup_bundle(store, tmp_path / "bundle", answers={"a": "civil"}, corpus_digest="0" * 64)
    spoil(store, digest)
    topic, event = told_of(daemon, digest)

    async with asyncio.timeout(PATIENCE_S), running(daemon, watched, monkeypatch) as bus:
        said = listened(bus, monkeypatch)
        await bus.publish(topic, event)
        awaited = {BundleRejected} | ({BundleLoaded} if daemon == "inference-gateway" else set())
        while not awaited <= set(map(type, said)):  # noqa: ASYNC110 (the gateway loads behind)
            await asyncio.sleep(0.01)

    (rejected,) = [one for one in said if isinstance(one, BundleRejected)]
    assert (rejected.bundle_digest, rejected.stage, rejected.causation_id) == (digest, daemon, event.event_id)
    assert digest in rejected.reason
    assert rejected.next_step
    if daemon == "inference-gateway":
        assert [one.loaded for one in said if isinstance(one, BundleLoaded)] == [False]
    else:
        assert [type(error) for error in watched.refused] == [SignatureRefused]
        assert not [one for one in said if isinstance(one, ReleaseChanged) and one is not event]
    assert store.read_ref(f"bundles/{digest}/evaluation") is None


async def test_a_bundle_with_a_right_signature_is_routed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = ArtifactStore(f"file://{tmp_path}/artifacts")
    digest = seal_lookup_bundle(store, tmp_path / "bundle", answers={"a": "civil"}, corpus_digest="0" * 64)
    async with asyncio.timeout(PATIENCE_S), running("release-manager", watched, monkeypatch) as bus:
        said = listened(bus, monkeypatch)
        await bus.publish(*told_of("release-manager", digest))
    assert watched.refused == []
    assert [one.phase for one in said if isinstance(one, ReleaseChanged)] == [Phase.WARMING]


async def test_a_bundle_that_did_not_pass_needs_no_signature(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = example(topics.MODEL_EVALUATED, bundle_digest="f" * 64, passed=False)
    async with asyncio.timeout(PATIENCE_S), running("release-manager", watched, monkeypatch) as bus:
        await bus.publish(topics.MODEL_EVALUATED, failed)
    assert watched.refused == []


def test_the_status_shows_refusals_with_reason_and_next_step() -> None:
    refusals = [
        example(
            topics.BUNDLE_REJECTED, bundle_digest=f"{number}" * 64, occurred_at=NOW, event_id=uuid4(),
            reason=f"reason {number}", next_step="do this",
        )
        for number in range(1, 8)
    ]  # fmt: skip
    view: status.View = {}
    for event in [*refusals, refusals[-1]]:
        view = status.fold(view, event)
    (domain,) = status.mesh_status(view, open_at(NOW, 1.0), NOW).domains
    assert len(domain.rejected_bundles) == 5
    console = stdout()
    with console.capture() as shown:
        console.print(domain_panel(domain, now=NOW))
    text = " ".join(shown.get().replace("│", " ").split())
    assert "refused" in text
    assert f"{domain.rejected_bundles[-1].bundle_digest[:12]} by evaluator" in text
    assert "Next: do this" in text
