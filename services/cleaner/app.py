"""Wires the cleaner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.cleaner import api, handlers
from services.cleaner.batches import BatchCleaning
from services.cleaner.cutter import Cutter
from services.cleaner.domain_languages import load_languages
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import Ledger
from services.cleaner.orders import Orders
from services.cleaner.settings import Settings
from services.cleaner.versions import Versions
from services.cleaner.views import CorpusViews
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.commands import guard_of
from shared.daemon import daemon_app, every
from shared.telemetry import Telemetry

SERVICE = "cleaner"


def build() -> FastAPI:
    """Return the cleaner, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    clock = SystemClock()
    bus = Bus(SERVICE, settings.kafka, telemetry, guard=guard_of(SERVICE, clock, verifying=settings))
    return wire(settings, bus, telemetry, clock)


def wire(settings: Settings, bus: Bus, telemetry: Telemetry, clock: Clock) -> FastAPI:
    """Return the cleaner on the given bus, telemetry and clock."""
    store = ArtifactStore(settings.artifacts.url)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(settings.state_dir / "ledger.sqlite")
    lock = asyncio.Lock()
    indexes = Indexes(store, ledger, settings.state_dir / "near")
    cleaning = BatchCleaning(
        store=store,
        ledger=ledger,
        indexes=indexes,
        rules=settings.corpus,
        cleaning=settings.cleaning,
        languages=load_languages(settings.cleaning),
    )
    versions = Versions(
        store=store,
        ledger=ledger,
        indexes=indexes,
        rules=settings.corpus,
        scratch=settings.state_dir,
        started_at=clock.now(),
    )
    cutter = Cutter(bus, telemetry, versions=versions, lock=lock, clock=clock, owns=bus.owns)
    handlers.register(bus, telemetry, cleaning=cleaning, versions=versions, lock=lock, clock=clock, owns=bus.owns)
    app = daemon_app(
        bus,
        telemetry,
        at_start=[cutter.announce_again],
        background=[partial(every, settings.tick_s, cutter.tick)],
        resources=[_open(ledger)],
        busy_with=cutter.busy_with,
    )
    orders = Orders(store=store, ledger=ledger, cleaning=cleaning)
    app.include_router(api.reading(views=CorpusViews(store=store, ledger=ledger), lock=lock))
    app.include_router(api.ordering(bus, orders=orders, versions=versions, lock=lock, clock=clock, operator=settings))
    return app


@asynccontextmanager
async def _open(ledger: Ledger) -> AsyncIterator[None]:
    with ledger:
        yield
