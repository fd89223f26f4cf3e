"""Wires the release-manager."""

from functools import partial

from fastapi import FastAPI

from services.release_manager.adapters import SnapshotRefs
from services.release_manager.api import routes, times
from services.release_manager.handlers import register
from services.release_manager.run import Releases
from services.release_manager.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import SystemClock
from shared.commands import guard_of
from shared.daemon import daemon_app, every
from shared.signing import public_keys_of
from shared.telemetry import Telemetry

SERVICE = "release-manager"


def build() -> FastAPI:
    """Return the release-manager, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    clock = SystemClock()
    bus = Bus(SERVICE, settings.kafka, telemetry, guard=guard_of(SERVICE, clock, verifying=settings, signing=settings))
    store = ArtifactStore(settings.artifacts.url)
    refs = SnapshotRefs(store)
    keys = public_keys_of(settings.bundle_public_keys, owner=SERVICE, name="bundle_public_keys")
    releases = Releases(bus, refs, clock=clock, rules_for=settings.rules_for, group=bus)
    register(bus, releases=releases, admission=Admission(bus, store, keys, clock=clock))
    app = daemon_app(
        bus,
        telemetry,
        at_start=[releases.announce_all],
        background=[partial(every, settings.tick_s, releases.tick)],
        busy_with=releases.busy_with,
    )
    app.include_router(routes(bus, releases, clock=clock, operator=settings))
    app.include_router(times(settings.rules_for))
    return app
