"""What ingest is told, from `PLUMBLINE_*`; the limits as PLUMBLINE_BATCH__LINE_BYTES and so on."""

from typing import Annotated

from pydantic import Field

from contracts.corpus import MAX_DOCUMENTS_PER_BATCH
from shared.settings import DaemonSettings, Group

MIB = 1 << 20


class BatchLimits(Group):
    """How much one upload may hold; an event is limited by its message's size."""

    line_bytes: Annotated[int, Field(gt=0)] = MIB
    """Longest line, its end not counted."""
    batch_bytes: Annotated[int, Field(gt=0)] = 16 * MIB
    """Whole body, line ends included."""
    documents: Annotated[int, Field(gt=0, le=MAX_DOCUMENTS_PER_BATCH)] = MAX_DOCUMENTS_PER_BATCH
    """Most documents."""


class Settings(DaemonSettings):
    """Ingest's settings."""

    batch: BatchLimits = BatchLimits()
