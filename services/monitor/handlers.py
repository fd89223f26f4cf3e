"""Telemetry and lifecycle events as they come in."""

from functools import partial

from contracts.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS, topics_consumed_by
from services.monitor.run import Monitor
from shared.bus import Bus


def register(bus: Bus, *, monitor: Monitor) -> None:
    """Subscribe the monitor to the mesh."""
    events = {
        topic: partial(monitor.take_event, topic)
        for topic in topics_consumed_by(bus.service)
        if topic.event is not None
    }
    otlp = {OTLP_METRICS: monitor.take_metrics, OTLP_SPANS: monitor.take_spans, OTLP_LOGS: monitor.take_logs}
    bus.consume({**events, **otlp})
