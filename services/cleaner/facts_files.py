"""What is known of a cleaned batch's documents, as an artifact: the facts, the sketch and the guard of each, in Parquet.

An index that was lost is made anew from these, without reading or sketching a text again.
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.envelope import Digest
from services.cleaner.core.facts import Facts
from services.cleaner.core.near.fingerprints import Fingerprints
from services.cleaner.core.near.guard import GUARD_FORMAT
from services.cleaner.core.near.sketch import NUM_SKETCH_BYTES, SKETCH_FORMAT, Sketches
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt
from shared.shards import read_table, write_table

SKETCH, EXACT_ONLY, GUARD, FORMAT = "sketch", "is_exact_only", "guard", "format"
FINGERPRINT_FORMAT = SKETCH_FORMAT << 8 | GUARD_FORMAT
FACT_NAMES = tuple(one.name for one in fields(Facts))


def write_facts(store: ArtifactStore, facts: Facts, found: Fingerprints) -> Digest:
    """Store what is known of a batch and return the artifact's digest."""
    columns: dict[str, pa.Array] = {name: pa.array(getattr(facts, name)) for name in FACT_NAMES if name != "digest"}
    columns["digest"] = _binary(facts.digest)
    columns[SKETCH] = _binary(found.sketches.packed)
    columns[EXACT_ONLY] = pa.array(found.sketches.is_exact_only)
    columns[GUARD] = pa.array(found.guards)
    columns[FORMAT] = pa.array(np.full(len(facts), FINGERPRINT_FORMAT, np.uint16))
    return write_table(store, pa.table(columns))


def read_facts(store: ArtifactStore, digest: Digest) -> Facts:
    """Return what is known of a batch.

    Raises:
        ArtifactMissing: It is gone.
        ArtifactCorrupt: It is something else.
    """
    table = read_table(store, digest, FACT_NAMES)
    _check(table, FACT_NAMES, digest)
    columns = {name: table[name].to_numpy() for name in FACT_NAMES if name != "digest"}
    return Facts(digest=_bytes(table, "digest", 32), **columns)


def read_fingerprints(store: ArtifactStore, digest: Digest) -> Fingerprints | None:
    """Return the sketches and guards of a batch; None: they were made by other rules, and say nothing beside today's.

    Raises:
        ArtifactMissing: It is gone.
        ArtifactCorrupt: It is something else.
    """
    table = read_table(store, digest, (SKETCH, EXACT_ONLY, GUARD, FORMAT))
    _check(table, (SKETCH, EXACT_ONLY, GUARD, FORMAT), digest)
    if (table[FORMAT].to_numpy() != FINGERPRINT_FORMAT).any():
        return None
    return Fingerprints(
        sketches=Sketches(_bytes(table, SKETCH, NUM_SKETCH_BYTES), table[EXACT_ONLY].to_numpy()),
        guards=table[GUARD].to_numpy(),
    )


def _check(table: pa.Table, names: Sequence[str], digest: Digest) -> None:
    missing = set(names).difference(table.column_names)
    if missing:
        msg = f"artifact {digest} does not hold what is known of a batch: no {', '.join(sorted(missing))}"
        raise ArtifactCorrupt(msg)


def _binary(rows: NDArray[np.uint8]) -> pa.Array:
    width = rows.shape[1]
    buffers = [None, pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), buffers)


def _bytes(table: pa.Table, name: str, width: int) -> NDArray[np.uint8]:
    joined = b"".join(table[name].to_pylist())
    return np.frombuffer(joined, np.uint8).reshape(-1, width)
