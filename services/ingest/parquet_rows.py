"""The rows of a Parquet file as records, a few values at a time: a file that unpacks to more than memory holds is read, too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from services.ingest.core.entries import MAX_TEXT_BYTES, Entry, derived_id
from services.ingest.core.ignored_fields import unknown_among
from services.ingest.core.records import RecordRefused, record_of_fields
from shared.errors import InvalidDocuments
from shared.shards import SCHEMA

ROWS_AT_A_TIME = 64
UNPACKED_BYTES = 32 << 20
"""So much of a column is unpacked at a time, but for one value that is longer."""
PARQUET_BUFFER_BYTES = 1 << 20
"""Column chunks are streamed through a buffer of this size instead of being read whole."""


def parquet_entries(body: IO[bytes], ignored: list[str] | None = None) -> Iterator[Entry]:
    """Yield the rows of a Parquet file whose columns are called like the fields of a document.

    Numbers as ids, timestamps as dates and text as bytes are taken for what they stand for. A document without an id gets one
    that follows from its text.

    Args:
        body: The file.
        ignored: Is given the names of columns that no document has.

    Raises:
        InvalidDocuments: It is no Parquet file, or has no column `text`.
    """
    try:
        file = pq.ParquetFile(pa.PythonFile(body, mode="r"), pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES)
        names = _fields_among(file.schema_arrow.names)
        if ignored is not None:
            ignored.extend(unknown_among(file.schema_arrow.names))
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
