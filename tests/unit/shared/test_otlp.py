"""The bounded buffer between a daemon and the OTLP topics: what it drops it counts, what is refused it keeps."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from contracts.telemetry import ANSWER_LATENCY, DOCUMENT_CLEANED, LATENCY_BOUNDS_MS, RELEASE_WEIGHT, TELEMETRY_DROPPED
from contracts.topics import MAX_MESSAGE_BYTES, OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from shared.otlp import OtlpBuffer
from shared.settings import TelemetrySettings
from shared.telemetry import OtlpHandler, Telemetry
from tests.broker.harness import KeptSink

ANSWERED = {
    "plumbline.domain": "law", "plumbline.bundle.digest": "0" * 64, "plumbline.answer.task": "classify",
    "plumbline.answer.outcome": "ok",
}  # fmt: skip


@pytest.fixture
def sink() -> KeptSink:
    return KeptSink()


@pytest.fixture
def telemetry(sink: KeptSink) -> Iterator[Telemetry]:
    # Never started: the tests empty the buffer themselves, and collect metrics when they want to.
    made = Telemetry("cleaner", TelemetrySettings(buffer_items=60, metric_interval_s=3600), sink)
    yield made
    made.close()


@pytest.fixture
def logger(telemetry: Telemetry) -> Iterator[logging.Logger]:
    made = logging.getLogger("tests.otlp")
    made.handlers, made.propagate = [OtlpHandler(telemetry._logs)], False
    yield made
    made.handlers, made.propagate = [], True


def emit_spans(telemetry: Telemetry, *names: str) -> None:
    for name in names:
        telemetry.tracer.start_span(name).end()


def span_names(sink: KeptSink) -> list[str]:
    return [span.name for span in spans(sink)]


def spans(sink: KeptSink) -> list[Span]:
    return [
        span
        for payload in sink.payloads(OTLP_SPANS)
        for resource in TracesData.FromString(payload).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def metrics(sink: KeptSink) -> list[Metric]:
    return [
        metric
        for payload in sink.payloads(OTLP_METRICS)
        for resource in MetricsData.FromString(payload).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def attributes(pairs: list[KeyValue]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}


def test_a_full_buffer_drops_the_oldest_and_counts_them(telemetry: Telemetry, sink: KeptSink) -> None:
    emit_spans(telemetry, *(f"span-{number}" for number in range(65)))
    telemetry._buffer.flush()

    assert span_names(sink) == [f"span-{number}" for number in range(5, 65)]
    assert telemetry._buffer.dropped == {"span": 5, "log": 0, "metric": 0}


def test_metric_exports_are_bounded_too(sink: KeptSink) -> None:
    buffer = OtlpBuffer(TelemetrySettings(buffer_items=60), sink)
    for export in (b"1", b"2", b"3"):
        buffer.add_metrics(export)
    buffer.flush()

    assert sink.payloads(OTLP_METRICS) == [b"2", b"3"]
    assert buffer.dropped["metric"] == 1


def test_what_is_dropped_becomes_a_metric(telemetry: Telemetry, sink: KeptSink) -> None:
    emit_spans(telemetry, *(f"span-{number}" for number in range(63)))
    telemetry._metrics.force_flush()
    telemetry._buffer.flush()

    (dropped,) = [metric for metric in metrics(sink) if metric.name == TELEMETRY_DROPPED.name]
    (point,) = dropped.sum.data_points
    assert point.as_int == 3
    assert attributes(point.attributes) == {"plumbline.signal": "span"}


def test_what_the_sink_refuses_is_sent_again_in_order(telemetry: Telemetry, sink: KeptSink) -> None:
    sink.refusing = True
    emit_spans(telemetry, "first")
    assert not telemetry._buffer.flush()
    emit_spans(telemetry, "second")
    assert not telemetry._buffer.flush()
    assert sink.messages == []

    sink.refusing = False
    assert telemetry._buffer.flush()
    assert telemetry._buffer.flush()
    assert span_names(sink) == ["first", "second"]


def test_closing_sends_everything_that_is_left(sink: KeptSink) -> None:
    telemetry = Telemetry("cleaner", TelemetrySettings(flush_interval_s=60), sink)
    telemetry.start()
    emit_spans(telemetry, *(f"span-{number}" for number in range(1_300)))
    telemetry.close()

    assert len(span_names(sink)) == 1_300


def test_no_message_is_larger_than_the_broker_takes(
    telemetry: Telemetry, sink: KeptSink, logger: logging.Logger
) -> None:
    # An error storm: 60 records of 40 kB are 2.4 MB, which a broker would refuse for ever.
    for number in range(60):
        logger.error("failed %s", number, extra={"reason": "x" * 40_000})
    telemetry._buffer.flush()

    payloads = sink.payloads(OTLP_LOGS)
    assert len(payloads) > 1
    assert max(map(len, payloads)) < MAX_MESSAGE_BYTES
    bodies = [record.body.string_value for record in logs(sink)]
    assert bodies == [f"failed {number}" for number in range(60)]


def test_a_record_that_no_broker_would_take_is_dropped_and_counted(
    telemetry: Telemetry, sink: KeptSink, logger: logging.Logger
) -> None:
    logger.error("small")
    logger.error("large", extra={"reason": "x" * 2 * MAX_MESSAGE_BYTES})
    logger.error("small again")
    telemetry._buffer.flush()

    assert [record.body.string_value for record in logs(sink)] == ["small", "small again"]
    assert telemetry._buffer.dropped["log"] == 1


def logs(sink: KeptSink):
    return [
        record
        for payload in sink.payloads(OTLP_LOGS)
        for resource in LogsData.FromString(payload).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_a_histogram_is_delta_with_a_boundary_at_the_limit(telemetry: Telemetry, sink: KeptSink) -> None:
    for latency_ms in (299.9, 300.0, 300.1):
        telemetry.record(ANSWER_LATENCY, latency_ms, ANSWERED)
    telemetry._metrics.force_flush()
    telemetry.record(ANSWER_LATENCY, 20.0, ANSWERED)
    telemetry._metrics.force_flush()
    telemetry._buffer.flush()

    first, second = [metric for metric in metrics(sink) if metric.name == ANSWER_LATENCY.name]
    assert first.unit == "ms"
    assert first.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    (point,) = first.histogram.data_points
    assert tuple(point.explicit_bounds) == LATENCY_BOUNDS_MS
    assert attributes(point.attributes) == ANSWERED
    limit = list(point.explicit_bounds).index(300.0)
    assert sum(point.bucket_counts[: limit + 1]) == 2
    assert sum(point.bucket_counts[limit + 1 :]) == 1
    assert second.histogram.data_points[0].count == 1


def test_counters_are_delta_and_gauges_hold_the_last_value(telemetry: Telemetry, sink: KeptSink) -> None:
    counted = {"plumbline.domain": "law", "plumbline.outcome": "new"}
    weighed = {"plumbline.domain": "law", "plumbline.bundle.digest": "0" * 64}
    for amount in (3, 4):
        telemetry.add(DOCUMENT_CLEANED, amount, counted)
        telemetry.record(RELEASE_WEIGHT, 10 * amount, weighed)
        telemetry._metrics.force_flush()
    telemetry._buffer.flush()

    counters = [metric.sum for metric in metrics(sink) if metric.name == DOCUMENT_CLEANED.name]
    assert [counter.data_points[0].as_int for counter in counters] == [3, 4]
    delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    assert {counter.aggregation_temporality for counter in counters} == {delta}
    gauges = [metric.gauge.data_points[0].as_int for metric in metrics(sink) if metric.name == RELEASE_WEIGHT.name]
    assert gauges == [30, 40]


def test_nothing_happened_exports_nothing(telemetry: Telemetry, sink: KeptSink) -> None:
    telemetry._metrics.force_flush()
    assert telemetry._buffer.flush()
    assert sink.messages == []


def test_a_log_record_carries_its_trace_its_fields_and_an_id_of_its_own(
    telemetry: Telemetry, sink: KeptSink, logger: logging.Logger
) -> None:
    with telemetry.tracer.start_as_current_span("work") as span:
        logger.warning("moved %s", "x", extra={"topic": "a"})
        logger.warning("moved %s", "x", extra={"topic": "a"})
    telemetry._buffer.flush()

    first, second = logs(sink)
    assert first.body.string_value == "moved x"
    assert first.severity_text == "WARNING"
    assert first.trace_id.hex() == f"{span.get_span_context().trace_id:032x}"
    assert attributes(first.attributes)["topic"] == "a"
    assert attributes(first.attributes)["log.record.uid"] != attributes(second.attributes)["log.record.uid"]


def test_an_exception_travels_with_its_log_record(telemetry: Telemetry, sink: KeptSink, logger: logging.Logger) -> None:
    logger.error("failed", exc_info=KeyError("oops"))
    telemetry._buffer.flush()

    (record,) = logs(sink)
    assert attributes(record.attributes)["exception.type"] == "KeyError"
    assert "oops" in attributes(record.attributes)["exception.stacktrace"]
