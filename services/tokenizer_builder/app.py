"""Wires the tokenizer-builder."""

from functools import partial

from fastapi import FastAPI

from services.tokenizer_builder import vectors_api
from services.tokenizer_builder.api import routes
from services.tokenizer_builder.handlers import Fitting, register
from services.tokenizer_builder.settings import Settings
from services.tokenizer_builder.vector_learning import TICK_S, VectorLearning
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app, every
from shared.releases import ServingBundles
from shared.runs import Runs
from shared.telemetry import Telemetry

SERVICE = "tokenizer-builder"


def build() -> FastAPI:
    """Return the tokenizer-builder, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    learning = wire(settings, bus, SystemClock())
    app = daemon_app(bus, telemetry, background=[partial(every, TICK_S, learning.tick)])
    store = ArtifactStore(settings.artifacts.url)
    app.include_router(vectors_api.routes(store))
    app.include_router(routes(store, operator=settings))
    return app


def wire(settings: Settings, bus: Bus, clock: Clock) -> VectorLearning:
    """Connect the handlers to the bus and the artifact store; return what learns word vectors beside them."""
    store = ArtifactStore(settings.artifacts.url)
    folder = settings.state_dir / "runs"
    fitting = Fitting(
        serving=ServingBundles(store),
        store=store,
        artifacts_url=settings.artifacts.url,
        rules=settings.tokenizer,
        lexicon_rules=settings.lexicon,
        folder=folder,
    )
    learning = VectorLearning(
        store,
        artifacts_url=settings.artifacts.url,
        settings=settings.word_vectors,
        folder=settings.state_dir / "word-vectors",
        clock=clock,
        owns=bus.owns,
    )
    register(bus, fitting=fitting, vectors=learning, runs=Runs(store, SERVICE, clock=clock), clock=clock)
    return learning
