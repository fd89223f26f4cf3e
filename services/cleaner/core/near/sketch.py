"""Sketches: 96 bytes that tell how many character 3-grams two texts share.

Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup, FOCS 2017): round after round each 3-gram falls into one of 128 slots, a
slot keeps the smallest hash of the first round that reached it, and a text is done when no slot of it is empty. A text of 100
characters takes about six passes where classic MinHash takes 128, and the error is smaller, since the first round draws
without replacement. After `NUM_ROUNDS` each slot that is still empty takes the smallest of a hash of its own, as in MinHash.

Two slots agree with the probability of the texts' Jaccard similarity, so it is enough to keep a few bits of each (b-bit
minwise hashing, Li and König, WWW 2010) and to correct for those that agree by chance: 8 bits of the first 64 slots, which also
make the keys of 16 bands of 4 slots, and 4 bits of the others.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import Codepoints
from services.cleaner.core.near.skeleton import skeletons

SKETCH_FORMAT: Final = 1
"""Raised with any change of what follows: sketches of two formats cannot be compared. Tests pin known answers."""

NUM_GRAM_CHARS: Final = 3
NUM_SLOTS: Final = 128
NUM_ROUNDS: Final = 6
NUM_WIDE: Final = 64
"""Slots of which 8 bits are kept; of the others 4."""
NUM_BANDS: Final = 16
NUM_WIDE_BYTES: Final = NUM_WIDE
NUM_SKETCH_BYTES: Final = NUM_WIDE + (NUM_SLOTS - NUM_WIDE) // 2

WORTH_LEAVING: Final = 0.5
"""Texts without an empty slot take part in further rounds, in vain, while they have at least this share of the 3-grams: long
ones are done after the first round, and to sort out those of 130 characters costs more than it saves."""

_EMPTY = np.uint32(0xFFFFFFFF)
_ROUND_SHIFT = 28
_BIN_SHIFT = np.uint32(25)
_VALUE_MASK = np.uint32((1 << 25) - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit hashes of 64-bit values, one to one (the finaliser of SplitMix64, Steele et al., OOPSLA 2014)."""
    values = values ^ (values >> np.uint64(30))
    values *= _MIX_1
    values ^= values >> np.uint64(27)
    values *= _MIX_2
    values ^= values >> np.uint64(31)
    return values


def _odd_factors(count: int) -> NDArray[np.uint32]:
    """Return odd factors, pinned by their definition: a well-mixed hash times one of them is one more hash of the same 3-gram."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return (mixed(steps) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)


_FACTORS = _odd_factors(NUM_ROUNDS + NUM_SLOTS)
_ROUND_FACTORS = _FACTORS[:NUM_ROUNDS]
_SLOT_FACTORS = _FACTORS[NUM_ROUNDS:]


@dataclass(frozen=True)
class Sketches:
    """Sketches of many texts.

    Attributes:
        packed: The low bytes of slots 0 to 63, then the low halves of bytes of slots 64 to 127, the even slot's in the low half.
            Shape (texts, 96). All zero where `is_exact_only`.
        is_exact_only: The skeleton has fewer than three characters, hence no 3-gram: the text has no near-duplicates, only
            equal ones. Shape (texts,).
    """

    packed: NDArray[np.uint8]
    is_exact_only: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: slice) -> "Sketches":
        return Sketches(self.packed[rows], self.is_exact_only[rows])


def no_sketches() -> Sketches:
    """Return the sketches of no texts."""
    return Sketches(np.zeros((0, NUM_SKETCH_BYTES), dtype=np.uint8), np.zeros(0, dtype=np.bool_))


def sketch(texts: Codepoints) -> Sketches:
    """Sketch some texts: a text's sketch depends on its skeleton's set of 3-grams and on nothing else.

    Args:
        texts: Few enough that their slots (512 B a text) and 3-grams (16 B each) stay in the cache.
    """
    grams, counts = gram_hashes(skeletons(texts))
    return Sketches(_packed(_slots(grams, counts)), counts == 0)


def gram_hashes(skeleton: Codepoints) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of all 3-grams, none across two texts, and how many each text has (0 below three characters)."""
    lengths = np.diff(skeleton.ends, prepend=0)
    counts = np.maximum(lengths - (NUM_GRAM_CHARS - 1), 0)
    if len(skeleton.values) < NUM_GRAM_CHARS:
        return np.zeros(0, dtype=np.uint64), counts
    is_inside = np.ones(len(skeleton.values), dtype=np.bool_)
    for behind in range(1, NUM_GRAM_CHARS):
        is_inside[skeleton.ends[lengths >= behind] - behind] = False
    wide = skeleton.values.astype(np.uint64)
    grams = wide[:-2] << np.uint64(42)
    grams |= wide[1:-1] << np.uint64(21)
    grams |= wide[2:]
    return mixed(grams[is_inside[:-2]]), counts


def _slots(grams: NDArray[np.uint64], counts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return each text's slots, the round in the high bits so that an earlier round is smaller. Shape (texts, 128)."""
    slots = np.full((len(counts), NUM_SLOTS), _EMPTY, dtype=np.uint32)
    halves = [(grams >> np.uint64(32)).astype(np.uint32), grams.astype(np.uint32)]
    left, rows = halves, np.repeat(np.arange(len(counts)) * NUM_SLOTS, counts)
    was_open = counts > 0
    for number, factor in enumerate(_ROUND_FACTORS):
        is_open = was_open & (slots.max(axis=1) == _EMPTY)
        if counts[is_open].sum() < WORTH_LEAVING * len(rows):
            stays = np.flatnonzero(np.repeat(is_open[was_open], counts[was_open]))
            left, rows, was_open = [half.take(stays) for half in left], rows.take(stays), is_open
        _throw(slots.reshape(-1), left[number % 2] * factor, rows, number)
    _fill(slots, halves[0], counts)
    return slots


def _throw(flat: NDArray[np.uint32], hashes: NDArray[np.uint32], rows: NDArray[np.int64], number: int) -> None:
    """Let each 3-gram fall into one slot of its text."""
    places = (hashes >> _BIN_SHIFT).astype(np.int64)
    places += rows
    hashes &= _VALUE_MASK
    hashes |= np.uint32(number << _ROUND_SHIFT)
    np.minimum.at(flat, places, hashes)


def _fill(slots: NDArray[np.uint32], hashes: NDArray[np.uint32], counts: NDArray[np.int64]) -> None:
    """Give each slot that no round reached the smallest hash of the slot's own, over all 3-grams of its text."""
    text, slot = np.nonzero((slots == _EMPTY) & (counts > 0)[:, None])
    if not len(text):
        return
    sizes = counts[text]
    begins = np.cumsum(sizes) - sizes
    which = np.repeat((np.cumsum(counts) - counts)[text] - begins, sizes)
    which += np.arange(len(which))
    own = hashes.take(which)
    own *= np.repeat(_SLOT_FACTORS[slot], sizes)
    own &= _VALUE_MASK
    slots[text, slot] = np.minimum.reduceat(own, begins) | np.uint32(NUM_ROUNDS << _ROUND_SHIFT)


def _packed(slots: NDArray[np.uint32]) -> NDArray[np.uint8]:
    low = slots.astype(np.uint8)
    narrow = low[:, NUM_WIDE:] & 15
    packed = np.concatenate((low[:, :NUM_WIDE], narrow[:, ::2] | (narrow[:, 1::2] << 4)), axis=1)
    packed[slots[:, 0] == _EMPTY] = 0
    return packed
