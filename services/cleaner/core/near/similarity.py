"""How similar two sketched texts are."""

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.sketch import NUM_SKETCH_BYTES, NUM_SLOTS, NUM_WIDE

WIDE_WEIGHT = 0.52
"""Share of the 8-bit slots in the estimate: the inverse of their variance at a similarity of 0.7, 4-bit ones being noisier."""
WIDE_CHANCE = 1 / 256
NARROW_CHANCE = 1 / 16

_NUM_WIDE_WORDS = NUM_WIDE // 8
_CHUNK_PAIRS = 1 << 13
_LOW_BIT_OF_BYTES = np.uint64(0x0101010101010101)
_LOW_BIT_OF_HALVES = np.uint64(0x1111111111111111)


def similarities(packed: NDArray[np.uint8], left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return the estimated Jaccard similarity of pairs of texts, 0 to 1; of equal sketches exactly 1.

    Args:
        packed: Sketches. Shape (texts, 96).
        left: Rows of one text of each pair. Shape (pairs,).
        right: Rows of the other.
    """
    words = packed.reshape(-1).view(np.uint64).reshape(-1, NUM_SKETCH_BYTES // 8)
    found = np.empty(len(left), dtype=np.float32)
    for begin in range(0, len(left), _CHUNK_PAIRS):
        rows = slice(begin, begin + _CHUNK_PAIRS)
        differing = words.take(left[rows], axis=0) ^ words.take(right[rows], axis=0)
        wide = NUM_WIDE - _differing_bytes(differing[:, :_NUM_WIDE_WORDS])
        narrow = (NUM_SLOTS - NUM_WIDE) - _differing_halves(differing[:, _NUM_WIDE_WORDS:])
        found[rows] = _ESTIMATES[wide, narrow]
    return found


def _differing_bytes(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    any_bit = words | (words >> np.uint64(4))
    any_bit |= any_bit >> np.uint64(2)
    any_bit |= any_bit >> np.uint64(1)
    any_bit &= _LOW_BIT_OF_BYTES
    return np.asarray(np.bitwise_count(any_bit).sum(axis=1, dtype=np.int64))


def _differing_halves(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    any_bit = words | (words >> np.uint64(2))
    any_bit |= any_bit >> np.uint64(1)
    any_bit &= _LOW_BIT_OF_HALVES
    return np.asarray(np.bitwise_count(any_bit).sum(axis=1, dtype=np.int64))


def _estimates() -> NDArray[np.float32]:
    """Return the estimate for each number of equal wide and equal narrow slots, chance agreement taken out."""
    wide = np.arange(NUM_WIDE + 1)[:, None] / NUM_WIDE
    narrow = np.arange(NUM_SLOTS - NUM_WIDE + 1)[None, :] / (NUM_SLOTS - NUM_WIDE)
    from_wide = (wide - WIDE_CHANCE) / (1 - WIDE_CHANCE)
    from_narrow = (narrow - NARROW_CHANCE) / (1 - NARROW_CHANCE)
    both = WIDE_WEIGHT * from_wide + (1 - WIDE_WEIGHT) * from_narrow
    return np.clip(both, 0, 1).astype(np.float32)


_ESTIMATES = _estimates()
