"""The way of telemetry out of a daemon: a bounded buffer, and a thread that hands it on as OTLP protobuf, into the spool.

The buffer keeps what cannot be handed on yet; when it is full the oldest goes and is counted. Nothing here may ever block or
fail the work that is being observed.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from contracts.topics import MAX_MESSAGE_BYTES, OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from shared.settings import TelemetrySettings

MAX_ITEMS_PER_MESSAGE = 500
"""About 75 kB of spans (150 bytes each)."""
MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES * 9 // 10
"""The rest is for the record's key, headers and framing. What the broker refuses for its size it would refuse for ever."""
CLOSE_TIMEOUT_S = 2.0


class OtlpSink(Protocol):
    """Takes encoded OTLP messages."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        """Deliver (topic, payload) pairs; False: not all arrived, the caller keeps them."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class NoSink:
    """Takes everything and keeps nothing: telemetry is off."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        """Take the messages."""
        return True

    def close(self) -> None:
        """Nothing is held here."""


class OtlpBuffer:
    """Bounded queues of spans, log records and metric exports, and the thread that empties them into a sink."""

    def __init__(self, settings: TelemetrySettings, sink: OtlpSink) -> None:
        self._sink = sink
        self._interval_s = settings.flush_interval_s
        self._spans: deque[ReadableSpan] = deque()
        self._logs: deque[ReadableLogRecord] = deque()
        self._metrics: deque[bytes] = deque()
        self._max_items = settings.buffer_items
        self._max_metric_exports = max(1, settings.buffer_items // 30)
        self._unsent: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self.dropped: dict[str, int] = {"span": 0, "log": 0, "metric": 0}
        """Items lost since the start, by signal."""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def add_span(self, span: ReadableSpan) -> None:
        """Keep a finished span until it is sent."""
        self._add(self._spans, span, "span", self._max_items)

    def add_log(self, record: ReadableLogRecord) -> None:
        """Keep a log record until it is sent."""
        self._add(self._logs, record, "log", self._max_items)

    def add_metrics(self, export: bytes) -> None:
        """Keep one encoded metric export until it is sent; one that no broker would take is dropped and counted."""
        if len(export) > MAX_PAYLOAD_BYTES:
            self._count_dropped("metric")
            return
        self._add(self._metrics, export, "metric", self._max_metric_exports)

    def flush(self) -> bool:
        """Send what is there; False: the sink did not take it, and it is kept."""
        messages = self._unsent or self._drain()
        self._unsent = [] if not messages or self._sink.send(messages) else messages
        return not self._unsent

    def close(self) -> None:
        """Send the rest, for a moment at most, and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=CLOSE_TIMEOUT_S)

    def _add(self, queue: deque[Any], item: Any, signal: str, limit: int) -> None:  # noqa: ANN401
        with self._lock:
            if len(queue) >= limit:
                queue.popleft()
                self.dropped[signal] += 1
            queue.append(item)

    def _take(self, queue: deque[Any], limit: int) -> list[Any]:
        with self._lock:
            return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def _drain(self) -> list[tuple[str, bytes]]:
        messages = [(OTLP_METRICS.name, export) for export in self._take(self._metrics, MAX_ITEMS_PER_MESSAGE)]
        spans = self._take(self._spans, MAX_ITEMS_PER_MESSAGE)
        records = self._take(self._logs, MAX_ITEMS_PER_MESSAGE)
        messages += [(OTLP_SPANS.name, payload) for payload in self._encoded(spans, encode_spans, "span")]
        messages += [(OTLP_LOGS.name, payload) for payload in self._encoded(records, encode_logs, "log")]
        return messages

    def _encoded(self, items: list[Any], encode: Callable[[list[Any]], Any], signal: str) -> Iterator[bytes]:
        """Yield the items in as few payloads as a broker takes; one that is too large by itself is dropped and counted."""
        payload = encode(items).SerializeToString() if items else b""
        half = len(items) // 2
        if len(payload) > MAX_PAYLOAD_BYTES and half:
            yield from self._encoded(items[:half], encode, signal)
            yield from self._encoded(items[half:], encode, signal)
        elif len(payload) > MAX_PAYLOAD_BYTES:
            self._count_dropped(signal)
        elif payload:
            yield payload

    def _count_dropped(self, signal: str) -> None:
        with self._lock:
            self.dropped[signal] += 1

    def _run(self) -> None:
        while not self._closing.wait(self._interval_s):
            self._flush_all()
        self._flush_all()
        self._sink.close()

    def _flush_all(self) -> None:
        while self.flush() and (self._spans or self._logs or self._metrics):
            pass


class BufferSpans(SpanProcessor):
    """Hands finished spans to the buffer."""

    def __init__(self, buffer: OtlpBuffer) -> None:
        self._buffer = buffer

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span."""
        if span.context and span.context.trace_flags.sampled:
            self._buffer.add_span(span)


class BufferLogs(LogRecordProcessor):
    """Hands log records to the buffer."""

    def __init__(self, buffer: OtlpBuffer) -> None:
        self._buffer = buffer

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Take a log record."""
        self._buffer.add_log(
            ReadableLogRecord(
                log_record=log_record.log_record,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """Nothing is held here."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held here."""
        return True


class BufferMetrics(MetricExporter):
    """Encodes each collection, with delta temporality, and hands it to the buffer."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        delta = AggregationTemporality.DELTA
        super().__init__(preferred_temporality={Counter: delta, Histogram: delta, ObservableCounter: delta})
        self._keep = keep

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **_: Any,  # noqa: ANN401
    ) -> MetricExportResult:
        """Take one collection."""
        if any(scope.metrics for resource in metrics_data.resource_metrics for scope in resource.scope_metrics):
            self._keep(encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ANN401
        """Nothing is held here."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held here."""
        return True
