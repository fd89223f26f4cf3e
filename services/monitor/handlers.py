"""Telemetry and lifecycle events as they come in."""

from contracts.topics import OTLP_METRICS, topics_consumed_by
from services.monitor.run import Monitor
from shared.bus import Bus


def register(bus: Bus, *, monitor: Monitor) -> None:
    """Subscribe the monitor to the mesh: what it decides by, and what it stores."""
    bus.consume(dict.fromkeys(topics_consumed_by(bus.service), monitor.take_event))
    bus.follow({OTLP_METRICS: monitor.take_metrics})
    bus.keep(monitor.keeper.keep)
