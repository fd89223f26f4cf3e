"""From a body in a file to batches that lie ready in another one: synchronous, for a thread, in constant memory.

Nothing is taken here. What was read lies in anonymous temporary files in the state directory, which are gone with the process.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from services.ingest.core.entries import MAX_TEXT_BYTES, Entry, derived_id, json_entries, text_entries, text_entry
from services.ingest.core.known import text_hashes
from services.ingest.core.pairs import PairCount
from services.ingest.core.parts import MostlyRefused, Part, Tally, parts_of
from services.ingest.core.records import RecordRefused, record_of_fields
from services.ingest.core.statistics import statistics_of
from services.ingest.core.unpacking import Compression, unpacked
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments
from shared.shards import SCHEMA, ZSTD_LEVEL

IN_MEMORY_BYTES = 8 << 20
"""What is smaller needs no file."""
ROWS_AT_A_TIME = 64
UNPACKED_BYTES = 32 << 20
"""So much of a column is unpacked at a time, but for one value that is longer."""
PARQUET_BUFFER_BYTES = 1 << 20
"""Column chunks are streamed through a buffer of this size instead of being read whole."""


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
                entries = self._entries(body, kind, stack)
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

    def _entries(self, body: IO[bytes], kind: BodyKind, stack: ExitStack) -> Iterator[Entry]:
        if kind.format is Format.PARQUET:
            return parquet_entries(self._seekable(body, kind, stack))
        blocks = unpacked(body, kind.compression, max_expansion=self.max_expansion)
        if kind.format is Format.JSONL:
            return json_entries(blocks, max_line_bytes=self.limits.line_bytes)
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


def parquet_entries(body: IO[bytes]) -> Iterator[Entry]:
    """Yield the rows of a Parquet file whose columns are called like the fields of a document.

    Numbers as ids, timestamps as dates and text as bytes are taken for what they stand for. A document without an id gets one
    that follows from its text.

    Raises:
        InvalidDocuments: It is no Parquet file, or has no column `text`.
    """
    try:
        file = pq.ParquetFile(pa.PythonFile(body, mode="r"), pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES)
        names = _fields_among(file.schema_arrow.names)
        number = 0
        for group in range(file.num_row_groups):
            size = _rows_at_a_time(file.metadata.row_group(group), names)
            for batch in file.iter_batches(size, row_groups=[group], columns=names, use_threads=False):
                columns = {name: _as_field(batch.column(name), name) for name in names}
                for index in range(batch.num_rows):
                    number += 1
                    yield _row(number, columns, index)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        if isinstance(error, InvalidDocuments) or (isinstance(error, OSError) and error.errno):
            raise
        raise InvalidDocuments(
            f"the body cannot be read as Parquet: {error}", next_step="send the file again; nothing was taken"
        ) from error


def _fields_among(columns: Sequence[str]) -> list[str]:
    names = [name for name in columns if name in SCHEMA.names]
    if len(set(names)) < len(names):
        twice = ", ".join(sorted({name for name in names if names.count(name) > 1}))
        raise InvalidDocuments(f"several columns are called {twice}", next_step="give each column a name of its own")
    if "text" not in names:
        shown = ", ".join(columns[:20])
        raise InvalidDocuments(
            f"there is no column 'text'; the columns are: {shown}",
            next_step="name the columns like the fields of a document, or send it by `plumb ingest --column text=COLUMN`",
        )
    return names


def _rows_at_a_time(group: pq.RowGroupMetaData, names: Sequence[str]) -> int:
    """Return how many rows are unpacked together.

    No value is longer than its column chunk, but a dictionary, or a good compression, may put one as long into every row.
    """
    chunks = [group.column(number) for number in range(group.num_columns)]
    longest = max(
        (one.total_uncompressed_size for one in chunks if one.path_in_schema.split(".")[0] in names), default=1
    )
    return max(1, min(ROWS_AT_A_TIME, UNPACKED_BYTES // max(longest, 1)))


def _as_field(column: pa.Array, name: str) -> pa.Array:
    """Return a column, cast to what the field has where that is possible without loss."""
    wanted = SCHEMA.field(name).type
    if column.type == wanted:
        return column
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # As it came: each row is then taken, or refused with the reason.
        return column


def _row(number: int, columns: Mapping[str, pa.Array], index: int) -> Entry:
    scalars = {name: column[index] for name, column in columns.items()}
    values: dict[str, object] = {}
    try:
        for name, scalar in scalars.items():
            values[name] = _value(scalar, name)
        if values.get("document_id") is None:
            values["document_id"] = derived_id(str(values.get("text") or ""))
        return Entry(number, _num_bytes(scalars["text"]), record_of_fields(values))
    except RecordRefused as error:
        return Entry(number, _num_bytes(scalars["text"]), None, str(error), repr(values).encode(errors="replace"))


def _num_bytes(scalar: pa.Scalar) -> int:
    """Return the length of a text in UTF-8, or of bytes; 0 of anything else."""
    is_text = isinstance(scalar, pa.StringScalar | pa.LargeStringScalar | pa.BinaryScalar) and scalar.is_valid
    return int(scalar.as_buffer().size) if is_text else 0


def _value(scalar: pa.Scalar, name: str) -> object:
    if (num_bytes := _num_bytes(scalar)) > MAX_TEXT_BYTES:
        raise RecordRefused(f"{name}: {num_bytes:,} bytes, and no field has more than {MAX_TEXT_BYTES:,}")
    try:
        value: object = scalar.as_py()
    except (OverflowError, ValueError) as error:
        # Dates of other millennia, and text that is no UTF-8.
        raise RecordRefused(f"{name}: {error}") from error
    return value


def _parquet(part: Part) -> bytes:
    """Return what `shared.shards.write_table` stores of the same table."""
    sink = pa.BufferOutputStream()
    table = table_of_records(part.records)
    pq.write_table(table, sink, compression="zstd", compression_level=ZSTD_LEVEL, store_schema=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data
