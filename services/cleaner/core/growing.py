"""Columns that take more rows at their end without copying what is there each time."""

from dataclasses import fields
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import Facts

GROWTH = 1.5
"""A column that is full gets so many times its room: a row is copied three times at most, in the long run."""

ScalarT = TypeVar("ScalarT", bound=np.generic)


class GrowingArray(Generic[ScalarT]):
    """An array that grows along its first axis."""

    def __init__(self, start: NDArray[ScalarT]) -> None:
        """Start with some rows, which are copied: they may be read-only."""
        self._room = start.copy()
        self._num_rows = len(start)

    def __len__(self) -> int:
        return self._num_rows

    @property
    def all(self) -> NDArray[ScalarT]:
        """All rows; what is added later does not change them."""
        return self._room[: self._num_rows]

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows of the same shape and type at the end."""
        end = self._num_rows + len(rows)
        if end > len(self._room):
            room = np.empty((max(end, int(GROWTH * len(self._room))), *self._room.shape[1:]), self._room.dtype)
            room[: self._num_rows] = self.all
            self._room = room
        self._room[self._num_rows : end] = rows
        self._num_rows = end


class GrowingFacts:
    """Facts of documents, and of those that come after them."""

    def __init__(self) -> None:
        """Start without a document."""
        none = Facts.none()
        self._columns = {one.name: GrowingArray(getattr(none, one.name)) for one in fields(Facts)}

    def __len__(self) -> int:
        return len(self._columns["text_key"])

    @property
    def all(self) -> Facts:
        """The facts of all documents; what is added later does not change them."""
        return Facts(**{name: column.all for name, column in self._columns.items()})

    def append(self, facts: Facts) -> None:
        """Add documents at the end."""
        for name, column in self._columns.items():
            column.append(getattr(facts, name))
