"""Wires ingest."""

from fastapi import FastAPI

from services.ingest import api, handlers
from services.ingest.adapters import Batches, Intake
from services.ingest.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app
from shared.telemetry import Telemetry

SERVICE = "ingest"


def build() -> FastAPI:
    """Return ingest, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    return wire(settings, Bus(SERVICE, settings.kafka, telemetry), telemetry, SystemClock())


def wire(settings: Settings, bus: Bus, telemetry: Telemetry, clock: Clock) -> FastAPI:
    """Return ingest on the given bus, telemetry and clock."""
    intake = Intake(bus, telemetry, Batches(ArtifactStore(settings.artifacts.url)))
    handlers.register(bus, intake=intake, clock=clock)
    app = daemon_app(bus, telemetry, at_start=[intake.announce_again])
    app.include_router(api.router(intake=intake, limits=settings.batch, clock=clock))
    return app
