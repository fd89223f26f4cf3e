"""Telemetry on its way: what a daemon records can be read from the OTLP topics, and an outage of the broker loses nothing."""

import asyncio
import gc
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.record.default_records import DefaultRecordBatch
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from contracts import topics
from contracts.telemetry import ANSWER_LATENCY
from shared.forwarder import SpooledSink
from shared.settings import KafkaSettings, TelemetrySettings
from shared.spool import Spool
from shared.telemetry import OtlpHandler, Telemetry
from shared.topics_admin import create_topics
from tests.broker.harness import PATIENCE_S, records, until
from tests.conftest import running_broker

pytestmark = pytest.mark.broker
ROOT = Path(__file__).parents[2]
FAST = TelemetrySettings(flush_interval_s=0.05, metric_interval_s=0.1)
ANSWERED = {
    "plumbline.domain": "law", "plumbline.bundle.digest": "0" * 64, "plumbline.answer.task": "classify",
    "plumbline.answer.outcome": "ok",
}  # fmt: skip


@pytest.fixture
def telemetry(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Telemetry]:
    made = spooled(kafka, tmp_path)
    yield made
    made.close()


def spooled(kafka: KafkaSettings, folder: Path) -> Telemetry:
    """Return running telemetry of a cleaner that goes through a spool."""
    spool = Spool(folder / "spool.db", max_bytes=64 << 20)
    made = Telemetry("cleaner", FAST, SpooledSink(spool, kafka, "cleaner"), dropped_later=spool.dropped)
    made.start()
    return made


async def first(kafka: KafkaSettings, topic: topics.Topic) -> ConsumerRecord:
    (record,) = await records(kafka, topic.name, 1)
    assert record.key == b"cleaner"
    return record


async def test_spans_metrics_and_logs_are_read_from_their_topics(kafka: KafkaSettings, telemetry: Telemetry) -> None:
    logger = logging.getLogger("tests.telemetry")
    handler = OtlpHandler(telemetry._logs)
    logger.addHandler(handler)
    with telemetry.tracer.start_as_current_span("work"):
        logger.warning("moved", extra={"topic": "a"})
        telemetry.record(ANSWER_LATENCY, 301.0, ANSWERED)
    logger.removeHandler(handler)

    traces = TracesData.FromString((await first(kafka, topics.OTLP_SPANS)).value)
    logs = LogsData.FromString((await first(kafka, topics.OTLP_LOGS)).value)
    metrics = MetricsData.FromString((await first(kafka, topics.OTLP_METRICS)).value)

    (span,) = traces.resource_spans[0].scope_spans[0].spans
    (record,) = logs.resource_logs[0].scope_logs[0].log_records
    (metric,) = metrics.resource_metrics[0].scope_metrics[0].metrics
    assert span.name == "work"
    assert record.trace_id == span.trace_id
    assert metric.name == ANSWER_LATENCY.name
    assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    assert 300.0 in metric.histogram.data_points[0].explicit_bounds
    for resource in (traces.resource_spans[0], logs.resource_logs[0], metrics.resource_metrics[0]):
        names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        assert names["service.name"] == "cleaner"


async def test_telemetry_is_compressed_on_the_wire(
    kafka: KafkaSettings, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[AIOKafkaProducer] = []
    connected = SpooledSink._connected

    async def noted(sink: SpooledSink) -> AIOKafkaProducer:
        made.append(await connected(sink))
        return made[-1]

    monkeypatch.setattr(SpooledSink, "_connected", noted)
    telemetry.tracer.start_span("work").end()
    await first(kafka, topics.OTLP_SPANS)
    assert made[0]._message_accumulator._compression_type == DefaultRecordBatch.CODEC_GZIP


@pytest.mark.tansu
async def test_what_happened_while_the_broker_was_away_arrives_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")
    folder = tmp_path / "daemon"
    with running_broker(tmp_path) as bootstrap_servers:
        await asyncio.to_thread(create_topics, bootstrap_servers)
        kafka = KafkaSettings(bootstrap_servers=bootstrap_servers)
        telemetry = spooled(kafka, folder)
        telemetry.tracer.start_span("before").end()
        assert names_in(await first(kafka, topics.OTLP_SPANS)) == ["before"]
        await until(lambda: num_spooled(folder) == 0)
    try:
        for number in range(1_200):
            telemetry.tracer.start_span(f"while away {number}").end()
        await until(lambda: num_spooled(folder) >= 3)
        # A stop in the middle of the outage: what waits stays on disk, for the next start.
        await asyncio.to_thread(telemetry.close)
        telemetry = spooled(kafka, folder)
        telemetry.tracer.start_span("later").end()
        await until(lambda: num_spooled(folder) >= 4)
        # The broker holds its contents in memory: it comes back empty, on the same port.
        with running_broker(tmp_path, port=int(bootstrap_servers.rpartition(":")[2])):
            await asyncio.to_thread(create_topics, bootstrap_servers)
            await until(lambda: num_spooled(folder) == 0, within_s=30)
            telemetry.tracer.start_span("last").end()
            found: list[str] = []
            async for record in records_of(kafka, topics.OTLP_SPANS):
                found += names_in(record)
                if found[-1] == "last":
                    break
    finally:
        await asyncio.to_thread(telemetry.close)

    assert found == [*(f"while away {number}" for number in range(1_200)), "later", "last"]
    assert telemetry._buffer.dropped == telemetry._dropped_later == {"span": 0, "log": 0, "metric": 0}
    gc.collect()


async def test_a_killed_daemon_loses_no_span_that_is_older_than_the_flush(kafka: KafkaSettings, tmp_path: Path) -> None:
    # The daemon's broker does not answer, so all that it observed lies in its spool when it is killed.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.broker.observed", str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    num_made = int(await asyncio.wait_for(process.stdout.readline(), 30))
    process.kill()
    await process.wait()

    telemetry = spooled(kafka, tmp_path)
    telemetry.tracer.start_span("after the restart").end()
    found: list[str] = []
    try:
        async for record in records_of(kafka, topics.OTLP_SPANS):
            found += names_in(record)
            if found[-1] == "after the restart":
                break
    finally:
        await asyncio.to_thread(telemetry.close)
    assert found[:-1] == [f"span {number}" for number in range(len(found) - 1)]
    assert len(found) - 1 >= num_made


def num_spooled(folder: Path) -> int:
    """Return how many messages wait in a spool that another thread works on."""
    with closing(sqlite3.connect(folder / "spool.db")) as db:
        return int(db.execute("SELECT count(*) FROM messages").fetchone()[0])


async def records_of(kafka: KafkaSettings, topic: topics.Topic) -> AsyncIterator[ConsumerRecord]:
    """Yield a topic's records, as they come."""
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while True:
            yield await asyncio.wait_for(consumer.getone(), PATIENCE_S)
    finally:
        await consumer.stop()


def names_in(record: ConsumerRecord) -> list[str]:
    """Return the names of the spans in a record."""
    resources = TracesData.FromString(record.value).resource_spans
    return [span.name for resource in resources for scope in resource.scope_spans for span in scope.spans]
