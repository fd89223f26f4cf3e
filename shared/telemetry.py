"""Traces, metrics and logs of one daemon: the only place that builds OpenTelemetry's SDK.

Names come from `contracts.telemetry`. Trace context travels in the W3C `traceparent` header; what has many causes carries span
links instead of a parent.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contracts.telemetry import TELEMETRY_DROPPED, AttributeName, Metric
from shared.forwarder import SpooledSink
from shared.otlp import BufferLogs, BufferMetrics, BufferSpans, NoSink, OtlpBuffer, OtlpSink
from shared.settings import KafkaSettings, TelemetrySettings
from shared.spool import Spool

MAX_LINKS = 100
"""The SDK drops links beyond 128 without a word; the full list stands in the corpus version's manifest."""

SPOOL_NAME = "telemetry-spool.db"
"""In the daemon's own folder."""

_PROPAGATOR = TraceContextTextMapPropagator()
_SEVERITY = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

Attributes = Mapping[AttributeName, str | int | float | bool]


class Telemetry:
    """What a daemon observes itself with.

    Attributes:
        service: The daemon's name, e.g. `release-manager`.
        tracer: Starts spans.
    """

    def __init__(
        self,
        service: str,
        settings: TelemetrySettings,
        sink: OtlpSink,
        *,
        dropped_later: Mapping[str, int] | None = None,
    ) -> None:
        self.service = service
        self._buffer = OtlpBuffer(settings, sink)
        self._dropped_later = dropped_later or {}
        resource = Resource(
            {"service.name": service, "service.namespace": "plumbline", "service.instance.id": uuid4().hex}
        )
        self._traces = TracerProvider(resource=resource, span_limits=SpanLimits(max_span_attribute_length=1024))
        self._traces.add_span_processor(BufferSpans(self._buffer))
        self._logs = LoggerProvider(resource=resource)
        self._logs.add_log_record_processor(BufferLogs(self._buffer))
        reader = PeriodicExportingMetricReader(
            BufferMetrics(self._buffer.add_metrics), export_interval_millis=settings.metric_interval_s * 1000
        )
        self._metrics = MeterProvider(metric_readers=[reader], resource=resource)
        self._meter = self._metrics.get_meter("plumbline")
        self._instruments: dict[str, Any] = {}
        self.tracer: Tracer = self._traces.get_tracer("plumbline")
        self._meter.create_observable_counter(
            TELEMETRY_DROPPED.name,
            callbacks=[self._dropped],
            unit=TELEMETRY_DROPPED.unit,
            description=TELEMETRY_DROPPED.meaning,
        )

    @classmethod
    def to_kafka(cls, service: str, settings: TelemetrySettings, kafka: KafkaSettings, state_dir: Path) -> "Telemetry":
        """Return telemetry that goes to the OTLP topics, with the process's logs attached; or nowhere, if it is not enabled.

        Args:
            service: The daemon's name.
            settings: How it leaves the daemon.
            kafka: Where the broker is.
            state_dir: The daemon's own folder, where telemetry waits for the broker.
        """
        if not settings.enabled:
            return cls(service, settings, NoSink())
        spool = Spool(state_dir / SPOOL_NAME, max_bytes=settings.spool_bytes)
        telemetry = cls(service, settings, SpooledSink(spool, kafka, service), dropped_later=spool.dropped)
        telemetry.capture_logs()
        return telemetry

    def start(self) -> None:
        """Begin to send."""
        self._buffer.start()

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        self._metrics.shutdown(timeout_millis=1000)
        self._traces.shutdown()
        self._buffer.close()

    def add(self, metric: Metric, amount: float, attributes: Attributes) -> None:
        """Count something."""
        self._instrument(metric).add(amount, attributes)

    def record(self, metric: Metric, value: float, attributes: Attributes) -> None:
        """Record a value of a histogram or a gauge."""
        instrument = self._instrument(metric)
        record = instrument.set if metric.kind == "gauge" else instrument.record
        record(value, attributes)

    def capture_logs(self) -> None:
        """Send the process's log records to standard output as JSON, and on as OTLP."""
        root = logging.getLogger()
        stdout = logging.StreamHandler(sys.stdout)
        stdout.setFormatter(JsonFormatter(self.service))
        root.handlers = [stdout, OtlpHandler(self._logs)]
        root.setLevel(logging.INFO)
        # Clients that report every reconnect as an error while a broker starts; what matters surfaces as our own error.
        for name in ("aiokafka", "elastic_transport", "kafka", "httpx", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def _instrument(self, metric: Metric) -> Any:  # noqa: ANN401 (one of three SDK types)
        if metric.name not in self._instruments:
            described = {"unit": metric.unit, "description": metric.meaning}
            if metric.kind == "histogram":
                instrument: Any = self._meter.create_histogram(
                    metric.name, explicit_bucket_boundaries_advisory=list(metric.bounds), **described
                )
            elif metric.kind == "counter":
                instrument = self._meter.create_counter(metric.name, **described)
            else:
                instrument = self._meter.create_gauge(metric.name, **described)
            self._instruments[metric.name] = instrument
        return self._instruments[metric.name]

    def _dropped(self, _: CallbackOptions) -> Iterable[Observation]:
        dropped = {signal: num + self._dropped_later.get(signal, 0) for signal, num in self._buffer.dropped.items()}
        return [Observation(num, {"plumbline.signal": signal}) for signal, num in dropped.items() if num]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, message, trace id, and the fields given as `extra`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **extra_fields(record),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class OtlpHandler(logging.Handler):
    """Turns log records into OpenTelemetry's, each with an id of its own so that a store can tell a repetition."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on."""
        attributes = {key: str(value) for key, value in extra_fields(record).items()}
        attributes["log.record.uid"] = uuid4().hex
        if record.args:
            # What such messages have in common is known here only; stores count by it.
            attributes["log.template"] = str(record.msg)[:1024]
        if record.exc_info and record.exc_info[0]:
            attributes["exception.type"] = record.exc_info[0].__name__
            attributes["exception.stacktrace"] = logging.Formatter().formatException(record.exc_info)[:8192]
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=_SEVERITY.get(record.levelno, SeverityNumber.INFO),
                body=record.getMessage(),
                attributes=attributes,
            )
        )


def extra_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what a caller passed as `extra`."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS}


def current_traceparent() -> str | None:
    """Return the W3C trace context of the current span, or None outside of one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def current_trace_id() -> str | None:
    """Return the current trace id as 32 hexadecimal digits, or None."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def context_of(traceparent: str | None) -> Context:
    """Return the context that a `traceparent` names; an empty one for None or for what is not one."""
    return _PROPAGATOR.extract({"traceparent": traceparent or ""}, context=Context())


def link_to(traceparent: str | None) -> Link | None:
    """Return a span link to what a `traceparent` names, or None."""
    span = trace.get_current_span(context_of(traceparent))
    return (
        Link(span.get_span_context())
        if isinstance(span, NonRecordingSpan) and span.get_span_context().is_valid
        else None
    )


def links_to(traceparents: Iterable[str | None]) -> list[Link]:
    """Return links to the first 100 valid `traceparents`, each once."""
    distinct = dict.fromkeys(traceparent for traceparent in traceparents if traceparent)
    links = [link for traceparent in distinct if (link := link_to(traceparent))]
    return links[:MAX_LINKS]


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id within a `traceparent`, or None."""
    link = link_to(traceparent)
    return trace.format_trace_id(link.context.trace_id) if link else None
