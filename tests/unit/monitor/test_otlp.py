from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from contracts.telemetry import LATENCY_BOUNDS_MS, TRAINING_LOSS
from contracts.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from services.monitor.core import otlp
from services.monitor.core.otlp import MalformedOtlp, logs_of, metrics_of, spans_of
from shared.telemetry import current_traceparent, links_to
from tests.unit.monitor.samples import Observed


def test_a_span_of_the_sdk_comes_through_with_its_attributes_parent_and_links():
    service = Observed("cleaner")
    with service.telemetry.tracer.start_as_current_span("cause") as cause:
        causing = current_traceparent()
    with (
        service.telemetry.tracer.start_as_current_span(
            "cut corpus version", links=links_to([causing]), attributes={"plumbline.domain": "law", "n": 3}
        ) as parent,
        pytest.raises(RuntimeError),
        service.telemetry.tracer.start_as_current_span("child"),
    ):
        raise RuntimeError
    [payload] = service.close().payloads(OTLP_SPANS)

    spans = {span.name: span for span in spans_of(payload)}
    cut, child = spans["cut corpus version"], spans["child"]
    assert (cut.trace_id, cut.span_id) == (f"{parent.context.trace_id:032x}", f"{parent.context.span_id:016x}")
    assert cut.attributes == {"plumbline.domain": "law", "n": 3}
    assert [link.trace_id for link in cut.links] == [f"{cause.context.trace_id:032x}"]
    assert (cut.parent_span_id, child.parent_span_id) == (None, cut.span_id)
    assert (cut.service, child.status) == ("cleaner", "error")
    assert cut.start_ns <= child.start_ns <= child.end_ns <= cut.end_ns
    assert cut.duration_ms == (cut.end_ns - cut.start_ns) / 1e6


def test_a_log_record_keeps_the_id_that_it_was_given():
    service = Observed()
    with service.telemetry.tracer.start_as_current_span("s") as span:
        service.log("answered", digest="abc")
    [payload] = service.close().payloads(OTLP_LOGS)

    [record] = logs_of(payload)
    assert (record.body, record.severity, record.service) == ("answered", "WARNING", "inference-gateway")
    assert record.attributes == {"digest": "abc"}
    assert record.trace_id == f"{span.context.trace_id:032x}"
    assert [record] == list(logs_of(payload))


def test_a_log_record_without_an_id_gets_one_that_a_repetition_shares():
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.log_records.add(observed_time_unix_nano=7, body=AnyValue(int_value=3))
    scope.log_records.add(observed_time_unix_nano=8, body=AnyValue(string_value="x"))
    first, second = logs_of(request.SerializeToString())
    assert first.uid != second.uid
    assert (first, second) == logs_of(request.SerializeToString())
    assert (first.time_ns, first.body, first.service, first.trace_id) == (7, "3", "unknown", None)


def test_metrics_of_the_sdk_come_through_as_deltas():
    service = Observed()
    service.answer(10)
    service.answer(350)
    service.cache_hit()
    service.telemetry.record(TRAINING_LOSS, 3.5, {"plumbline.domain": "law"})
    [payload] = service.close().payloads(OTLP_METRICS)

    points = {point.name: point for point in metrics_of(payload)}
    latency, hits, loss = (
        points[f"plumbline.{name}"] for name in ("answer.latency", "answer.cache_hits", "training.loss")
    )
    assert (latency.kind, latency.is_delta, latency.bounds, sum(latency.counts)) == (
        "histogram", True, LATENCY_BOUNDS_MS, 2
    )  # fmt: skip
    assert latency.value == 360
    assert (hits.kind, hits.is_delta, hits.value) == ("sum", True, 1.0)
    assert (loss.kind, loss.is_delta, loss.value) == ("gauge", False, 3.5)
    assert len({latency.series, hits.series, loss.series}) == 3


def test_two_processes_of_one_service_are_two_series():
    points = []
    for _ in range(2):
        service = Observed()
        service.answer(10)
        [payload] = service.close().payloads(OTLP_METRICS)
        points += metrics_of(payload)
    assert points[0].attributes == points[1].attributes
    assert points[0].series != points[1].series


def test_numbers_and_kinds_that_are_not_needed_are_passed_over():
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="none")
    metrics.add(name="summary").summary.data_points.add()
    metrics.add(name="real").sum.data_points.add(as_double=0.5, time_unix_nano=2**64 - 1)
    [point] = metrics_of(request.SerializeToString())
    assert (point.name, point.value, point.time_ns) == ("real", 0.5, 2**63 - 1)


@pytest.mark.parametrize(("bounds", "counts"), [([1.0], [1]), ([], [1, 2]), ([1.0], [otlp.MAX_COUNT + 1, 0])])
def test_a_histogram_whose_counts_are_wrong_is_malformed(bounds, counts):
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="h")
    metric.histogram.data_points.add(explicit_bounds=bounds, bucket_counts=counts)
    with pytest.raises(MalformedOtlp, match=r"^h: "):
        metrics_of(request.SerializeToString())


@pytest.mark.parametrize("trace_id", [b"", b"short", b"\0" * 16])
def test_a_span_without_a_valid_identity_is_malformed(trace_id):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=trace_id, span_id=b"12345678")
    with pytest.raises(MalformedOtlp, match="16 bytes"):
        spans_of(request.SerializeToString())


def test_values_of_every_kind_become_json():
    pairs = [
        KeyValue(key="s", value=AnyValue(string_value="x" * 10_000)),
        KeyValue(key="b", value=AnyValue(bool_value=True)),
        KeyValue(key="i", value=AnyValue(int_value=-(2**63))),
        KeyValue(key="d", value=AnyValue(double_value=0.5)),
        KeyValue(key="y", value=AnyValue(bytes_value=b"\xff")),
        KeyValue(key="a", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()]))),
        KeyValue(key="k", value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="n")]))),
    ]
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=b"1" * 16, span_id=b"1" * 8, attributes=pairs)
    spans.add(trace_id=b"1" * 16, span_id=b"2" * 8, attributes=[KeyValue(key=str(n)) for n in range(1000)])
    first, second = spans_of(request.SerializeToString())
    assert first.attributes == {
        "s": "x" * otlp.MAX_VALUE_CHARS, "b": True, "i": -(2**63), "d": 0.5, "y": "ff", "a": [1, None], "k": {"n": None},
    }  # fmt: skip
    assert len(second.attributes) == otlp.MAX_ATTRIBUTES


def is_decoded_or_malformed(decode: Callable[[bytes], object], payload: bytes) -> bool:
    try:
        return isinstance(decode(payload), tuple)
    except MalformedOtlp as error:
        return bool(str(error))


@pytest.mark.parametrize("decode", [metrics_of, spans_of, logs_of])
@given(payload=st.binary(max_size=200))
def test_any_bytes_are_an_export_or_malformed(decode, payload):
    assert is_decoded_or_malformed(decode, payload)


@given(cut=st.integers(min_value=1, max_value=60), flipped=st.integers(min_value=0, max_value=2000))
def test_a_damaged_export_is_an_export_or_malformed(cut, flipped):
    payload = bytearray(_PAYLOAD[:-cut])
    payload[flipped % len(payload)] ^= 0xFF
    assert is_decoded_or_malformed(metrics_of, bytes(payload))


def _payload() -> bytes:
    service = Observed()
    service.answer(10)
    service.answer(400, outcome="error")
    return service.close().payloads(OTLP_METRICS)[0]


_PAYLOAD = _payload()
