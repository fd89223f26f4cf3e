"""Numbers for what the near-duplicate index knows: one for each text, and where versions are possible for each text of a group.

Equal documents need no sketch of their own, so the index grows with what is different. 12 bytes a node.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import NO_DATE, Facts

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio in 64 bits (Knuth, TAOCP 3, section 6.4): spreads what is multiplied by it."""

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


def families_of(facts: Facts) -> Keys:
    """Return what the versions of a text have in common, its group; 0 where a document has no date, so no version either."""
    return np.where(facts.published_on == NO_DATE, np.uint64(0), facts.group_key)


def node_keys(facts: Facts) -> Keys:
    """Return a key for each document: equal where text and family are."""
    mixed: Keys = facts.text_key ^ (families_of(facts) * _FACTOR)
    return mixed


class NodeNumbers:
    """Gives each key that was not seen before the next number: sorted runs that are merged at two to one."""

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, NDArray[np.uint32]]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, keys: Keys) -> tuple[Numbers, Numbers]:
        """Return each key's number, and the places of those that are new, in the order of their numbers."""
        numbers = self.find(keys)
        unknown = np.flatnonzero(numbers < 0)
        distinct, first, back = np.unique(keys[unknown], return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        given = np.empty(len(distinct), np.int64)
        given[order] = self._count + np.arange(len(distinct))
        numbers[unknown] = given[back]
        self._count += len(distinct)
        if len(distinct):
            self._append(distinct, given.astype(np.uint32))
        return numbers, unknown[first[order]]

    def find(self, keys: Keys) -> Numbers:
        """Return each key's number, -1 for one that was never added."""
        numbers = np.full(len(keys), -1, np.int64)
        for known, known_numbers in self._runs:
            at = np.searchsorted(known, keys).clip(max=len(known) - 1)
            found = known[at] == keys
            numbers[found] = known_numbers[at[found]]
        return numbers

    def _append(self, keys: Keys, numbers: NDArray[np.uint32]) -> None:
        self._runs.append((keys, numbers))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            self._runs[-2:] = [_merged(self._runs[-2:])]


def _merged(runs: Sequence[tuple[Keys, NDArray[np.uint32]]]) -> tuple[Keys, NDArray[np.uint32]]:
    keys = np.concatenate([one for one, _ in runs])
    numbers = np.concatenate([one for _, one in runs])
    order = np.argsort(keys, kind="stable")
    return keys[order], numbers[order]
