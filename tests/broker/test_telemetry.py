"""Telemetry on its way: what a daemon records can be read from the OTLP topics, and an outage of the broker loses nothing."""

import asyncio
import gc
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from aiokafka.record.default_records import DefaultRecordBatch
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from contracts import topics
from contracts.telemetry import ANSWER_LATENCY
from shared.otlp import KafkaOtlpSink, OtlpSink
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import OtlpHandler, Telemetry
from shared.topics_admin import create_topics
from tests.broker.harness import records, until
from tests.conftest import running_broker

pytestmark = pytest.mark.broker
FAST = TelemetrySettings(flush_interval_s=0.05, metric_interval_s=0.1)
ANSWERED = {
    "plumbline.domain": "law", "plumbline.bundle.digest": "0" * 64, "plumbline.answer.task": "classify",
    "plumbline.answer.outcome": "ok",
}  # fmt: skip


@pytest.fixture
def telemetry(kafka: KafkaSettings) -> Iterator[Telemetry]:
    made = Telemetry("cleaner", FAST, KafkaOtlpSink(kafka, "cleaner"))
    made.start()
    yield made
    made.close()


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


async def test_telemetry_is_compressed_on_the_wire(kafka: KafkaSettings, telemetry: Telemetry) -> None:
    telemetry.tracer.start_span("work").end()
    await first(kafka, topics.OTLP_SPANS)
    producer = telemetry._buffer._sink._producer
    assert producer._message_accumulator._compression_type == DefaultRecordBatch.CODEC_GZIP


async def test_what_happened_while_the_broker_was_away_arrives_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")
    with running_broker(tmp_path) as bootstrap_servers:
        await asyncio.to_thread(create_topics, bootstrap_servers)
        kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, idempotent_producer=False)
        telemetry = Telemetry("cleaner", FAST, KafkaOtlpSink(kafka, "cleaner"))
        telemetry.start()
        telemetry.tracer.start_span("before").end()
        assert names_in(await first(kafka, topics.OTLP_SPANS)) == ["before"]
    try:
        telemetry.tracer.start_span("while away").end()
        attempts = CountedSink(telemetry._buffer._sink)
        telemetry._buffer._sink = attempts
        await until(lambda: attempts.num_failed >= 2, within_s=45)
        telemetry.tracer.start_span("later").end()
        # The broker holds its contents in memory: it comes back empty, on the same port.
        with running_broker(tmp_path, port=int(bootstrap_servers.rpartition(":")[2])):
            await asyncio.to_thread(create_topics, bootstrap_servers)
            await until(lambda: not telemetry._buffer._unsent and not telemetry._buffer._spans, within_s=30)
            telemetry.tracer.start_span("last").end()
            found = await records(kafka, topics.OTLP_SPANS.name, 3)
            # Each once: what was tried again and again must not be counted again and again.
            assert [name for record in found for name in names_in(record)] == ["while away", "later", "last"]
    finally:
        await asyncio.to_thread(telemetry.close)

    assert telemetry._buffer.dropped == {"span": 0, "log": 0, "metric": 0}
    gc.collect()


class CountedSink:
    """A sink that counts how often another one could not deliver."""

    def __init__(self, sink: OtlpSink) -> None:
        self._sink = sink
        self.num_failed = 0

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        done = self._sink.send(messages)
        self.num_failed += not done
        return done

    def close(self) -> None:
        self._sink.close()


def names_in(record: ConsumerRecord) -> list[str]:
    """Return the names of the spans in a record."""
    resources = TracesData.FromString(record.value).resource_spans
    return [span.name for resource in resources for scope in resource.scope_spans for span in scope.spans]
