"""Sketches: 112 bytes that tell how many character 3-grams two texts share.

64 slots as of Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup, FOCS 2017): round after round each 3-gram falls into one of
the slots, a slot keeps the smallest hash of the first round that reached it, and a text is done when no slot of it is empty. The
first round draws without replacement. After `NUM_ROUNDS` each slot that is still empty takes the smallest of a hash of its own,
as in MinHash. Two slots agree with the probability of the texts' Jaccard similarity, so it is enough to keep 8 bits of each
(b-bit minwise hashing, Li and König, WWW 2010) and to correct for those that agree by chance. They make the keys of 16 bands of
4 slots, which is what they are for: whoever shares none is not compared.

Among those that are, 64 slots err by 0.06, too much beside a threshold. So 376 bits follow, of which each 3-gram sets one
(linear counting, Whang, Vander-Zanden and Taylor, ACM TODS 15, 1990). How many are set in either text and in both together tells
how many 3-grams these have, and every 3-gram is looked at instead of 64: of two texts with 120 in all the estimate errs by 0.025,
with 400 by 0.03, and together with the slots by 0.023 and 0.028, where 128 slots in 96 bytes erred by 0.042. Of a text of about a
thousand 3-grams nearly all bits are set. Instead of them such a text has 94 more slots, of 4 bits, and its last byte says so.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import Codepoints
from services.cleaner.core.near.skeleton import skeletons

SKETCH_FORMAT: Final = 2
"""Raised with any change of what follows: sketches of two formats cannot be compared. Tests pin known answers."""

NUM_GRAM_CHARS: Final = 3
NUM_SLOTS: Final = 64
"""Slots of which 8 bits are kept."""
NUM_ROUNDS: Final = 6
NUM_BANDS: Final = 16
NUM_BITS: Final = 376
MAX_BITS_SET: Final = 350
"""A text with more of its bits set has slots instead: it has about a thousand different 3-grams."""
NUM_NARROW: Final = NUM_BITS // 4
"""Slots of which 4 bits are kept, in place of the bits."""
SHORT, LONG = 0, 1
"""The last byte: what is between it and the slots of 8 bits."""
NUM_SKETCH_BYTES: Final = NUM_SLOTS + NUM_BITS // 8 + 1

WORTH_LEAVING: Final = 0.5
"""Texts without an empty slot take part in further rounds, in vain, while they have at least this share of the 3-grams: long
ones are done after the first round, and to sort out those of 130 characters costs more than it saves."""

_EMPTY = np.uint32(0xFFFFFFFF)
_ROUND_SHIFT = 28
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


_NUM_THROWN_NARROW = 128
"""Slots that the 3-grams of a long text fall into: a power of two, of which the first `NUM_NARROW` are kept."""
_FACTORS = _odd_factors(2 * NUM_ROUNDS + NUM_SLOTS + _NUM_THROWN_NARROW + 1)
_WIDE_FACTORS, _NARROW_FACTORS = np.split(_FACTORS[:-1], [NUM_ROUNDS + NUM_SLOTS])
_BIT_FACTOR = _FACTORS[-1]


@dataclass(frozen=True)
class Sketches:
    """Sketches of many texts.

    Attributes:
        packed: The low bytes of the 64 slots; then the bits, or the low halves of bytes of 94 slots, the even slot's in the low
            half; then `SHORT` or `LONG`. Shape (texts, 112). All zero where `is_exact_only`.
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
        texts: Few enough that their slots (256 B a text), bits (376 B) and 3-grams (16 B each) stay in the cache.
    """
    grams, counts = gram_hashes(skeletons(texts))
    packed = np.zeros((len(counts), NUM_SKETCH_BYTES), dtype=np.uint8)
    packed[:, :NUM_SLOTS] = _slots(grams, counts, NUM_SLOTS, _WIDE_FACTORS)
    bits = _bits(grams, counts)
    packed[:, NUM_SLOTS:-1] = np.packbits(bits, axis=1)
    is_long = bits.sum(axis=1) > MAX_BITS_SET
    if is_long.any():
        narrow = _slots(grams[np.repeat(is_long, counts)], counts[is_long], _NUM_THROWN_NARROW, _NARROW_FACTORS)
        halves = narrow[:, :NUM_NARROW].astype(np.uint8) & 15
        packed[is_long, NUM_SLOTS:-1] = halves[:, ::2] | (halves[:, 1::2] << 4)
        packed[is_long, -1] = LONG
    packed[counts == 0] = 0
    return Sketches(packed, counts == 0)


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


def _bits(grams: NDArray[np.uint64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which bits of each text its 3-grams set. Shape (texts, 376)."""
    bits = np.zeros((len(counts), NUM_BITS), dtype=np.bool_)
    places = (grams.astype(np.uint32) * _BIT_FACTOR).astype(np.uint64)
    places *= np.uint64(NUM_BITS)
    places >>= np.uint64(32)
    places += np.repeat(np.arange(len(counts), dtype=np.uint64) * np.uint64(NUM_BITS), counts)
    bits.reshape(-1)[places] = True
    return bits


def _slots(
    grams: NDArray[np.uint64], counts: NDArray[np.int64], num_slots: int, factors: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Return each text's slots, the round in the high bits so that an earlier round is smaller. Shape (texts, num_slots).

    Args:
        grams: All 3-grams.
        counts: How many of them each text has.
        num_slots: A power of two, at most 128.
        factors: One a round, then one a slot.
    """
    slots = np.full((len(counts), num_slots), _EMPTY, dtype=np.uint32)
    halves = [(grams >> np.uint64(32)).astype(np.uint32), grams.astype(np.uint32)]
    left, rows = halves, np.repeat(np.arange(len(counts)) * num_slots, counts)
    shift = np.uint32(33 - num_slots.bit_length())
    was_open = counts > 0
    for number, factor in enumerate(factors[:NUM_ROUNDS]):
        is_open = was_open & (slots.max(axis=1) == _EMPTY)
        if counts[is_open].sum() < WORTH_LEAVING * len(rows):
            stays = np.flatnonzero(np.repeat(is_open[was_open], counts[was_open]))
            left, rows, was_open = [half.take(stays) for half in left], rows.take(stays), is_open
        _throw(slots.reshape(-1), left[number % 2] * factor, rows, number, shift)
    _fill(slots, halves[0], counts, factors[NUM_ROUNDS:])
    return slots


def _throw(
    flat: NDArray[np.uint32], hashes: NDArray[np.uint32], rows: NDArray[np.int64], number: int, shift: np.uint32
) -> None:
    """Let each 3-gram fall into one slot of its text, by the bits of its hash above `shift`."""
    places = (hashes >> shift).astype(np.int64)
    places += rows
    hashes &= _VALUE_MASK
    hashes |= np.uint32(number << _ROUND_SHIFT)
    np.minimum.at(flat, places, hashes)


def _fill(
    slots: NDArray[np.uint32], hashes: NDArray[np.uint32], counts: NDArray[np.int64], factors: NDArray[np.uint32]
) -> None:
    """Give each slot that no round reached the smallest hash of the slot's own, over all 3-grams of its text."""
    text, slot = np.nonzero((slots == _EMPTY) & (counts > 0)[:, None])
    if not len(text):
        return
    sizes = counts[text]
    begins = np.cumsum(sizes) - sizes
    which = np.repeat((np.cumsum(counts) - counts)[text] - begins, sizes)
    which += np.arange(len(which))
    own = hashes.take(which)
    own *= np.repeat(factors[slot], sizes)
    own &= _VALUE_MASK
    slots[text, slot] = np.minimum.reduceat(own, begins) | np.uint32(NUM_ROUNDS << _ROUND_SHIFT)
