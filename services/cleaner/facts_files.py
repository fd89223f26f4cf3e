"""What is known of a cleaned batch's documents, as an artifact: the facts, the sketch and the guard of each, in Parquet.

An index that was lost is made anew from these, without reading or sketching a text again.
"""

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.envelope import Digest
from services.cleaner.core.facts import Facts
from services.cleaner.core.near.fingerprints import Fingerprints
from services.cleaner.core.near.guard import GUARD_FORMAT
from services.cleaner.core.near.sketch import NUM_SKETCH_BYTES, SKETCH_FORMAT, Sketches
from shared.artifacts import ArtifactStore
from shared.shards import read_table, write_table

FINGERPRINT_NAMES = SKETCH, EXACT_ONLY, GUARD, FORMAT = "sketch", "is_exact_only", "guard", "format"
FINGERPRINT_FORMAT = SKETCH_FORMAT << 8 | GUARD_FORMAT
FACT_NAMES = tuple(one.name for one in fields(Facts))


@dataclass(frozen=True, kw_only=True)
class KnownDocuments:
    """What is known of a batch's documents.

    Attributes:
        facts: Of each.
        fingerprints: Of each; None: they were made by other rules, and say nothing beside today's.
    """

    facts: Facts
    fingerprints: Fingerprints | None


class FactsFiles:
    """Writes and reads what is known of batches; what is about to be read again stays in memory."""

    def __init__(self, store: ArtifactStore) -> None:
        """Use a store.

        Args:
            store: Where the batches' artifacts are.
        """
        self._store = store
        self._last: tuple[Digest, KnownDocuments] | None = None

    def write(self, facts: Facts, found: Fingerprints) -> Digest:
        """Store what is known of a batch, keep it at hand for `read`, and return the artifact's digest."""
        columns: dict[str, pa.Array] = {name: pa.array(getattr(facts, name)) for name in FACT_NAMES if name != "digest"}
        columns["digest"] = _binary(facts.digest)
        columns[SKETCH] = _binary(found.sketches.packed)
        columns[EXACT_ONLY] = pa.array(found.sketches.is_exact_only)
        columns[GUARD] = pa.array(found.guards)
        columns[FORMAT] = pa.array(np.full(len(facts), FINGERPRINT_FORMAT, np.uint16))
        digest = write_table(self._store, pa.table(columns))
        self._last = digest, KnownDocuments(facts=facts, fingerprints=found)
        return digest

    def read(self, digest: Digest) -> KnownDocuments:
        """Return what is known of a batch, from memory once after `write` or `read_ahead`.

        Raises:
            ArtifactMissing: It is gone.
            ArtifactCorrupt: It is something else.
        """
        last, self._last = self._last, None
        return last[1] if last and last[0] == digest else self._read(digest)

    def read_ahead(self, digest: Digest) -> KnownDocuments:
        """Return what is known of a batch that will be read next.

        Raises:
            ArtifactMissing: It is gone.
            ArtifactCorrupt: It is something else.
        """
        known = self._read(digest)
        self._last = digest, known
        return known

    def read_facts(self, digest: Digest) -> Facts:
        """Return the facts alone, a third of the file.

        Raises:
            ArtifactMissing: It is gone.
            ArtifactCorrupt: It is something else.
        """
        return _facts(read_table(self._store, digest, FACT_NAMES))

    def _read(self, digest: Digest) -> KnownDocuments:
        table = read_table(self._store, digest, (*FACT_NAMES, *FINGERPRINT_NAMES))
        return KnownDocuments(facts=_facts(table), fingerprints=_fingerprints(table))


def _facts(table: pa.Table) -> Facts:
    columns = {name: table[name].to_numpy() for name in FACT_NAMES if name != "digest"}
    return Facts(digest=_bytes(table["digest"], 32), **columns)


def _fingerprints(table: pa.Table) -> Fingerprints | None:
    if (table[FORMAT].to_numpy() != FINGERPRINT_FORMAT).any():
        return None
    return Fingerprints(
        sketches=Sketches(_bytes(table[SKETCH], NUM_SKETCH_BYTES), table[EXACT_ONLY].to_numpy()),
        guards=table[GUARD].to_numpy(),
    )


def _binary(rows: NDArray[np.uint8]) -> pa.Array:
    width = rows.shape[1]
    buffers = [None, pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), buffers)


def _bytes(column: pa.ChunkedArray, width: int) -> NDArray[np.uint8]:
    """Return a column of binaries of one width as rows of bytes, without copying where it lies in one piece."""
    pieces = [
        np.frombuffer(one.buffers()[1] or b"", np.uint8)[one.offset * width :][: len(one) * width]
        for one in column.chunks
    ]
    return np.concatenate(pieces or [np.empty(0, np.uint8)]).reshape(-1, width)
