"""Wires the trainer. The daemon itself never loads torch: its child process does."""

from fastapi import FastAPI

from services.trainer.handlers import Training, register
from services.trainer.settings import Settings
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app
from shared.releases import ServingBundles
from shared.runs import Runs
from shared.signing import public_keys_of, signer_of
from shared.telemetry import Telemetry

SERVICE = "trainer"


def build() -> FastAPI:
    """Return the trainer, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    wire(settings, bus, telemetry, SystemClock())
    return daemon_app(bus, telemetry)


def wire(settings: Settings, bus: Bus, telemetry: Telemetry, clock: Clock) -> None:
    """Connect the handlers to the bus and the artifact store."""
    store = ArtifactStore(settings.artifacts.url)
    keys = public_keys_of(settings.bundle_public_keys, owner=SERVICE, name="bundle_public_keys")
    training = Training(
        serving=ServingBundles(store),
        store=store,
        settings=settings,
        folder=settings.state_dir / "runs",
        signer=signer_of(settings.bundle_key, owner=SERVICE, name="bundle_key"),
        admission=Admission(bus, store, keys, clock=clock),
    )
    register(bus, training=training, runs=Runs(store, SERVICE, clock=clock), telemetry=telemetry, clock=clock)
