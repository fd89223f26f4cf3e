"""Wires the monitor."""

from contextlib import aclosing
from functools import partial

from fastapi import FastAPI

from services.monitor import api, handlers, lookups
from services.monitor.adapters import open_store
from services.monitor.core.alerts import rule_table
from services.monitor.core.watch import Terms
from services.monitor.run import Monitor
from services.monitor.settings import Settings, WatchSettings
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.commands import guard_of
from shared.daemon import daemon_app, every
from shared.telemetry import Telemetry

SERVICE = "monitor"
RESTORE_EVERY_S = 1.0
"""How often is looked whether something is to be restored."""


def build() -> FastAPI:
    """Return the monitor, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    clock = SystemClock()
    guard = guard_of(SERVICE, clock, verifying=settings, signing=settings)
    return wire(settings, Bus(SERVICE, settings.kafka, telemetry, guard=guard), telemetry, clock)


def wire(settings: Settings, bus: Bus, telemetry: Telemetry, clock: Clock) -> FastAPI:
    """Return the monitor on the given bus, telemetry and clock."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.store, settings.state_dir, clock)
    monitor = Monitor(bus, store, telemetry, clock=clock, terms=terms_of(settings.watch))
    handlers.register(bus, monitor=monitor)
    app = daemon_app(
        bus,
        telemetry,
        at_start=[monitor.restore_soon],
        background=[
            bus.keep_on,
            partial(every, RESTORE_EVERY_S, monitor.restore_later),
            partial(every, settings.tick_s, monitor.tick),
            partial(every, settings.cleanup_s, monitor.clean_up),
        ],
        resources=[aclosing(store)],
    )
    app.include_router(api.routes(bus, monitor, store, clock=clock, operator=settings))
    app.include_router(lookups.routes(store))
    return app


def terms_of(watch: WatchSettings) -> Terms:
    """Return the terms that settings describe."""
    limit_ms = watch.latency_limit_ms
    return Terms(rules=rule_table(limit_ms), latency_limit_ms=limit_ms, grace_s=watch.grace_s)
