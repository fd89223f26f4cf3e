"""Records as the columns of a shard, without a detour by documents; the bytes are those of `shared.shards.table_of`."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from services.ingest.core.records import Record
from shared.shards import SCHEMA


def table_of_records(records: Sequence[Record]) -> pa.Table:
    """Return records as a table with `shared.shards.SCHEMA`; a field that is not given, or empty, is null."""
    return pa.table([_column(records, field) for field in SCHEMA], schema=SCHEMA)


def _column(records: Sequence[Record], field: pa.Field) -> pa.Array:
    values = [getattr(record, field.name) or None for record in records]
    if field.name == "source":
        # The one text that may be empty without being absent.
        values = [record.source for record in records]
    if field.name == "entities":
        values = [value and msgspec.to_builtins(value) for value in values]
    return pa.array(values, type=field.type)
