"""Shards: documents as columns, in Parquet with zstd. The same documents in the same order give the same bytes.

Two ways in and out: as `Document` values, one by one, for who wants to read them; as an Arrow table, whole columns at a time, for
who handles a million of them.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.corpus import Document, Entity
from contracts.envelope import Digest
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt

ENTITY = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("group", pa.string()),
        pa.field("published_on", pa.date32()),
        pa.field("source", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("entities", pa.list_(ENTITY)),
        pa.field("licence", pa.string()),
        pa.field("language", pa.string()),
        pa.field("picture", pa.string()),
        pa.field("tenant", pa.string()),
        pa.field("annotated_at", pa.timestamp("us", "UTC")),
        pa.field("augmented_from", pa.string()),
    ]
)
"""The columns of a document. A stage may put columns of its own behind them."""
ZSTD_LEVEL = 3
ROWS_AT_A_TIME = 1_000


def table_of(documents: Iterable[Document]) -> pa.Table:
    """Return documents as a table with `SCHEMA`; a field that is not given, or empty, is null."""
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for document in documents:
        for name, values in columns.items():
            values.append(_cell(getattr(document, name)))
    return pa.table(columns, schema=SCHEMA)


def _cell(value: object) -> object:
    match value:
        case ():
            return None
        case (Entity(), *_):
            return [entity.model_dump() for entity in value if isinstance(entity, Entity)]
        case _:
            return value


def documents_of(table: pa.Table) -> Iterator[Document]:
    """Yield a table's documents; further columns are left aside.

    Raises:
        ValidationError: A row is no document.
    """
    for rows in table.select(SCHEMA.names).to_batches(max_chunksize=ROWS_AT_A_TIME):
        for row in rows.to_pylist():
            yield Document.model_validate({name: value for name, value in row.items() if value is not None})


def write_table(store: ArtifactStore, table: pa.Table) -> Digest:
    """Store a table as one shard and return its digest."""
    sink = pa.BufferOutputStream()
    # A dictionary is tried for each column and given up where values do not repeat; the writer's version is in the bytes.
    pq.write_table(table, sink, compression="zstd", compression_level=ZSTD_LEVEL, store_schema=False)
    return store.put_bytes(sink.getvalue().to_pybytes())


def read_table(store: ArtifactStore, digest: Digest, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a shard, or some of its columns.

    Raises:
        ArtifactMissing: The shard is gone.
        ArtifactCorrupt: It is not a shard, or lacks a column.
    """
    data = store.read_bytes(digest)
    try:
        # The file by itself: the reader of whole data sets takes twice as long for a small one.
        table = pq.ParquetFile(pa.BufferReader(data)).read(list(columns) if columns else None)
        return table.select(list(columns)) if columns else table
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        msg = f"artifact {digest} is not a shard of documents: {error}"
        raise ArtifactCorrupt(msg) from error
