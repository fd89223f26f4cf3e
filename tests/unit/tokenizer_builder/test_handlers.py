import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from tokenizers import Tokenizer

from contracts.corpus import CorpusVersioned, Document
from contracts.release import Cause, ReleaseChanged, ReleaseState
from contracts.topics import CORPUS_VERSIONED, RELEASE_CHANGED, TOKENIZER_READY
from contracts.training import TokenizerReady
from services.tokenizer_builder.app import wire
from services.tokenizer_builder.settings import Settings, TokenizerRules
from shared import bundle, vector_versions
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import FakeClock
from shared.corpus import is_held_out, write_manifest
from shared.lm.config import ModelConfig
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.corpora import manifest_of
from tests.unit.tokenizer_builder.statutes import ARTICLES, DRUG_LEAFLET

START = datetime(2025, 6, 1, tzinfo=UTC)
GROUPS = [f"law {number}" for number in range(100)]
TRAINING_GROUP = next(group for group in GROUPS if not is_held_out(group))
HELD_OUT_GROUP = next(group for group in GROUPS if is_held_out(group))


class NoSink:
    """Takes telemetry and forgets it."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass
class Builder:
    """The daemon on a broker in memory, and what it said."""

    store: ArtifactStore
    user: Bus
    folder: Path
    said: list[TokenizerReady] = field(default_factory=list)

    def version(self, *batches: Sequence[Document], number: int = 1) -> CorpusVersioned:
        """Store a corpus version whose last batch is new, and return its announcement."""
        manifest = manifest_of(self.store, *batches, number=number)
        return CorpusVersioned(
            event_id=uuid5(UUID(int=0), str(number)),
            causation_id=None,
            occurred_at=START,
            domain="law",
            corpus_digest=write_manifest(self.store, manifest),
            parent_corpus_digest=None,
            number=number,
            num_documents=manifest.num_documents,
            num_new_documents=len(batches[-1]),
            batch_ids=manifest.new_batch_ids,
            training_request_id=None,
        )

    def bundle(self, ready: TokenizerReady) -> str:
        """Store as much of a bundle as is read here: its manifest."""
        parents = bundle.Parents(
            corpus_digest=ready.corpus_digest,
            tokenizer_digest=ready.tokenizer_digest,
            parent_bundle_digest=None,
            ancestors=(),
            code="test",
        )
        model = ModelConfig(vocab_size=1200, n_layer=1, n_head=1, n_kv_head=1, d_model=8, d_ff=8, block_size=8)
        record = bundle.TrainingRecord(token_budget=1, num_tokens=1, num_steps=1, num_skipped_steps=0, seed=0, loss=1.0)
        manifest = bundle.Manifest(domain="law", files={}, parents=parents, labels=(), model=model, training=record)
        return self.store.put_bytes(bundle.canonical(manifest))


def documents(texts: Sequence[str], group: str = TRAINING_GROUP) -> list[Document]:
    return [Document(document_id=f"{group}/{at}", text=text, group=group) for at, text in enumerate(texts)]


def serves(digest: str | None, revision: int = 1) -> ReleaseChanged:
    return ReleaseChanged(
        event_id=UUID(int=revision),
        causation_id=None,
        occurred_at=START,
        domain="law",
        cause=Cause.LOADED,
        reason="",
        bundle_digest=digest,
        phase=None,
        state=ReleaseState(revision=revision, serving_digest=digest),
    )


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    observed = Telemetry("tokenizer-builder", TelemetrySettings(metric_interval_s=3600), NoSink())
    yield observed
    observed.close()


@pytest.fixture
async def builder(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Builder]:
    url = (tmp_path / "artifacts").as_uri()
    settings = Settings(
        state_dir=tmp_path / "state",
        artifacts=ArtifactSettings(url=url),
        tokenizer=TokenizerRules(vocab_size=1200),
    )
    bus, user = (Bus(name, KafkaSettings(), telemetry) for name in ("tokenizer-builder", "cleaner"))
    wire(settings, bus, FakeClock(START))
    builder = Builder(ArtifactStore(url), user, tmp_path / "state" / "runs")
    sink = KafkaBroker()

    @sink.subscriber(TOKENIZER_READY.name, group_id="test")
    async def hear(message: KafkaMessage) -> None:
        builder.said.append(TokenizerReady.model_validate_json(message.body))

    async with TestKafkaBroker(bus.broker, user.broker, sink):
        yield builder


async def test_a_first_version_gets_a_tokenizer_from_its_training_documents_only(builder: Builder):
    leaflets = documents([DRUG_LEAFLET], HELD_OUT_GROUP)
    event = builder.version([*documents(ARTICLES), *leaflets])
    await builder.user.publish(CORPUS_VERSIONED, event)
    (ready,) = builder.said
    assert (ready.causation_id, ready.corpus_digest, ready.reused) == (event.event_id, event.corpus_digest, False)
    tokenizer = Tokenizer.from_str(builder.store.read_bytes(ready.tokenizer_digest).decode())
    assert tokenizer.get_vocab_size() == ready.vocab_size
    assert tokenizer.token_to_id("专") is not None
    assert tokenizer.token_to_id("莫") is None
    assert 0.9 < ready.coverage < 1
    assert 0 < ready.tokens_per_char < 1
    assert list(builder.folder.iterdir()) == []


async def test_a_version_whose_tokenizer_is_out_waits_for_its_word_vectors(builder: Builder):
    event = builder.version(documents(ARTICLES))
    await builder.user.publish(CORPUS_VERSIONED, event)
    (waiting,) = vector_versions.versions_of(builder.store, "law")
    assert (waiting.state, waiting.number, waiting.corpus_digest) == ("waiting", 1, event.corpus_digest)
    assert waiting.event_id == event.event_id


async def test_a_finished_run_says_the_same_again_without_running(builder: Builder):
    event = builder.version(documents(ARTICLES))
    await builder.user.publish(CORPUS_VERSIONED, event)
    ref = f"runs/tokenizer-builder/{event.event_id}/result"
    builder.store.write_ref(ref, builder.said[0].model_copy(update={"coverage": 0.5}).model_dump_json().encode())
    await builder.user.publish(CORPUS_VERSIONED, event)
    assert [ready.coverage for ready in builder.said] == [1.0, 0.5]
    assert builder.said[0].event_id == builder.said[1].event_id


async def test_a_finished_run_that_says_it_again_removes_what_a_crash_left(builder: Builder):
    event = builder.version(documents(ARTICLES))
    await builder.user.publish(CORPUS_VERSIONED, event)
    (builder.folder / str(event.event_id)).mkdir()
    await builder.user.publish(CORPUS_VERSIONED, event)
    assert len(builder.said) == 2
    assert list(builder.folder.iterdir()) == []


async def test_new_text_is_what_the_serving_bundle_has_not_seen_however_many_versions_ago_it_came(builder: Builder):
    old, leaflets, more = documents(ARTICLES), documents([DRUG_LEAFLET] * 5), documents(ARTICLES[:1], "again")
    await builder.user.publish(CORPUS_VERSIONED, builder.version(old))
    await builder.user.publish(RELEASE_CHANGED, serves(builder.bundle(builder.said[0])))
    # The second version led to no release, so its leaflets are still new to what serves.
    await builder.user.publish(CORPUS_VERSIONED, builder.version(old, leaflets, more, number=3))
    assert not builder.said[1].reused


async def test_the_serving_tokenizer_is_reused_while_it_fits_and_replaced_when_it_does_not(builder: Builder):
    old = documents(ARTICLES[:-1])
    await builder.user.publish(CORPUS_VERSIONED, builder.version(documents(ARTICLES)))
    await builder.user.publish(RELEASE_CHANGED, serves(builder.bundle(builder.said[0])))
    await builder.user.publish(CORPUS_VERSIONED, builder.version(old, documents(ARTICLES[-1:]), number=2))
    await builder.user.publish(CORPUS_VERSIONED, builder.version(old, documents([DRUG_LEAFLET] * 5), number=3))
    first, second, third = builder.said
    assert second.reused
    assert second.tokenizer_digest == first.tokenizer_digest
    assert not third.reused
    assert third.tokenizer_digest != first.tokenizer_digest


async def test_what_serves_is_known_from_the_snapshot_before_the_first_event(builder: Builder):
    await builder.user.publish(CORPUS_VERSIONED, builder.version(documents(ARTICLES)))
    state = ReleaseState(revision=3, serving_digest=builder.bundle(builder.said[0]))
    builder.store.write_ref("releases/law.json", f'{{"state": {state.model_dump_json()}}}'.encode())
    again = builder.version(documents(ARTICLES), documents(ARTICLES[:1], "again"), number=2)
    await builder.user.publish(CORPUS_VERSIONED, again)
    assert builder.said[1].reused
    await builder.user.publish(RELEASE_CHANGED, serves(None, revision=4))
    await builder.user.publish(RELEASE_CHANGED, serves(state.serving_digest, revision=3))
    await builder.user.publish(CORPUS_VERSIONED, again.model_copy(update={"event_id": UUID(int=99)}))
    assert not builder.said[2].reused


@pytest.mark.parametrize("case", ["corpus gone", "held out"])
async def test_what_cannot_be_done_is_dead_lettered_with_the_reason(builder: Builder, caplog, case):
    event = builder.version(documents(ARTICLES, HELD_OUT_GROUP))
    if case == "corpus gone":
        event = event.model_copy(update={"corpus_digest": "0" * 64})
    with caplog.at_level(logging.ERROR):
        await builder.user.publish(CORPUS_VERSIONED, event)
    (record,) = [record for record in caplog.records if record.message == "dead-lettered"]
    assert ("no artifact has the digest" if case == "corpus gone" else "no training document") in record.reason
    assert builder.said == []
