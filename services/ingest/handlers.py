"""Documents that arrive as events."""

from contracts.corpus import DocumentsSubmitted
from contracts.topics import DOCUMENTS_SUBMITTED
from services.ingest import core
from services.ingest.adapters import Intake
from shared.bus import Bus
from shared.clock import Clock


def register(bus: Bus, *, intake: Intake, clock: Clock) -> None:
    """Subscribe ingest to the mesh."""

    async def on_documents_submitted(event: DocumentsSubmitted) -> None:
        await intake.take(core.submitted(event, clock.now()))

    bus.consume({DOCUMENTS_SUBMITTED: on_documents_submitted})
