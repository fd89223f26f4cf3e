"""From a body in a file to batches that lie ready in another one: synchronous, for a thread, in constant memory.

Nothing is taken here. What was read lies in anonymous temporary files in the state directory, which are gone with the process.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.api import RefusedRecord
from contracts.corpus import BatchStatistics
from services.ingest.core.arrivals import Arrival, uploaded
from services.ingest.core.columns import table_of_records
from services.ingest.core.entries import Entry, json_entries, text_entries, text_entry
from services.ingest.core.ignored_fields import watched
from services.ingest.core.known import text_hashes
from services.ingest.core.pairs import PairCount
from services.ingest.core.parts import MostlyRefused, Part, Tally, parts_of
from services.ingest.core.statistics import statistics_of
from services.ingest.core.unpacking import Compression, unpacked
from services.ingest.parquet_rows import parquet_entries
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments
from shared.shards import ZSTD_LEVEL

IN_MEMORY_BYTES = 8 << 20
"""What is smaller needs no file."""


class Format(StrEnum):
    """What a body holds once it is unpacked."""

    JSONL = "jsonl"
    TEXT = "text"
    PARQUET = "parquet"


@dataclass(frozen=True, kw_only=True)
class BodyKind:
    """How a body is to be read.

    Attributes:
        format: What it holds.
        compression: How it is packed.
        document_id: Of a plain text that is one document; None: each line is one.
        strict: One bad record refuses all.
    """

    format: Format
    compression: Compression = Compression.NONE
    document_id: str | None = None
    strict: bool = False


class UploadRefused(InvalidDocuments):
    """Too many of an upload's records cannot be taken.

    Attributes:
        records: All of them that were read, as JSONL.
    """

    def __init__(self, message: str, *, next_step: str | None, records: bytes) -> None:
        super().__init__(message, next_step=next_step)
        self.records = records


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A batch that lies ready.

    Attributes:
        shard: Where its documents lie in the staging file, as Parquet: offset and size.
        refused: Where the records that were left out lie, as JSONL: the same; of size 0 if there are none.
        hashes: Where the hashes of its texts lie,
        new_cells: and the cells of its pairs of characters that are new to the domain.
    """

    arrival: Arrival
    statistics: BatchStatistics
    shard: tuple[int, int]
    refused: tuple[int, int]
    hashes: tuple[int, int]
    new_cells: tuple[int, int]
    num_refused: int


@dataclass
class Staging:
    """The batches of one upload, in order, and the file that they lie in."""

    file: IO[bytes]
    batches: list[Staged] = field(default_factory=list)

    def read(self, place: tuple[int, int]) -> bytes:
        """Return a part of the file."""
        offset, size = place
        self.file.seek(offset)
        return self.file.read(size)

    def append(self, data: bytes) -> tuple[int, int]:
        """Write at the end and return where."""
        offset = self.file.seek(0, 2)
        self.file.write(data)
        return offset, len(data)

    def close(self) -> None:
        """Forget it all."""
        self.file.close()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads bodies.

    Attributes:
        folder: Where temporary files lie.
        known_pairs: Says which pairs of characters a domain has; None: nobody is asked.
    """

    folder: Path
    limits: BatchLimits
    max_expansion: float
    known_pairs: Callable[[str], NDArray[np.bool_] | None] | None = None

    def scratch(self) -> IO[bytes]:
        """Return a file without a name: in memory while it is small, and gone when it is closed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, mode="w+b", dir=str(self.folder))

    def staged(self, body: IO[bytes], kind: BodyKind, *, domain: str, now: datetime, tally: Tally) -> Staging:
        """Read a body to its end.

        Args:
            body: From its beginning on.
            kind: How it is to be read.
            domain: Whose documents they are.
            now: When it arrived.
            tally: Is kept up to date.

        Raises:
            InvalidDocuments: It is refused whole.
            UploadRefused: It is, for too many bad records.
        """
        staging = Staging(self.scratch())
        try:
            with ExitStack() as stack:
                entries = self._entries(body, kind, tally.ignored_fields, stack)
                unit = "row" if kind.format is Format.PARQUET else "line"
                for part in parts_of(entries, self.limits, tally, strict=kind.strict, unit=unit):
                    self._stage(staging, part, domain=domain, now=now)
        except MostlyRefused as error:
            with closing(staging):
                before = b"".join(staging.read(one.refused) for one in staging.batches)
            raise UploadRefused(
                str(error), next_step=error.next_step, records=before + _jsonl(error.refused)
            ) from error
        except BaseException:
            staging.close()
            raise
        return staging

    def stage(self, staging: Staging, part: Part, arrival: Arrival) -> None:
        """Put one batch down."""
        texts = [record.text for record in part.records]
        pairs = PairCount(self.known_pairs(arrival.domain) if self.known_pairs else None)
        statistics = statistics_of(part.records, today=arrival.occurred_at.date(), pairs=pairs)
        staging.batches.append(
            Staged(
                arrival=arrival,
                statistics=statistics,
                shard=staging.append(_parquet(part)),
                refused=staging.append(_jsonl(part.refused)),
                hashes=staging.append(text_hashes(texts).tobytes()),
                new_cells=staging.append(pairs.new_cells.tobytes()),
                num_refused=len(part.refused),
            )
        )

    def _stage(self, staging: Staging, part: Part, *, domain: str, now: datetime) -> None:
        if part.records:
            self.stage(staging, part, uploaded(domain, part.records, now))
            return
        # What was refused behind the last document is told beside the batch before.
        last = staging.batches.pop()
        place = staging.append(staging.read(last.refused) + _jsonl(part.refused))
        staging.batches.append(replace(last, refused=place, num_refused=last.num_refused + len(part.refused)))

    def _entries(self, body: IO[bytes], kind: BodyKind, ignored: list[str], stack: ExitStack) -> Iterator[Entry]:
        if kind.format is Format.PARQUET:
            return parquet_entries(self._seekable(body, kind, stack), ignored)
        blocks = unpacked(body, kind.compression, max_expansion=self.max_expansion)
        if kind.format is Format.JSONL:
            return json_entries(watched(blocks, ignored), max_line_bytes=self.limits.line_bytes)
        if kind.document_id is None:
            return text_entries(blocks, max_line_bytes=self.limits.line_bytes)
        return text_entry(blocks, document_id=kind.document_id)

    def _seekable(self, body: IO[bytes], kind: BodyKind, stack: ExitStack) -> IO[bytes]:
        if kind.compression is Compression.NONE:
            return body
        plain = stack.enter_context(self.scratch())
        for block in unpacked(body, kind.compression, max_expansion=self.max_expansion):
            plain.write(block)
        plain.seek(0)
        return plain


def _jsonl(records: Iterable[RefusedRecord]) -> bytes:
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def _parquet(part: Part) -> bytes:
    """Return what `shared.shards.write_table` stores of the same table."""
    sink = pa.BufferOutputStream()
    table = table_of_records(part.records)
    pq.write_table(table, sink, compression="zstd", compression_level=ZSTD_LEVEL, store_schema=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data
