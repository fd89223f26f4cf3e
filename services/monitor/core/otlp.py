"""OTLP protobuf to the values that are stored. Knows the wire format, and not what a metric means."""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Literal, NamedTuple

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from shared.errors import PermanentError
from shared.telemetry_store.records import Attributes, AttributeValue, LogRecord, MetricPoint, Span, SpanLink

MAX_ATTRIBUTES = 64
MAX_VALUE_CHARS = 8_192
"""Attributes and log bodies may come from users: what is kept of each is bounded."""
MAX_COUNT = 10**9
"""Answers within a second; beyond it somebody jests, and sums would not fit a store."""
TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
MAX_TIME_NS = 2**63 - 1
"""The wire has 64 bits without a sign, stores have one bit less; the year 2262 will do."""

STATUSES: Mapping[int, Literal["unset", "ok", "error"]] = {0: "unset", 1: "ok", 2: "error"}


class _Origin(NamedTuple):
    """Which process a metric comes from; two processes of one service are two series."""

    service: str
    instance: str


class MalformedOtlp(PermanentError):
    """The bytes are no OTLP export of the kind that the topic carries."""


def spans_of(payload: bytes) -> tuple[Span, ...]:
    """Return the spans of an ExportTraceServiceRequest.

    Raises:
        MalformedOtlp: It is none, or a span has no valid identity.
    """
    request = ExportTraceServiceRequest()
    _parse(request, payload)
    return tuple(
        _span(span, _service(group.resource))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    )


def logs_of(payload: bytes) -> tuple[LogRecord, ...]:
    """Return the records of an ExportLogsServiceRequest.

    Raises:
        MalformedOtlp: It is none.
    """
    request = ExportLogsServiceRequest()
    _parse(request, payload)
    return tuple(
        _log(record, _service(group.resource))
        for group in request.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    )


def metrics_of(payload: bytes) -> tuple[MetricPoint, ...]:
    """Return the points of an ExportMetricsServiceRequest: sums, gauges and histograms with explicit bounds.

    Raises:
        MalformedOtlp: It is none, or a histogram's counts do not fit its bounds.
    """
    request = ExportMetricsServiceRequest()
    _parse(request, payload)
    return tuple(
        point
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        for point in _points(metric, _Origin(_service(group.resource), _instance(group.resource)))
    )


def _parse(request: Message, payload: bytes) -> None:
    try:
        request.ParseFromString(payload)
    except DecodeError as error:
        msg = f"not an {request.DESCRIPTOR.name}: {error}"
        raise MalformedOtlp(msg, next_step="send OTLP protobuf of the kind that the topic carries") from error


def _span(span: trace_pb2.Span, service: str) -> Span:
    return Span(
        trace_id=_identity(span.trace_id, TRACE_ID_BYTES),
        span_id=_identity(span.span_id, SPAN_ID_BYTES),
        parent_span_id=span.parent_span_id.hex() or None,
        service=service,
        name=_bounded(span.name),
        start_ns=_time(span.start_time_unix_nano),
        end_ns=_time(span.end_time_unix_nano),
        status=STATUSES.get(span.status.code, "unset"),
        attributes=_attributes(span.attributes),
        links=tuple(_link(link) for link in span.links),
    )


def _link(link: trace_pb2.Span.Link) -> SpanLink:
    return SpanLink(
        trace_id=_identity(link.trace_id, TRACE_ID_BYTES), span_id=_identity(link.span_id, SPAN_ID_BYTES)
    )  # fmt: skip


def _identity(raw: bytes, length: int) -> str:
    if len(raw) != length or not any(raw):
        msg = f"an id of {length} bytes that are not all zero was expected, not {raw.hex() or 'nothing'}"
        raise MalformedOtlp(msg)
    return raw.hex()


def _log(record: logs_pb2.LogRecord, service: str) -> LogRecord:
    attributes = dict(_attributes(record.attributes))
    uid = attributes.pop("log.record.uid", None)
    return LogRecord(
        uid=str(uid) if uid else _hash(service.encode(), record.SerializeToString(deterministic=True)),
        time_ns=_time(record.time_unix_nano or record.observed_time_unix_nano),
        service=service,
        severity=_bounded(record.severity_text),
        body=_text(_value(record.body)),
        trace_id=record.trace_id.hex() or None,
        span_id=record.span_id.hex() or None,
        attributes=attributes,
    )


def _points(metric: metrics_pb2.Metric, origin: _Origin) -> Iterator[MetricPoint]:
    kind = metric.WhichOneof("data")
    if kind == "histogram":
        is_delta = metric.histogram.aggregation_temporality == metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
        yield from (_histogram(metric.name, point, origin, is_delta=is_delta) for point in metric.histogram.data_points)
    elif kind == "sum":
        is_delta = metric.sum.aggregation_temporality == metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
        yield from (_number(metric.name, "sum", point, origin, is_delta=is_delta) for point in metric.sum.data_points)
    elif kind == "gauge":
        yield from (_number(metric.name, "gauge", point, origin, is_delta=False) for point in metric.gauge.data_points)


def _number(
    name: str, kind: Literal["sum", "gauge"], point: metrics_pb2.NumberDataPoint, origin: _Origin, *, is_delta: bool
) -> MetricPoint:
    attributes = _attributes(point.attributes)
    return MetricPoint(
        series=_series(name, attributes, origin),
        service=origin.service,
        name=_bounded(name),
        kind=kind,
        is_delta=is_delta,
        time_ns=_time(point.time_unix_nano),
        value=float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double,
        bounds=(),
        counts=(),
        attributes=attributes,
    )


def _histogram(name: str, point: metrics_pb2.HistogramDataPoint, origin: _Origin, *, is_delta: bool) -> MetricPoint:
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    if len(counts) != len(bounds) + 1 and (bounds or counts):
        msg = f"{_bounded(name)}: {len(bounds)} bounds with {len(counts)} counts"
        raise MalformedOtlp(msg)
    if max(counts, default=0) > MAX_COUNT:
        msg = f"{_bounded(name)}: a bucket of more than {MAX_COUNT} counts"
        raise MalformedOtlp(msg)
    attributes = _attributes(point.attributes)
    return MetricPoint(
        series=_series(name, attributes, origin),
        service=origin.service,
        name=_bounded(name),
        kind="histogram",
        is_delta=is_delta,
        time_ns=_time(point.time_unix_nano),
        value=point.sum,
        bounds=bounds,
        counts=counts,
        attributes=attributes,
    )


def _series(name: str, attributes: Attributes, origin: _Origin) -> str:
    identity = json.dumps([origin.service, origin.instance, name, attributes], sort_keys=True)
    return _hash(identity.encode())


def _hash(*parts: bytes) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _service(resource: Resource) -> str:
    return _named(resource, "service.name") or "unknown"


def _instance(resource: Resource) -> str:
    return _named(resource, "service.instance.id")


def _named(resource: Resource, key: str) -> str:
    return next((_bounded(pair.value.string_value) for pair in resource.attributes if pair.key == key), "")


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {_bounded(pair.key): _value(pair.value) for pair in islice(pairs, MAX_ATTRIBUTES)}


def _value(value: AnyValue) -> AttributeValue:
    match value.WhichOneof("value"):
        case "string_value":
            return _bounded(value.string_value)
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return _bounded(value.bytes_value.hex())
        case "array_value":
            return [_value(item) for item in islice(value.array_value.values, MAX_ATTRIBUTES)]
        case "kvlist_value":
            return dict(_attributes(value.kvlist_value.values))
        case _:
            return None


def _text(value: AttributeValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:MAX_VALUE_CHARS]


def _bounded(text: str) -> str:
    return text[:MAX_VALUE_CHARS]


def _time(unix_nano: int) -> int:
    return min(unix_nano, MAX_TIME_NS)
