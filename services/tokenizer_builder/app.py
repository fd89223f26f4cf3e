"""Wires the tokenizer-builder."""

from fastapi import FastAPI

from services.tokenizer_builder.handlers import Fitting, register
from services.tokenizer_builder.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app
from shared.releases import ServingBundles
from shared.runs import Runs
from shared.telemetry import Telemetry

SERVICE = "tokenizer-builder"


def build() -> FastAPI:
    """Return the tokenizer-builder, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    wire(settings, bus, SystemClock())
    return daemon_app(bus, telemetry)


def wire(settings: Settings, bus: Bus, clock: Clock) -> None:
    """Connect the handlers to the bus and the artifact store."""
    store = ArtifactStore(settings.artifacts.url)
    fitting = Fitting(
        serving=ServingBundles(store),
        store=store,
        artifacts_url=settings.artifacts.url,
        rules=settings.tokenizer,
        folder=settings.state_dir / "runs",
    )
    register(bus, fitting=fitting, runs=Runs(store, SERVICE, clock=clock), clock=clock)
