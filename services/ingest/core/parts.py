"""From records to the batches that an upload becomes; what cannot be taken is left out with its reason, or refuses all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contracts.api import RefusedRecord
from services.ingest.core.entries import Entry
from services.ingest.core.records import Record
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments

CORRECT = "correct it and send the whole batch again; nothing of it was taken"
MAX_RAW_BYTES = 10_000
"""So much of a refused record is kept,"""
MAX_REFUSED_BYTES = 4 << 20
"""and of all refused ones of one batch; of those beyond it,"""
MAX_LATE_RAW_BYTES = 200
"""so much."""
EARLY_REFUSALS = 10_000
"""From so many refused records on, a body that is mostly bad is not read to its end."""
NUM_SHOWN = 3


class MostlyRefused(InvalidDocuments):
    """Too many of an upload's records cannot be taken.

    Attributes:
        refused: Those behind the last batch that was yielded.
    """

    def __init__(self, message: str, *, refused: Iterable[RefusedRecord]) -> None:
        super().__init__(message, next_step="correct them and send all again; nothing was taken")
        self.refused = tuple(refused)


@dataclass
class Part:
    """The documents of one batch, and what was left out beside them."""

    records: list[Record] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)
    num_bytes: int = 0
    num_refused_bytes: int = 0


@dataclass
class Tally:
    """How far the reading of an upload is; written by one thread, read by others.

    Attributes:
        ignored_fields: Names in it that no field of a document has.
    """

    num_documents: int = 0
    num_refused: int = 0
    first_reasons: list[str] = field(default_factory=list)
    ignored_fields: list[str] = field(default_factory=list)


def parts_of(
    entries: Iterable[Entry], limits: BatchLimits, tally: Tally, *, strict: bool, unit: str = "line"
) -> Iterator[Part]:
    """Yield an upload's batches: each of at most `limits.documents` documents and about `limits.batch_bytes` bytes.

    An id may stand for several texts, of one date or of several: what the corpus holds must not follow from how uploads are cut.

    Args:
        entries: The records.
        limits: How large a batch gets, and which share of the records may be bad.
        tally: Is kept up to date while reading.
        strict: One bad record refuses all.
        unit: What is counted, for messages: `line`, `row` or `document`.

    Raises:
        InvalidDocuments: Nothing is to be taken: a bad record with `strict`, or no document at all;
        MostlyRefused: or too many bad ones.
    """
    part = Part()
    for entry in entries:
        if entry.record is None:
            _refuse(part, tally, entry, unit=unit, strict=strict)
            if tally.num_refused >= EARLY_REFUSALS:
                check_share(tally, limits, part.refused)
            continue
        part.records.append(entry.record)
        part.num_bytes += entry.num_bytes
        tally.num_documents += 1
        if len(part.records) == limits.documents or part.num_bytes >= limits.batch_bytes:
            yield part
            part = Part()
    check_share(tally, limits, part.refused)
    if part.records or part.refused:
        yield part


def check_share(tally: Tally, limits: BatchLimits, refused: Iterable[RefusedRecord]) -> None:
    """Let an upload pass that holds a document, and not too many records that are none.

    Args:
        tally: What was read.
        limits: Which share of the records may be bad.
        refused: What the error tells of.

    Raises:
        InvalidDocuments: There is no record at all.
        MostlyRefused: Too many are bad.
    """
    if not tally.num_documents and not tally.num_refused:
        raise InvalidDocuments("the batch holds no document", next_step="send one JSON object a line")
    total = tally.num_documents + tally.num_refused
    if not tally.num_documents or tally.num_refused > limits.max_refused_share * total:
        shown = "; ".join(tally.first_reasons)
        what = f"{shown} ({tally.num_refused:,} of the {total:,} records read cannot be taken)"
        raise MostlyRefused(what, refused=refused)


def _refuse(part: Part, tally: Tally, entry: Entry, *, unit: str, strict: bool) -> None:
    where = f"{unit} {entry.number}: {entry.reason}"
    if strict:
        raise InvalidDocuments(where, next_step=CORRECT)
    tally.num_refused += 1
    if len(tally.first_reasons) < NUM_SHOWN:
        tally.first_reasons.append(where)
    limit = MAX_RAW_BYTES if part.num_refused_bytes < MAX_REFUSED_BYTES else MAX_LATE_RAW_BYTES
    raw = entry.raw[:limit]
    part.num_refused_bytes += len(raw)
    part.refused.append(
        RefusedRecord(
            line=entry.number,
            reason=entry.reason,
            raw=raw.decode(errors="replace"),
            is_cut=entry.is_cut or len(entry.raw) > limit,
        )
    )
