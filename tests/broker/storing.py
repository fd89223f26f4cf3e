"""The storing part of a monitor in a process that can be killed: `python -m tests.broker.storing STORE PREFIX BOOTSTRAP SUFFIX`.

STORE is the store's URL, PREFIX that of its names. Beside it lie helpers that make telemetry of a known number.
"""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from contracts import topics
from services.monitor.adapters import open_store
from services.monitor.keeping import Keeper
from services.monitor.settings import StoreSettings
from shared.bus import Bus
from shared.clock import SystemClock
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink

ROOT = Path(__file__).parents[2]
ITEMS_PER_MESSAGE = 500
START_NS = 1_795_000_000_000_000_000


def span_message(number: int) -> bytes:
    """Return the `number`-th message of spans; every span of every message has an id of its own."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "trainer"
    scope = group.scope_spans.add()
    for item in range(ITEMS_PER_MESSAGE):
        span_id = number * ITEMS_PER_MESSAGE + item + 1
        span = scope.spans.add(
            trace_id=span_id.to_bytes(16, "big"), span_id=span_id.to_bytes(8, "big"), name="process batch-received-v1",
            start_time_unix_nano=START_NS + span_id, end_time_unix_nano=START_NS + span_id + 1000,
        )  # fmt: skip
        span.attributes.add(key="plumbline.domain").value.string_value = "law"
    return request.SerializeToString()


def log_message(number: int) -> bytes:
    """Return the `number`-th message of log records, each with its uid."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = "trainer"
    scope = group.scope_logs.add()
    for item in range(ITEMS_PER_MESSAGE):
        record = scope.log_records.add(time_unix_nano=START_NS + item, severity_text="INFO")
        record.body.string_value = f"batch {number} cleaned in {item} ms"
        record.attributes.add(key="log.record.uid").value.string_value = f"{number}-{item}"
    return request.SerializeToString()


async def produce_telemetry(kafka: KafkaSettings, *, num_of_spans: int, num_of_logs: int, over_s: float = 0) -> None:
    """Put so many messages of spans and of logs on their topics, spread over so many seconds."""
    pause_s = over_s / (num_of_spans + num_of_logs)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type="gzip", acks="all")
    await producer.start()
    try:
        for number in range(num_of_spans):
            await producer.send(topics.OTLP_SPANS.name, span_message(number), key=f"service-{number % 8}".encode())
            await asyncio.sleep(pause_s)
        for number in range(num_of_logs):
            await producer.send(topics.OTLP_LOGS.name, log_message(number), key=f"service-{number % 8}".encode())
            await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


@contextmanager
def storing_process(
    store: StoreSettings, kafka: KafkaSettings, *, stderr: int | None = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Store in a process of its own until the block ends."""
    argv = [sys.executable, "-m", __name__, store.url, store.index_prefix, kafka.bootstrap_servers, kafka.group_suffix]
    with subprocess.Popen(argv, cwd=ROOT, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a SQLite store locked for everyone else."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def num_stored(path: Path, tables: Sequence[str] = ("spans", "log_lines")) -> int:
    """Return how many rows lie in tables of a SQLite store."""
    with closing(sqlite3.connect(path, timeout=10)) as db:
        return sum(int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables)  # noqa: S608


def sqlite(path: Path) -> StoreSettings:
    """Name a SQLite store."""
    return StoreSettings(url=f"sqlite://{path}")


async def main(url: str, prefix: str, bootstrap_servers: str, suffix: str) -> None:
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, group_suffix=suffix)
    bus = Bus("monitor", kafka, Telemetry("monitor", TelemetrySettings(), KeptSink()))
    store = open_store(StoreSettings(url=url, index_prefix=prefix), Path(), SystemClock())
    bus.keep(Keeper(store, bus.dead_letter).keep)
    await bus.connect()
    storing = asyncio.create_task(bus.keep_on())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, storing.cancel)
    await asyncio.wait([storing])
    await bus.broker.stop()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
