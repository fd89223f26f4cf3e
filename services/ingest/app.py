"""Wires ingest."""

from functools import partial
from typing import IO

from fastapi import FastAPI

from contracts.api import UploadReceipt
from services.ingest import handlers
from services.ingest.adapters import Batches, References
from services.ingest.api import batches as batches_api
from services.ingest.api import decisions as decisions_api
from services.ingest.api import uploads as uploads_api
from services.ingest.core.parts import Tally
from services.ingest.deciding import Decisions
from services.ingest.known import KnownContent
from services.ingest.reading import BodyKind, Reader
from services.ingest.receipts import receipt_of
from services.ingest.run import Intake
from services.ingest.settings import Settings
from services.ingest.uploads import Uploads
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock, SystemClock
from shared.daemon import daemon_app, every
from shared.telemetry import Telemetry

SERVICE = "ingest"
HOUSEKEEPING_S = 60.0
"""How often is looked for marks, uploads and temporary files that are not needed any more."""


def build() -> FastAPI:
    """Return ingest, ready to be served."""
    settings = Settings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    return wire(settings, Bus(SERVICE, settings.kafka, telemetry), telemetry, SystemClock())


def wire(settings: Settings, bus: Bus, telemetry: Telemetry, clock: Clock) -> FastAPI:
    """Return ingest on the given bus, telemetry and clock."""
    store = ArtifactStore(settings.artifacts.url)
    batches, references = Batches(store), References(store, settings.hold)
    known = KnownContent(settings.state_dir / "known", batches)
    reader = Reader(
        folder=settings.state_dir / "incoming",
        limits=settings.batch,
        max_expansion=settings.upload.max_expansion,
        known_pairs=known.pairs_of,
    )
    intake = Intake(
        bus, telemetry, batches=batches, references=references, known=known, rules=settings.hold, reader=reader,
        clock=clock,
    )  # fmt: skip

    async def take(body: IO[bytes], kind: BodyKind, domain: str, tally: Tally) -> UploadReceipt:
        kept = await intake.take(body, kind, domain=domain, tally=tally)
        return receipt_of(kept, tally.ignored_fields)

    uploads = Uploads(settings.state_dir / "uploads", settings.upload, take, clock)
    decisions = Decisions(intake, batches=batches, references=references, known=known, clock=clock)
    handlers.register(bus, intake=intake)

    async def keep_house() -> None:
        await intake.announce_late()
        await uploads.go_on()
        await uploads.expire()
        await intake.forget_cleaned()

    app = daemon_app(
        bus,
        telemetry,
        at_start=[intake.announce_again],
        background=[partial(every, HOUSEKEEPING_S, keep_house)],
    )
    # First, since `/v1/batches/held` must not be taken for a batch's id.
    app.include_router(decisions_api.routes(decisions, settings))
    app.include_router(batches_api.routes(intake=intake, reader=reader, limits=settings.upload))
    app.include_router(uploads_api.routes(uploads, settings.upload))
    app.state.intake = intake
    app.state.uploads = uploads
    return app
