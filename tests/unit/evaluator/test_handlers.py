"""The evaluator on an in-memory broker, with its real child process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from faststream.kafka import TestKafkaBroker

from contracts import topics
from contracts.evaluation import ModelEvaluated
from contracts.release import ReleaseState
from services.evaluator.app import wire
from services.evaluator.settings import Gates, Settings
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import SystemClock
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.broker.harness import Inbox, KeptSink
from tests.contracts.payloads import example
from tests.corpora import write_version
from tests.unit.evaluator.corpora import documents
from tests.unit.evaluator.sealed import seal_lookup_bundle

pytestmark = pytest.mark.mesh
RIGHT = {"x": "criminal", "y": "civil"}
CORPUS = [*documents("criminal", ["x"] * 6), *documents("civil", ["y"] * 4)]


class Mesh:
    """The evaluator and one who listens to what it says."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.store = ArtifactStore(f"file://{tmp_path}/artifacts")
        self.corpus = write_version(self.store, CORPUS)
        self.good = seal_lookup_bundle(self.store, tmp_path / "good", answers=RIGHT, corpus_digest=self.corpus)
        self.poor = seal_lookup_bundle(
            self.store, tmp_path / "poor", answers={"x": "civil", "y": "criminal"}, corpus_digest=self.corpus
        )
        self.evaluated = Inbox()

    @property
    def settings(self) -> Settings:
        return Settings(
            state_dir=self.path / "state",
            artifacts=ArtifactSettings(url=f"file://{self.path}/artifacts"),
            gates=Gates(min_documents=5),
        )

    async def train(self, bundle_digest: str, **changes: object) -> None:
        await self.evaluator.publish(
            topics.MODEL_TRAINED,
            example(topics.MODEL_TRAINED, bundle_digest=bundle_digest, corpus_digest=self.corpus, **changes),
        )

    async def serve(self, bundle_digest: str, revision: int = 1) -> None:
        state = ReleaseState(revision=revision, serving_digest=bundle_digest)
        await self.evaluator.publish(topics.RELEASE_CHANGED, example(topics.RELEASE_CHANGED, state=state))

    def start(self, evaluator: Bus, listener: Bus) -> None:
        self.evaluator = evaluator
        wire(self.settings, evaluator, SystemClock())

        async def on_model_evaluated(event: ModelEvaluated) -> None:
            attached = self.store.read_ref(f"bundles/{event.bundle_digest}/evaluation")
            assert attached == event.model_dump_json().encode(), "attached before it is said"
            await self.evaluated(event)

        async def ignore(_: object) -> None:
            """Not looked at here."""

        listener.consume(
            {
                topic: on_model_evaluated if topic is topics.MODEL_EVALUATED else ignore
                for topic in topics.topics_consumed_by("release-manager")
            }
        )


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    made = Mesh(tmp_path)
    telemetry = Telemetry("evaluator", TelemetrySettings(), KeptSink())
    evaluator = Bus("evaluator", KafkaSettings(), telemetry)
    listener = Bus("release-manager", KafkaSettings(), telemetry)
    made.start(evaluator, listener)
    async with TestKafkaBroker(evaluator.broker, listener.broker):
        yield made
    telemetry.close()


async def test_a_bundle_is_judged_and_compared_with_the_serving_one(mesh: Mesh) -> None:
    await mesh.train(mesh.good)
    await mesh.serve(mesh.good)
    await mesh.train(mesh.poor, ancestors=(mesh.good,))

    first, second = mesh.evaluated.events
    assert (first.passed, first.serving_digest, first.serving_scores) == (True, None, ())
    assert (second.passed, second.serving_digest, second.ancestors) == (False, mesh.good, (mesh.good,))
    assert [(score.slice, score.n, score.accuracy) for score in second.scores] == [("all", 10, 0.0), ("old", 10, 0.0)]
    assert second.serving_scores[0].accuracy == 1.0
    assert sum(reason.startswith("FAILED") for reason in second.reasons) == 2


async def test_a_redelivery_says_the_same_again_without_a_second_run(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = example(topics.MODEL_TRAINED, bundle_digest=mesh.good, corpus_digest=mesh.corpus)
    await mesh.evaluator.publish(topics.MODEL_TRAINED, event)

    # No child could run any more, and another bundle serves by now.
    monkeypatch.setattr("services.evaluator.handlers.CHILD", "services.nowhere")
    await mesh.serve(mesh.poor)
    await mesh.evaluator.publish(topics.MODEL_TRAINED, event)

    first, again = mesh.evaluated.events
    assert first == again
    assert first.causation_id == event.event_id


async def test_a_resumed_run_compares_with_what_served_when_it_began(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = example(topics.MODEL_TRAINED, bundle_digest=mesh.good, corpus_digest=mesh.corpus)
    await mesh.serve(mesh.poor)
    # The first attempt gets as far as its job: the daemon is stopped while the child runs.
    with monkeypatch.context() as patched:
        patched.setattr("services.evaluator.handlers.run_child", _stopped)
        with pytest.raises(SystemExit):
            await mesh.evaluator.publish(topics.MODEL_TRAINED, event)
    await mesh.serve("a" * 64, revision=2)
    await mesh.evaluator.publish(topics.MODEL_TRAINED, event)

    (evaluated,) = mesh.evaluated.events
    assert evaluated.serving_digest == mesh.poor


async def test_a_finished_run_that_says_it_again_removes_what_a_crash_left(mesh: Mesh) -> None:
    event = example(topics.MODEL_TRAINED, bundle_digest=mesh.good, corpus_digest=mesh.corpus)
    await mesh.evaluator.publish(topics.MODEL_TRAINED, event)
    left = mesh.settings.state_dir / "runs" / str(event.event_id)
    left.mkdir()

    await mesh.evaluator.publish(topics.MODEL_TRAINED, event)

    assert len(mesh.evaluated.events) == 2
    assert not left.exists()


async def test_scratch_space_is_given_back_also_by_a_run_that_failed(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    await mesh.train(mesh.good)
    await mesh.train("f" * 64)

    assert [event.bundle_digest for event in mesh.evaluated.events] == [mesh.good]
    (lost,) = [record for record in caplog.records if record.message == "dead-lettered"]
    assert lost.reason == f"no artifact has the digest {'f' * 64}"
    assert list((mesh.settings.state_dir / "runs").iterdir()) == []


async def _stopped(*_args: object, **_options: object) -> None:
    raise SystemExit
