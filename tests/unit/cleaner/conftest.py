"""A cleaner on a broker in memory, with everything that it says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker

from contracts.corpus import BatchReceived, Document
from contracts.envelope import Event
from contracts.topics import BATCH_CLEANED, BATCH_RECEIVED, CORPUS_AMENDED, CORPUS_VERSIONED, Topic
from services.cleaner import handlers
from services.cleaner.batches import BatchCleaning
from services.cleaner.core.cleaning import DomainLanguage
from services.cleaner.cutter import Cutter
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import Ledger
from services.cleaner.settings import CleaningRules, CorpusRules
from services.cleaner.versions import Versions
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import FakeClock
from shared.corpus import write_shard
from shared.lm.config import ModelConfig
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.keys import command_guard

START = datetime(2025, 6, 1, tzinfo=UTC)


class NoSink:
    """Takes telemetry and forgets it."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        return bool(messages) or True

    def close(self) -> None:
        pass


def documents(*texts: str, prefix: str = "d") -> list[Document]:
    return [Document(document_id=f"{prefix}{number}", text=text) for number, text in enumerate(texts)]


@dataclass
class Cleaner:
    """The daemon's parts, as `app.wire` puts them together, and what was said: (topic, event, traceparent).

    `others`: domains that another member of the group has.
    """

    store: ArtifactStore
    ledger: Ledger
    clock: FakeClock
    bus: Bus
    user: Bus
    cutter: Cutter
    others: set[str]
    cleaning: BatchCleaning
    said: list[tuple[Topic, Event, str]] = field(default_factory=list)

    def of(self, topic: Topic) -> list[Event]:
        return [event for where, event, _ in self.said if where is topic]

    def batch(self, name: str, batch: Sequence[Document]) -> BatchReceived:
        """Store a batch as ingest does, and return its announcement."""
        batch_id = uuid5(UUID(int=0), name)
        return BatchReceived(
            event_id=uuid5(batch_id, "received"),
            causation_id=None,
            occurred_at=self.clock.now(),
            domain="law",
            batch_id=batch_id,
            raw_digest=write_shard(self.store, batch),
            num_documents=len(batch),
            num_bytes=0,
            source="http",
        )

    async def receive(self, name: str, *texts: str) -> BatchReceived:
        event = self.batch(name, documents(*texts, prefix=name))
        await self.user.publish(BATCH_RECEIVED, event)
        return event

    async def later(self, seconds: float) -> None:
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))
        await self.cutter.tick()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    observed = Telemetry("cleaner", TelemetrySettings(metric_interval_s=3600), NoSink())
    yield observed
    observed.close()


@asynccontextmanager
async def running(
    folder: Path,
    telemetry: Telemetry,
    clock: FakeClock,
    rules: CorpusRules,
    cleaning_rules: CleaningRules = CleaningRules(),  # noqa: B008
    languages: Mapping[str, DomainLanguage] | None = None,
) -> AsyncIterator[Cleaner]:
    store = ArtifactStore((folder / "artifacts").as_uri())
    bus, user = (Bus(name, KafkaSettings(), telemetry, guard=command_guard()) for name in ("cleaner", "ingest"))
    lock = asyncio.Lock()
    with Ledger(folder / "ledger.sqlite") as ledger:
        indexes = Indexes(store, ledger, folder / "near")
        cleaning = BatchCleaning(
            store=store,
            ledger=ledger,
            indexes=indexes,
            rules=rules,
            cleaning=cleaning_rules,
            languages=languages or {},
        )
        versions = Versions(
            store=store, ledger=ledger, indexes=indexes, rules=rules, scratch=folder, started_at=clock.now()
        )
        others: set[str] = set()

        def owns(domain: str) -> bool:
            return domain not in others

        cutter = Cutter(bus, telemetry, versions=versions, lock=lock, clock=clock, owns=owns)
        handlers.register(bus, telemetry, cleaning=cleaning, versions=versions, lock=lock, clock=clock, owns=owns)
        cleaner = Cleaner(store, ledger, clock, bus, user, cutter, others, cleaning)
        sink = KafkaBroker()
        for topic in (BATCH_CLEANED, CORPUS_AMENDED, CORPUS_VERSIONED):
            listen(sink, topic, cleaner.said)
        async with TestKafkaBroker(bus.broker, user.broker, sink):
            yield cleaner


def listen(sink: KafkaBroker, topic: Topic, said: list[tuple[Topic, Event, str]]) -> None:
    @sink.subscriber(topic.name, group_id="test")
    async def hear(message: KafkaMessage) -> None:
        event = topic.event.model_validate_json(message.body)
        said.append((topic, event, str(message.headers.get("traceparent"))))


@pytest.fixture
async def cleaner(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Cleaner]:
    rules = CorpusRules(min_new_documents=4, quiet_s=5)
    limits = CleaningRules(max_characters=100)
    async with running(tmp_path, telemetry, FakeClock(START), rules, limits) as cleaner:
        yield cleaner


@pytest.fixture
def bundle_of() -> Callable[[ArtifactStore, str], str]:
    """Store what the cleaner reads of a bundle: a manifest that names its corpus version."""

    def store_manifest(store: ArtifactStore, corpus_digest: str) -> str:
        parents = bundle.Parents(
            corpus_digest=corpus_digest, tokenizer_digest="0" * 64, parent_bundle_digest=None, ancestors=(), code="test"
        )
        model = ModelConfig(vocab_size=700, n_layer=1, n_head=1, n_kv_head=1, d_model=8, d_ff=8, block_size=8)
        record = bundle.TrainingRecord(token_budget=1, num_tokens=1, num_steps=1, num_skipped_steps=0, seed=0, loss=1.0)
        manifest = bundle.Manifest(domain="law", files={}, parents=parents, labels=(), model=model, training=record)
        return store.put_bytes(bundle.canonical(manifest))

    return store_manifest
