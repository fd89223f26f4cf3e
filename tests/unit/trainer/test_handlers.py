"""The trainer on a broker in memory, with its real child process: what it leaves behind."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from faststream.kafka import TestKafkaBroker

from contracts import topics
from contracts.training import TokenizerReady
from contracts.word_vectors import VectorsVersion
from services.trainer.app import wire
from services.trainer.core.job import TrainingJob
from services.trainer.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bundle import read_manifest
from shared.bundle_signing import check, signature_ref
from shared.bus import Bus
from shared.child import kept_job
from shared.clock import SystemClock
from shared.errors import ChildCrashed, RunFailed
from shared.releases import ServingBundles
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from shared.vector_versions import note_done
from tests.broker.harness import KeptSink
from tests.contracts.payloads import example
from tests.keys import BUNDLE_KEYS
from tests.unit.evaluator.sealed import seal_lookup_bundle


class Trainer:
    """The trainer and its scratch space."""

    def __init__(self, bus: Bus, store: ArtifactStore, folder: Path) -> None:
        self._bus = bus
        self.store = store
        self.folder = folder

    async def ask(self, event: TokenizerReady) -> None:
        await self._bus.publish(topics.TOKENIZER_READY, event)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*"))


@pytest.fixture
async def trainer(tmp_path: Path) -> AsyncIterator[Trainer]:
    url = f"file://{tmp_path}/artifacts"
    settings = Settings(state_dir=tmp_path / "state", artifacts=ArtifactSettings(url=url), niceness=7)
    telemetry = Telemetry("trainer", TelemetrySettings(), KeptSink())
    bus = Bus("trainer", KafkaSettings(), telemetry)
    wire(settings, bus, telemetry, SystemClock())
    async with TestKafkaBroker(bus.broker):
        yield Trainer(bus, ArtifactStore(url), tmp_path / "state" / "runs")
    telemetry.close()


async def test_a_run_that_cannot_be_done_leaves_no_scratch_space(
    trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        await trainer.ask(example(topics.TOKENIZER_READY))

    (lost,) = [record for record in caplog.records if record.message == "dead-lettered"]
    assert "no artifact has the digest" in lost.reason
    assert trainer.left() == []


async def test_a_run_whose_child_crashed_keeps_its_scratch_space_and_gets_the_niceness_that_is_set(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    async def crash(*_: object, **options: object) -> None:
        given.append(options["niceness"])
        raise ChildCrashed("died 5 times")

    monkeypatch.setattr("services.trainer.handlers.run_child", crash)
    event = example(topics.TOKENIZER_READY)
    await trainer.ask(event)

    assert given == [7]
    assert trainer.left() == [str(event.event_id)]


async def test_a_finished_run_that_says_it_again_removes_what_a_crash_left(trainer: Trainer) -> None:
    event = example(topics.TOKENIZER_READY)
    result = example(topics.MODEL_TRAINED).model_dump_json().encode()
    trainer.store.write_ref(f"runs/trainer/{event.event_id}/result", result)
    (trainer.folder / str(event.event_id)).mkdir(parents=True)

    await trainer.ask(event)

    assert trainer.left() == []


async def test_a_run_does_not_go_on_from_a_bundle_that_is_not_signed(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serving = seal_lookup_bundle(trainer.store, tmp_path / "serving", answers={"a": "civil"}, corpus_digest="0" * 64)
    trainer.store.delete_ref(signature_ref(serving))
    monkeypatch.setattr(ServingBundles, "digest", lambda *_: serving)
    tokenizer = read_manifest(trainer.store, serving).parents.tokenizer_digest
    with caplog.at_level(logging.ERROR):
        await trainer.ask(example(topics.TOKENIZER_READY, tokenizer_digest=tokenizer))

    (lost,) = [record for record in caplog.records if record.message == "dead-lettered"]
    assert f"bundle {serving} is refused" in lost.reason
    assert trainer.left() == []


async def test_what_is_sealed_is_signed_before_it_is_announced(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seal_lookup_bundle(trainer.store, tmp_path / "sealed", answers={"a": "civil"}, corpus_digest="0" * 64)
    trainer.store.delete_ref(signature_ref(sealed))
    record = {"token_budget": 1, "num_tokens": 1, "num_steps": 1, "num_skipped_steps": 0, "loss": 1.0}
    parents = {"corpus_digest": "0" * 64, "tokenizer_digest": "1" * 64, "ancestors": [], "labels": ["civil"]}

    async def seal(*_: object, **__: object) -> dict[str, object]:
        return {"bundle_digest": sealed, "lm_loss": 1.0, "label_loss": 1.0, **record, **parents}

    monkeypatch.setattr("services.trainer.handlers.run_child", seal)
    await trainer.ask(example(topics.TOKENIZER_READY))

    check(trainer.store, sealed, BUNDLE_KEYS)


@pytest.mark.parametrize(("reused", "expected"), [(False, "2" * 64), (True, None)])
async def test_a_new_vocabulary_begins_by_the_domains_newest_word_vectors(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, reused: bool, expected: str | None
) -> None:
    event = example(topics.TOKENIZER_READY, reused=reused)
    for number in (1, 2):
        learnt = VectorsVersion(
            domain=event.domain, event_id=UUID(int=number), number=number, corpus_digest="0" * 64, state="learnt",
            vectors_digest=f"{number}" * 64,
        )  # fmt: skip
        note_done(trainer.store, learnt)
    jobs = []

    async def refuse(_: str, job_file: Path, **__: object) -> None:
        jobs.append(kept_job(job_file, TrainingJob))
        raise RunFailed("told to")

    monkeypatch.setattr("services.trainer.handlers.run_child", refuse)
    await trainer.ask(event)
    assert [job.vectors_digest for job in jobs] == [expected]
