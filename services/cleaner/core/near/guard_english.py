"""The English words of many texts that count."""

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.guard_tables import LETTER_BITS, MAX_LETTERS, tables
from services.cleaner.core.near.sketch import mixed

_SEED = np.uint64(0xE7037ED1A0B428DB)


def english_words(
    place: NDArray[np.int64], text: NDArray[np.int64], own: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which letters begin a word that counts, and the words' hashes.

    Args:
        place: Of each Latin letter, at least one. Shape (letters,), as all of these.
        text: Which text it stands in.
        own: The letter.

    Returns:
        Letters that begin a word that counts, and a hash for each. Shape (words,) each.
    """
    breaks = (place[1:] != place[:-1] + 1) | (text[1:] != text[:-1])
    starts = np.flatnonzero(np.concatenate(([True], breaks)))
    lengths = np.diff(starts, append=len(place))
    offset = np.minimum(np.arange(len(place)) - np.repeat(starts, lengths), MAX_LETTERS)
    letters = tables().letter.take(own).astype(np.uint64) << (offset * LETTER_BITS).astype(np.uint64)
    packed = np.add.reduceat(letters, starts)
    english = tables().english
    listed = english.take(np.searchsorted(english, packed), mode="clip") == packed
    counts = np.flatnonzero(listed & (lengths <= MAX_LETTERS))
    return starts[counts], mixed(packed[counts] ^ _SEED)
