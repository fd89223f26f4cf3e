"""The texts that a domain was given, as a few bytes each: enough to say how many of a batch's texts it has already."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8
NUM_PARTS = 1 << 8
PART_SHIFT, LOWER_SHIFT = np.uint64(56), np.uint64(24)
LOWER_BITS = np.uint64(0xFFFF_FFFF)
KEPT_BITS = np.uint64(0xFFFF_FFFF_FF00_0000)
MOST_RECENT = 1 << 16
"""What is new is kept apart up to this number, so that not every batch moves all that is there."""

Hashes = NDArray[np.uint64]
Unsigned = TypeVar("Unsigned", bound=np.unsignedinteger[Any])


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
    """Hashes of texts, of each the upper 40 bits: an array of 32 bits for each value of the upper 8.

    What is new grows one small array at a time, so that no second copy of all of them is ever held. Of 10 million texts, one that
    is not there is taken for known with a probability of one in a hundred thousand.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._settled = [np.empty(0, dtype=np.uint32) for _ in range(NUM_PARTS)]
        self._recent: Hashes = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        """Return how many different ones there are."""
        return sum(map(len, self._settled)) + len(self._recent)

    def count(self, hashes: Hashes) -> int:
        """Return how many of the given ones are there, each as often as it is given."""
        ordered = np.sort(hashes & KEPT_BITS)
        return int(self._have(ordered).sum())

    def add(self, hashes: Hashes) -> None:
        """Take some more."""
        new = np.unique(hashes & KEPT_BITS)
        self._recent = _with(self._recent, new[~self._have(new)])
        if len(self._recent) > MOST_RECENT:
            for part, ordered in _parts(self._recent):
                self._settled[part] = _with(self._settled[part], ordered)
            self._recent = self._recent[:0]

    def _have(self, ordered: Hashes) -> NDArray[np.bool_]:
        settled = [_are_in(some, self._settled[part]) for part, some in _parts(ordered)]
        return np.concatenate([*settled, np.zeros(0, dtype=bool)]) | _are_in(ordered, self._recent)


def _parts(ordered: Hashes) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """Yield ascending hashes by their upper 8 bits, of each the next 32; values that no hash has are left out."""
    parts, starts = np.unique(ordered >> PART_SHIFT, return_index=True)
    lower = ((ordered >> LOWER_SHIFT) & LOWER_BITS).astype(np.uint32)
    for part, start, end in zip(parts.tolist(), starts, [*starts[1:], len(ordered)], strict=False):
        yield part, lower[start:end]


def _with(ordered: NDArray[Unsigned], new: NDArray[Unsigned]) -> NDArray[Unsigned]:
    """Return two ascending arrays as one."""
    return np.insert(ordered, np.searchsorted(ordered, new), new)


def _are_in(values: NDArray[Unsigned], ordered: NDArray[Unsigned]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == values
    return found
