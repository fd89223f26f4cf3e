"""Pairs of near-duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class Edges:
    """Pairs of documents, each pair once, in the order of their numbers.

    Attributes:
        number: The document that was added later, so the larger number. Shape (pairs,).
        other: The one that was there. Shape (pairs,).
        similarity: Estimated Jaccard similarity of their 3-grams, 0 to 1. Shape (pairs,).
        same_guard: Whether their numbers, negations and modal words agree; where not, they are versions of one text and no
            duplicates. Shape (pairs,).
    """

    number: NDArray[np.uint32]
    other: NDArray[np.uint32]
    similarity: NDArray[np.float32]
    same_guard: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)

    def where(self, kept: NDArray[np.bool_]) -> "Edges":
        """Return some of the pairs."""
        return Edges(self.number[kept], self.other[kept], self.similarity[kept], self.same_guard[kept])


def no_edges() -> Edges:
    """Return no pairs."""
    none = np.zeros(0, dtype=np.uint32)
    return Edges(none, none, np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.bool_))


def union(found: Sequence[Edges]) -> Edges:
    """Return the pairs that any of them has, each once: what the owners of all shards found together."""
    if not found:
        return no_edges()
    pairs = np.concatenate([pack(edges.number, edges.other) for edges in found])
    distinct, first = np.unique(pairs, return_index=True)
    number, other = unpack(distinct)
    similarity = np.concatenate([edges.similarity for edges in found])[first]
    same_guard = np.concatenate([edges.same_guard for edges in found])[first]
    return Edges(number, other, similarity, same_guard)


def pack(high: NDArray[np.uint32], low: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return pairs of 32 bits as 64 bits, which sort as the pairs do."""
    return (high.astype(np.uint64) << _HALF) | low


def unpack(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the high and the low halves of packed pairs."""
    return (pairs >> _HALF).astype(np.uint32), (pairs & _LOW_HALF).astype(np.uint32)


def distinct_pairs(packed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the pairs sorted and each once."""
    ordered = np.sort(packed)
    is_first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]
