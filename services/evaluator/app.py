"""Wires the evaluator."""

from fastapi import FastAPI

from services.evaluator.handlers import Evaluating, register
from services.evaluator.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app
from shared.releases import ServingBundles
from shared.runs import Runs
from shared.signing import public_keys_of
from shared.telemetry import Telemetry

SERVICE = "evaluator"


def build() -> FastAPI:
    """Return the evaluator, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    wire(settings, bus, SystemClock())
    return daemon_app(bus, telemetry)


def wire(settings: Settings, bus: Bus, clock: Clock) -> None:
    """Connect the handlers to the bus and the artifact store."""
    store = ArtifactStore(settings.artifacts.url)
    keys = public_keys_of(settings.bundle_public_keys, owner=SERVICE, name="bundle_public_keys")
    evaluating = Evaluating(
        serving=ServingBundles(store),
        artifacts_url=settings.artifacts.url,
        gates=settings.gates,
        folder=settings.state_dir / "runs",
        admission=Admission(bus, store, keys, clock=clock),
    )
    register(bus, evaluating=evaluating, runs=Runs(store, SERVICE, clock=clock), store=store, clock=clock)
