"""The shards of a corpus version: what the parent has already is taken from its shards, the rest from the cleaned batches.

Memory holds one shard at a time; what is new lies in files of a scratch folder meanwhile.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.envelope import Digest
from services.cleaner.core.facts import NO_DATE, Facts
from services.cleaner.core.partition import in_order_of_digests, num_shards, overlapping, shards_of, words_of
from services.cleaner.core.verdicts import Numbers, Verdicts
from shared.artifacts import ArtifactStore
from shared.corpus import CONTENT_KEY, CORPUS_SCHEMA, DIGEST, HELD_OUT, VALID_UNTIL, CorpusManifest, CorpusShard
from shared.shards import SCHEMA, read_table, write_table

STORED_SCHEMA = pa.schema([*SCHEMA, CORPUS_SCHEMA.field(DIGEST)])
"""The columns of a cleaned batch's shard."""


@dataclass(frozen=True, kw_only=True)
class StoredBatch:
    """Where a batch's cleaned documents lie: `num_documents` of them, from row `first` of the facts on."""

    shard_digest: Digest
    first: int
    num_documents: int


@dataclass(frozen=True, kw_only=True)
class WrittenShards:
    """The shards of a version.

    Attributes:
        content_digest: SHA-256 over the documents' digests, in order.
        num_new: Documents of which the parent holds nothing with the same content.
        labels: Documents by label; `""` stands for none.
    """

    shards: tuple[CorpusShard, ...]
    content_digest: Digest
    num_new: int
    labels: Counter[str] = field(default_factory=Counter)


class ShardWriter:
    """Writes the shards of one version."""

    def __init__(
        self,
        store: ArtifactStore,
        facts: Facts,
        verdicts: Verdicts,
        held_out: NDArray[np.bool_],
        parent: CorpusManifest | None,
    ) -> None:
        """Start with what becomes of each document.

        Args:
            store: Where the shards go.
            facts: All documents of the domain.
            verdicts: What becomes of each.
            held_out: Which are for evaluation only.
            parent: The version before.
        """
        self._store = store
        self._facts = facts
        self._verdicts = verdicts
        self._held_out = held_out
        self._parent = parent
        self._words = words_of(facts)
        self._kept = in_order_of_digests(facts, np.flatnonzero(verdicts.kept))
        self._number = num_shards(len(self._kept))
        places = shards_of(self._words[self._kept], self._number)
        self._bounds = np.searchsorted(places, np.arange(self._number + 1))

    def write(self, batches: Sequence[StoredBatch], scratch: Path) -> WrittenShards:
        """Write the shards that differ from the parent's and return all of them.

        Args:
            batches: All batches of the domain, in the order of the facts.
            scratch: A folder for what is under way; nothing of it is left.

        Raises:
            ArtifactMissing: A batch's or the parent's shard is gone.
        """
        missing = [self._missing_from_parent(shard) for shard in range(self._number)]
        with tempfile.TemporaryDirectory(dir=scratch, prefix="version-") as folder:
            self._spill(missing, batches, Path(folder))
            labels: Counter[str] = Counter()
            shards = tuple(
                self._shard(shard, Path(folder, f"{shard}.arrow") if len(missing[shard]) else None, labels)
                for shard in range(self._number)
            )
        return WrittenShards(
            shards=shards,
            content_digest=hashlib.sha256(self._facts.digest[self._kept].tobytes()).hexdigest(),
            num_new=self._num_new(missing),
            labels=labels,
        )

    def _wanted(self, shard: int) -> Numbers:
        """Return the documents of a shard, in the order of their digests."""
        return self._kept[self._bounds[shard] : self._bounds[shard + 1]]

    def _missing_from_parent(self, shard: int) -> Numbers:
        wanted = self._wanted(shard)
        found = np.zeros(len(wanted), np.bool_)
        for table in self._parents_tables(shard, [DIGEST]):
            found |= _rows_of(self._facts.digest[wanted], table) >= 0
        return wanted[~found]

    def _num_new(self, missing: list[Numbers]) -> int:
        keys = self._facts.content_key[np.concatenate(missing)]
        if self._parent is None or not len(keys):
            return len(keys)
        shards = self._parent.shards
        known = [read_table(self._store, shard.digest, [CONTENT_KEY])[CONTENT_KEY].to_numpy() for shard in shards]
        return int((~np.isin(keys, np.concatenate(known))).sum())

    def _parents_tables(self, shard: int, columns: list[str] | None = None) -> list[pa.Table]:
        if self._parent is None:
            return []
        places = overlapping(shard, self._number, len(self._parent.shards))
        return [read_table(self._store, self._parent.shards[place].digest, columns) for place in places]

    def _spill(self, missing: list[Numbers], batches: Sequence[StoredBatch], folder: Path) -> None:
        """Put the missing documents, batch by batch, into one file for each shard."""
        wanted = np.zeros(len(self._facts), np.bool_)
        for numbers in missing:
            wanted[numbers] = True
        with ExitStack() as stack:
            files: dict[int, pa.RecordBatchStreamWriter] = {}
            for batch in batches:
                rows = np.flatnonzero(wanted[batch.first : batch.first + batch.num_documents])
                if not len(rows):
                    continue
                table = read_table(self._store, batch.shard_digest).take(pa.array(rows)).cast(STORED_SCHEMA)
                places = shards_of(self._words[batch.first + rows], self._number)
                for place in np.unique(places).tolist():
                    if place not in files:
                        path = folder / f"{place}.arrow"
                        files[place] = stack.enter_context(pa.ipc.new_stream(path, STORED_SCHEMA))
                    files[place].write_table(table.filter(pa.array(places == place)))

    def _shard(self, shard: int, spilled: Path | None, labels: Counter[str]) -> CorpusShard:
        wanted = self._wanted(shard)
        digests = self._facts.digest[wanted]
        parts = self._parents_tables(shard)
        reusable = parts[0] if len(parts) == 1 and spilled is None else None
        tables = [STORED_SCHEMA.empty_table(), *(_picked(digests, part) for part in parts)]
        if spilled is not None:
            with pa.ipc.open_stream(spilled) as stream:
                tables.append(stream.read_all())
        documents = pa.concat_tables([table.select(STORED_SCHEMA.names).cast(STORED_SCHEMA) for table in tables])
        table = documents.take(pa.array(_rows_of_unsorted(digests, documents)))
        table = self._with_verdicts(table, wanted)
        for label in table["label"].value_counts().to_pylist():
            labels[label["values"] or ""] += label["counts"]
        if reusable is not None and table.equals(reusable.cast(CORPUS_SCHEMA)):
            assert self._parent is not None  # noqa: S101 (for mypy: there are parent's tables only with a parent)
            return self._parent.shards[overlapping(shard, self._number, len(self._parent.shards))[0]]
        return CorpusShard(digest=write_table(self._store, table), num_documents=len(table))

    def _with_verdicts(self, table: pa.Table, wanted: Numbers) -> pa.Table:
        until = self._verdicts.valid_until[wanted]
        days = pa.array(until, pa.int32(), mask=until == NO_DATE).cast(pa.date32())
        return (
            table.append_column(CORPUS_SCHEMA.field(HELD_OUT), pa.array(self._held_out[wanted]))
            .append_column(CORPUS_SCHEMA.field(VALID_UNTIL), days)
            .append_column(CORPUS_SCHEMA.field(CONTENT_KEY), pa.array(self._facts.content_key[wanted]))
        )


def _digests_in(table: pa.Table) -> NDArray[np.uint8]:
    column = table[DIGEST].cast(pa.binary(32)).combine_chunks()
    chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
    if not len(table):
        return np.empty((0, 32), np.uint8)
    return np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * 32 : (chunk.offset + len(chunk)) * 32].reshape(
        -1, 32
    )


def _rows_of(digests: NDArray[np.uint8], table: pa.Table) -> NDArray[np.int64]:
    """Return the row of each digest in a table that is in the order of its digests, or -1."""
    held = _digests_in(table)
    if not len(held):
        return np.full(len(digests), -1, np.int64)
    at = np.searchsorted(_first_words(held), _first_words(digests)).clip(max=len(held) - 1)
    return np.where((held[at] == digests).all(axis=1), at, -1)


def _rows_of_unsorted(digests: NDArray[np.uint8], table: pa.Table) -> NDArray[np.int64]:
    order = np.argsort(_first_words(_digests_in(table)), kind="stable")
    return order[_rows_of(digests, table.select([DIGEST]).take(pa.array(order)))]


def _picked(digests: NDArray[np.uint8], table: pa.Table) -> pa.Table:
    rows = _rows_of(digests, table)
    return table.take(pa.array(rows[rows >= 0]))


def _first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
