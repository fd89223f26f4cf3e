"""What ingest is told, from `PLUMBLINE_*`; the limits as PLUMBLINE_BATCH__LINE_BYTES and so on."""

from typing import Annotated

from pydantic import Field

from contracts.corpus import MAX_DOCUMENTS_PER_BATCH
from shared.settings import DaemonSettings, Group, OperatorSettings

MIB = 1 << 20
Share = Annotated[float, Field(ge=0, le=1)]


class BatchLimits(Group):
    """How an upload becomes batches; an event is limited by its message's size."""

    line_bytes: Annotated[int, Field(gt=0)] = MIB
    """Longest line, its end not counted; a longer one is refused."""
    batch_bytes: Annotated[int, Field(gt=0)] = 8 * MIB
    """Lines of one batch; what is longer becomes several batches."""
    documents: Annotated[int, Field(gt=0, le=MAX_DOCUMENTS_PER_BATCH)] = MAX_DOCUMENTS_PER_BATCH
    """Most documents of one batch."""
    max_refused_share: Share = 0.5
    """Share of an upload's records that may be refused one by one; beyond it the upload is refused whole."""


class UploadLimits(Group):
    """What uploads may take of the daemon."""

    max_bytes: Annotated[int, Field(gt=0)] = 16 << 30
    """Largest body, as it is sent."""
    max_expansion: Annotated[float, Field(ge=1)] = 100.0
    """How many times its size a packed body may unpack to, beyond its first 64 MB."""
    max_open: Annotated[int, Field(gt=0)] = 16
    """Bodies that may be under way at a time; one more is asked to come back."""
    max_unfinished: Annotated[int, Field(gt=0)] = 1_000
    """Resumable uploads that may be unfinished at a time; they cost disk only, until they are gone on with or expire."""
    expire_s: Annotated[float, Field(gt=0)] = 86_400.0
    """A resumable upload that nobody has gone on with for so long is forgotten."""


class HoldRules(Group):
    """When a batch is held for a person, since it leaves what its domain got so far. Distances run from 0 (alike) to 1."""

    enabled: bool = True
    """Off: no batch is held."""
    min_batches: Annotated[int, Field(ge=1)] = 5
    """Accepted batches of a domain before one is held,"""
    min_documents: Annotated[int, Field(ge=1)] = 2_000
    """and accepted documents."""
    min_batch_documents: Annotated[int, Field(ge=1)] = 50
    """Smaller batches are not judged by lengths, labels or repetitions;"""
    min_batch_chars: Annotated[int, Field(ge=1)] = 2_000
    """shorter ones not by scripts or characters."""
    max_size_ratio: Annotated[float, Field(gt=1)] = 10.0
    """Times as many documents as a batch of the domain has on average; fewer are never too few."""
    max_length_octaves: Annotated[float, Field(ge=0)] = 1.5
    """How far the lengths of its documents lie from the usual ones on average, in doublings."""
    max_script_distance: Share = 0.3
    """Of its scripts: han, latin, digits, ..."""
    max_character_distance: Share = 0.4
    """Of its characters."""
    max_label_distance: Share = 0.8
    """Of its labels."""
    min_labels_ratio: Share = 0.25
    """With fewer labels than this share of a usual batch's documents it is not judged by their mix: one law has one label."""
    max_foreign_labels: Share = 0.5
    """Labelled documents whose label the domain has never seen."""
    max_distinct_bigrams: Share = 0.9
    """Different pairs of neighbouring characters among 10,000 or more: what people write repeats its pairs, noise does not."""
    max_repeated: Share = 0.5
    """Documents whose text the batch holds before."""
    min_relevance: Share = 0.6
    """Least share of its pairs of neighbouring characters that the domain had before."""
    max_unlike: Share = 0.1
    """Texts of which the domain had less than 60 % of the pairs: another domain's among its own."""
    num_deviations: Annotated[float, Field(ge=0)] = 4.0
    """A distance is far only if it also lies so many standard deviations above those of the batches before."""


class Settings(DaemonSettings, OperatorSettings):
    """Ingest's settings."""

    batch: BatchLimits = BatchLimits()
    upload: UploadLimits = UploadLimits()
    hold: HoldRules = HoldRules()
