"""The texts that a domain was given, as 64 bits each: enough to say how many of a batch's texts it has already."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8
"""Of 10 million texts, two differ and share a hash with a probability of 3 in a million (n^2 / 2^65)."""
MOST_RECENT = 1 << 16
"""What is new is kept apart up to this number, so that not every batch moves the whole array."""

Hashes = NDArray[np.uint64]


def text_hashes(texts: Iterable[str]) -> Hashes:
    """Return a hash of each text, of its characters alone; (texts,) uint64.

    Example:
        >>> text_hashes(["第一条"]).tolist() == text_hashes(["第一条"]).tolist()
        True
    """
    data = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest() for text in texts
    )
    return np.frombuffer(data, dtype="<u8")


def hashes_of_bytes(data: bytes) -> Hashes:
    """Return hashes that were written as bytes; what is cut off at the end is left out."""
    return np.frombuffer(data[: len(data) // HASH_BYTES * HASH_BYTES], dtype="<u8")


class TextSet:
    """Hashes that only grow in number: 8 bytes each."""

    def __init__(self, hashes: Hashes) -> None:
        """Start with some.

        Args:
            hashes: In any order, each as often as it comes.
        """
        self._settled = np.unique(hashes)
        self._recent = self._settled[:0]

    def __len__(self) -> int:
        """Return how many different ones there are."""
        return len(self._settled) + len(self._recent)

    def count(self, hashes: Hashes) -> int:
        """Return how many of the given ones are there, each as often as it is given."""
        return int(self._have(hashes).sum())

    def add(self, hashes: Hashes) -> None:
        """Take some more."""
        new = np.unique(hashes)
        self._recent = _with(self._recent, new[~self._have(new)])
        if len(self._recent) > MOST_RECENT:
            self._settled = _with(self._settled, self._recent)
            self._recent = self._settled[:0]

    def _have(self, hashes: Hashes) -> NDArray[np.bool_]:
        return _are_in(hashes, self._settled) | _are_in(hashes, self._recent)


def _with(ordered: Hashes, new: Hashes) -> Hashes:
    """Return two ordered arrays as one; sorting both together would hold three times as much."""
    return np.insert(ordered, np.searchsorted(ordered, new), new)


def _are_in(hashes: Hashes, ordered: Hashes) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(hashes), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == hashes
    return found
