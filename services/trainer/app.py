"""Wires the trainer. The daemon itself never loads torch: its child process does."""

import asyncio
import logging
from functools import partial

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

log = logging.getLogger(__name__)


def build() -> FastAPI:
    """Return the trainer, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    wire(settings, bus, telemetry, SystemClock())
    store = ArtifactStore(settings.artifacts.url)
    return daemon_app(bus, telemetry, at_start=[partial(clear, store)])


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


async def clear(store: ArtifactStore) -> None:
    """Free the space of artifacts that a kill or a power cut left halfway: those of this daemon are the largest."""
    if num_removed := await asyncio.to_thread(store.remove_drafts):
        log.info("drafts of artifacts removed", extra={"num_files": num_removed})
