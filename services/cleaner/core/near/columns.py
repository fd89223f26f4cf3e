"""What the index knows of each document, by its number: 132 bytes."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.sketch import NUM_BANDS, NUM_SKETCH_BYTES

FAMILY_BAND = NUM_BANDS
"""The band whose key is the family: versions of one text meet there, also where their guards differ."""
ALL_BANDS = (*range(NUM_BANDS), FAMILY_BAND)

GROWTH = 1.5
"""A full column is copied into one so many times as long; what of it is not used yet takes no memory."""

T = TypeVar("T", bound=np.generic)

_KEY_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Columns:
    """Documents, one a row.

    Attributes:
        packed: Sketches. Shape (documents, 112).
        guards: What must agree in duplicates. Shape (documents,).
        ranks: Who is compared in a crowded bucket: the smallest. Shape (documents,).
        families: Which text it is a version of, 0: of none. Shape (documents,).
    """

    packed: NDArray[np.uint8]
    guards: NDArray[np.uint64]
    ranks: NDArray[np.uint32]
    families: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.guards)

    def rows(self, first: int, end: int) -> "Columns":
        """Return a range of the documents, not copied."""
        return Columns(self.packed[first:end], self.guards[first:end], self.ranks[first:end], self.families[first:end])

    def keys(self, band: int, numbers: NDArray[np.uint32] | slice) -> NDArray[np.uint32]:
        """Return the keys of a band. Shape (numbers,).

        A band's key mixes its four slots with the guard: documents whose guards differ are no duplicates, so they need not meet.
        A thousand articles that differ in a date alone would otherwise crowd each other's buckets.
        """
        if band == FAMILY_BAND:
            return np.asarray(self.families[numbers])
        slots = self.packed[:, 4 * band : 4 * band + 4].view("<u4")[numbers, 0]
        salted: NDArray[np.uint64] = self.guards[numbers] ^ slots
        salted *= _KEY_FACTOR
        return (salted >> np.uint64(32)).astype(np.uint32)


class GrowingColumns:
    """Columns that take more documents at their end."""

    def __init__(self, columns: Columns) -> None:
        """Start with some documents."""
        self._room = columns
        self._num_documents = len(columns)

    def __len__(self) -> int:
        return self._num_documents

    @property
    def all(self) -> Columns:
        """All documents; what is added later does not change them."""
        return self._room.rows(0, self._num_documents)

    def append(self, added: Columns) -> None:
        """Add documents at the end."""
        end = self._num_documents + len(added)
        if end > len(self._room):
            self._grow(max(end, int(GROWTH * len(self._room))))
        place = self._room.rows(self._num_documents, end)
        place.packed[:] = added.packed
        place.guards[:] = added.guards
        place.ranks[:] = added.ranks
        place.families[:] = added.families
        self._num_documents = end

    def _grow(self, capacity: int) -> None:
        there = self.all
        self._room = Columns(
            _longer(there.packed, capacity),
            _longer(there.guards, capacity),
            _longer(there.ranks, capacity),
            _longer(there.families, capacity),
        )


def no_documents() -> Columns:
    """Return columns without documents."""
    return Columns(
        np.zeros((0, NUM_SKETCH_BYTES), dtype=np.uint8),
        np.zeros(0, dtype=np.uint64),
        np.zeros(0, dtype=np.uint32),
        np.zeros(0, dtype=np.uint32),
    )


def _longer(column: NDArray[T], capacity: int) -> NDArray[T]:
    room = np.empty((capacity, *column.shape[1:]), dtype=column.dtype)
    room[: len(column)] = column
    return room
