"""Parquet tables, read a thousand rows at a time."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared.cli.errors import FileRefused, RowRefused
from shared.cli.ingest_columns import OnBad, line_of_cells, places_of, refuse

ROWS_AT_A_TIME = 1_000
BUFFER_BYTES = 1 << 20
"""Column chunks are streamed through a buffer of this size instead of being read whole."""


def parquet_lines(path: Path, columns: Mapping[str, str], *, name: str, on_bad: OnBad = refuse) -> Iterator[bytes]:
    """Yield the documents of a Parquet file.

    Args:
        path: Where it lies.
        columns: Names of columns by field, where they are not called like the field.
        name: The file, for messages; rows are counted from 1.
        on_bad: Is told of a row that is no document.

    Raises:
        FileRefused: It is no Parquet file, or what `on_bad` raises.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES))
            header = list(file.schema_arrow.names)
            places = places_of(header, columns, name=name)
            named = {field: header[place] for field, place in places.items()}
            number = 0
            batches = file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=list(named.values()), use_threads=False)
            for batch in batches:
                for row in batch.to_pylist():
                    number += 1
                    cells = {field: row[column] for field, column in named.items()}
                    try:
                        line = line_of_cells(cells, named, where=f"{name}: row {number}")
                    except RowRefused as error:
                        on_bad(error)
                        continue
                    yield line
    except (pa.ArrowException, OSError) as error:
        raise FileRefused(
            f"{name}: it cannot be read as Parquet ({error}); nothing was sent.",
            next_step="Copy the file again: it is damaged, cut off, or no Parquet.",
        ) from error
