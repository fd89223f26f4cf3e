"""How similar two sketched texts are."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.sketch import LONG, NUM_BITS, NUM_NARROW, NUM_SKETCH_BYTES, NUM_SLOTS, SHORT

WIDE_CHANCE = 1 / 256
NARROW_CHANCE = 1 / 16
USUAL: Final = 0.7
"""The similarity at which what is estimated in two ways is weighed by the inverse of the variances: the threshold."""

_NUM_WORDS = NUM_SKETCH_BYTES // 8
_NUM_WIDE_WORDS = NUM_SLOTS // 8
_CHUNK_PAIRS = 1 << 13
_LOW_BIT_OF_BYTES = np.uint64(0x0101010101010101)
_LOW_BIT_OF_HALVES = np.uint64(0x1111111111111111)
_WITHOUT_LAST_BYTE = np.uint64(0x00FFFFFFFFFFFFFF)


def similarities(packed: NDArray[np.uint8], left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return the estimated Jaccard similarity of pairs of texts, 0 to 1; of equal sketches exactly 1.

    Args:
        packed: Sketches. Shape (texts, 112).
        left: Rows of one text of each pair. Shape (pairs,).
        right: Rows of the other.
    """
    words = packed.reshape(-1).view(np.uint64).reshape(-1, _NUM_WORDS)
    found = np.empty(len(left), dtype=np.float32)
    for begin in range(0, len(left), _CHUNK_PAIRS):
        rows = slice(begin, begin + _CHUNK_PAIRS)
        found[rows] = _estimates(words.take(left[rows], axis=0), words.take(right[rows], axis=0))
    return found


def _estimates(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the estimates of pairs of sketches, as words of 8 bytes."""
    kinds = left[:, -1] >> np.uint64(56), right[:, -1] >> np.uint64(56)
    differing = left ^ right
    estimates = _FROM_WIDE[NUM_SLOTS - _differing_bytes(differing[:, :_NUM_WIDE_WORDS])]
    both = kinds[0] == kinds[1]
    short, long = (np.flatnonzero(both & (kinds[0] == kind)) for kind in (SHORT, LONG))
    bits, weights = _from_bits(*(_rest(words[short]) for words in (left, right)))
    estimates[short] += weights * (bits - estimates[short])
    narrow = _FROM_NARROW[NUM_NARROW - _differing_halves(_rest(differing[long]))]
    estimates[long] += _NARROW_WEIGHT * (narrow - estimates[long])
    estimates[~differing.any(axis=1)] = 1.0
    return np.asarray(np.clip(estimates, 0, 1), np.float64)


def _rest(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the words behind the wide slots, without the last byte."""
    rest = words[:, _NUM_WIDE_WORDS:].copy()
    rest[:, -1] &= _WITHOUT_LAST_BYTE
    return rest


def _from_bits(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the bits of pairs say, and its weight beside what the wide slots say."""
    one, other, in_all = (np.bitwise_count(words).sum(axis=1, dtype=np.int64) for words in (left, right, left | right))
    union = _NUM_GRAMS[in_all]
    return (_NUM_GRAMS[one] + _NUM_GRAMS[other] - union) / union, _BITS_WEIGHT[in_all]


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


def _from_slots(num_slots: int, chance: float) -> NDArray[np.float64]:
    """Return the estimate for each number of equal slots, chance agreement taken out."""
    return (np.arange(num_slots + 1) / num_slots - chance) / (1 - chance)


def _variance_of_slots(num_slots: int, chance: float) -> float:
    agree = USUAL + (1 - USUAL) * chance
    return agree * (1 - agree) / num_slots / (1 - chance) ** 2


def _num_grams() -> NDArray[np.float64]:
    """Return how many 3-grams set so many bits: linear counting. Of none at all, a little, so that it can be divided by."""
    set_bits = np.minimum(np.arange(NUM_BITS + 1), NUM_BITS - 0.5)
    return np.asarray(np.maximum(-NUM_BITS * np.log1p(-set_bits / NUM_BITS), 1e-9), np.float64)


def _bits_weight() -> NDArray[np.float64]:
    """Return the weight of the bits' estimate by the bits that are set in all.

    Of the 3-grams that two texts do not share each is seen unless another one set its bit, so with a share of exp(-t), t the
    3-grams a bit; as thinning goes, the variance of their number is that number times exp(t) - 1.
    """
    variance = (1 - USUAL) * np.expm1(_NUM_GRAMS / NUM_BITS) / _NUM_GRAMS
    wide = _variance_of_slots(NUM_SLOTS, WIDE_CHANCE)
    return np.asarray(wide / (wide + variance), np.float64)


_FROM_WIDE = _from_slots(NUM_SLOTS, WIDE_CHANCE)
_FROM_NARROW = _from_slots(NUM_NARROW, NARROW_CHANCE)
_NUM_GRAMS = _num_grams()
_BITS_WEIGHT = _bits_weight()
_NARROW_WEIGHT = _variance_of_slots(NUM_SLOTS, WIDE_CHANCE) / (
    _variance_of_slots(NUM_SLOTS, WIDE_CHANCE) + _variance_of_slots(NUM_NARROW, NARROW_CHANCE)
)
