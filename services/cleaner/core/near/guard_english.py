"""The English words of many texts that count, and the letters that name a class: III级, A类."""

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.guard_tables import LETTER_BITS, MAX_LETTERS, tables
from services.cleaner.core.near.sketch import mixed

_SEED = np.uint64(0xE7037ED1A0B428DB)
_ROMAN = np.isin(np.arange(1 << LETTER_BITS), [ord(letter) - ord("a") + 1 for letter in "ivx"])
_PARTS = np.isin(np.arange(1 << LETTER_BITS), [ord(letter) - ord("a") + 1 for letter in "abcd"])
"""What may follow it: IIIA期."""
_MAX_CLASS = 5
"""Letters of a Roman numeral before 级: VIII and XVIII."""


def english_words(
    place: NDArray[np.int64], text: NDArray[np.int64], own: NDArray[np.uint32], behind: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which letters begin a word that counts, and the words' hashes.

    Args:
        place: Of each Latin letter, at least one. Shape (letters,), as all of these.
        text: Which text it stands in.
        own: The letter.
        behind: The character behind it.

    Returns:
        Letters that begin a word that counts, and a hash for each. Shape (words,) each.
    """
    breaks = (place[1:] != place[:-1] + 1) | (text[1:] != text[:-1])
    starts = np.flatnonzero(np.concatenate(([True], breaks)))
    lengths = np.diff(starts, append=len(place))
    offset = np.minimum(np.arange(len(place)) - np.repeat(starts, lengths), MAX_LETTERS)
    letter = tables().letter.take(own)
    packed = np.add.reduceat(letter.astype(np.uint64) << (offset * LETTER_BITS).astype(np.uint64), starts)
    english = tables().english
    listed = english.take(np.searchsorted(english, packed), mode="clip") == packed
    is_class = tables().is_class.take(behind[starts + lengths - 1]) & (lengths <= _MAX_CLASS)
    is_roman = _ROMAN.take(letter)
    lasts = starts + lengths - 1
    is_roman[lasts] |= _PARTS.take(letter[lasts])
    is_class &= (lengths == 1) | np.logical_and.reduceat(is_roman, starts)
    counts = np.flatnonzero(listed & (lengths <= MAX_LETTERS) | is_class)
    return starts[counts], mixed(packed[counts] ^ _SEED)
