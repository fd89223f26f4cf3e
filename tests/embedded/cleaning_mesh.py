"""A mesh of broker, cache and cleaners, which are given batches: how long they take by the clock, and what corpus they make."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from contracts.corpus import BatchCleaned, BatchReceived
from contracts.topics import BATCH_CLEANED, BATCH_RECEIVED
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import Ledger
from services.cleaner.settings import CorpusRules
from services.cleaner.versions import Versions
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.corpus import CorpusManifest, read_manifest
from shared.embedded.control import environment_of, start_detached
from shared.embedded.layout import Layout
from shared.embedded.plan import CLEANER, daemons_with
from shared.embedded.record import MeshPhase, MeshRecord, read_record
from shared.embedded.run import log_to_stderr, run_mesh
from shared.embedded.settings import EmbeddedSettings
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import NoSink, Telemetry
from shared.topics_admin import create_topics

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 40.0
SETTINGS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "RAYON", "MKL")} | {
    "PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "1000000000",  # (no version is cut meanwhile)
}


def main() -> int:
    settings = EmbeddedSettings()
    log_to_stderr()
    cleaners = [daemon for daemon in daemons_with(cleaners=settings.cleaners) if daemon.daemon == CLEANER]
    run_mesh(settings, make_topics=create_topics, daemons=tuple(cleaners))
    return 0


@contextmanager
def running(layout: Layout, *, cleaners: int) -> Iterator[MeshRecord]:
    """Run a mesh with so many cleaners; yield its record once all of it can serve, and end it with the block."""
    settings = EmbeddedSettings(state_dir=layout.root, cleaners=cleaners)
    supervisor = start_detached(layout, environment_of(settings) | SETTINGS, module=__name__)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not (record := read_record(layout.record)) or record.phase is not MeshPhase.READY:
            assert supervisor.poll() is None, f"it ended: see {layout.root}"
            assert time.monotonic() < deadline, f"not ready: see {layout.root}"
            time.sleep(0.1)
        yield record
    finally:
        supervisor.terminate()
        supervisor.wait(STOPPED_WITHIN_S)


async def seconds_for(record: MeshRecord, events: Sequence[BatchReceived]) -> float:
    """Return the seconds from the first announcement of these batches to the word that the last of them is clean."""
    kafka = KafkaSettings(bootstrap_servers=record.bootstrap_servers)
    telemetry = Telemetry("ingest", TelemetrySettings(enabled=False), NoSink())
    bus = Bus("ingest", kafka, telemetry)
    await bus.connect()
    consumer = AIOKafkaConsumer(
        BATCH_CLEANED.name,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        start = time.perf_counter()
        for event in events:
            await bus.publish(BATCH_RECEIVED, event)
        await _all_clean(consumer, events)
        return time.perf_counter() - start
    finally:
        await consumer.stop()
        await bus.broker.stop()
        telemetry.close()


async def _all_clean(consumer: AIOKafkaConsumer, events: Iterable[BatchReceived]) -> None:
    waiting: set[UUID] = {event.batch_id for event in events}
    while waiting:
        record = await consumer.getone()
        waiting.discard(BatchCleaned.model_validate_json(record.value).batch_id)


def corpus_of(layout: Layout, domain: str) -> CorpusManifest:
    """Return the version that a mesh which has ended would cut of all that it cleaned."""
    store, folder, now = ArtifactStore(layout.artifacts_url), layout.of(CLEANER), datetime.now(UTC)
    with Ledger(folder / "ledger.sqlite") as ledger:
        versions = Versions(
            store=store, ledger=ledger, indexes=Indexes(store, ledger, folder / "near"), rules=CorpusRules(),
            scratch=folder, started_at=now,
        )  # fmt: skip
        version = versions.cut(domain, None, now=now, traceparent=None)
        return read_manifest(store, version.event.corpus_digest)


if __name__ == "__main__":
    sys.exit(main())
