"""Which documents lie in which shard of a version: by the first bits of their digests, so that it follows from the documents."""

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import Facts

MAX_DOCUMENTS_PER_SHARD = 16_384
"""On average: small enough to handle one in memory, large enough that a million documents make 64 files."""
WORD_BITS = 64


def num_shards(num_documents: int) -> int:
    """Return how many shards a version has: the smallest power of two that leaves at most so many documents in one, on average.

    Example:
        >>> num_shards(0), num_shards(16_384), num_shards(16_385), num_shards(1_000_000)
        (1, 1, 2, 64)
    """
    return 1 << max(0, (max(1, num_documents) - 1) // MAX_DOCUMENTS_PER_SHARD).bit_length()


def shards_of(words: NDArray[np.uint64], number: int) -> NDArray[np.int64]:
    """Return the shard of each document.

    Args:
        words: First 8 bytes of the digests, as numbers.
        number: How many shards there are: a power of two.
    """
    bits = number.bit_length() - 1
    if bits == 0:
        return np.zeros(len(words), np.int64)
    return (words >> np.uint64(WORD_BITS - bits)).astype(np.int64)


def overlapping(shard: int, number: int, parent_number: int) -> range:
    """Return the parent's shards that may hold a shard's documents.

    Example:
        >>> list(overlapping(3, 4, 2)), list(overlapping(1, 2, 4))
        ([1], [2, 3])
    """
    if parent_number <= number:
        place = shard * parent_number // number
        return range(place, place + 1)
    factor = parent_number // number
    return range(shard * factor, (shard + 1) * factor)


def in_order_of_digests(facts: Facts, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return some documents in the order of their digests."""
    words = facts.digest[documents].view(">u8").reshape(-1, 4)
    return documents[np.lexsort((documents, *(words[:, column] for column in (3, 2, 1, 0))))]


def words_of(facts: Facts) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each document's digest, as numbers in the order of the digests."""
    return facts.digest[:, :8].copy().view(">u8").reshape(-1).astype(np.uint64)
