"""Documents that arrive as events."""

from contracts.corpus import DocumentsSubmitted
from contracts.topics import DOCUMENTS_SUBMITTED
from services.ingest.run import Intake
from shared.bus import Bus


def register(bus: Bus, *, intake: Intake) -> None:
    """Subscribe ingest to the mesh."""

    async def on_documents_submitted(event: DocumentsSubmitted) -> None:
        await intake.take_event(event)

    bus.consume({DOCUMENTS_SUBMITTED: on_documents_submitted})
