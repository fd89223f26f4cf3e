"""All pairs of texts whose 3-grams have at least some Jaccard similarity: exact, with no sketch and no estimate.

Prefix filtering (Chaudhuri, Ganti, Kaushik, ICDE 2006): with each text's 3-grams ordered from the rarest to the most frequent,
two texts of similarity t or more share one among their first n - ceil(t n) + 1. What shares one is compared exactly, unless bit
maps of both show already that one has too many 3-grams that the other lacks.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import join
from services.cleaner.core.near.skeleton import skeletons
from services.cleaner.core.near.sketch import gram_hashes

MAP_BITS = 1024
CHUNK_PAIRS = 1 << 19
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class NearPairs:
    """Pairs of texts, each once.

    Attributes:
        later: Place of the later text. Shape (pairs,).
        earlier: Place of the earlier one. Shape (pairs,).
        jaccard: Of their sets of 3-grams. Shape (pairs,).
    """

    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    jaccard: NDArray[np.float64]


def near_pairs(texts: Sequence[str], threshold: float) -> NearPairs:
    """Return all pairs of at least this similarity, 0 < threshold <= 1."""
    grams, ends = ordered_grams(texts)
    sizes = np.diff(ends, prepend=0)
    maps = bit_maps(grams, sizes)
    found = []
    for several, others in candidates(grams, ends, sizes, threshold):
        possible = np.flatnonzero(may_be_near(maps, sizes, several, others, threshold))
        later, earlier = several[possible], others[possible]
        shared = num_shared(grams, ends, sizes, later, earlier)
        jaccard = shared / (sizes[later] + sizes[earlier] - shared)
        near = jaccard >= threshold
        found.append((later[near], earlier[near], jaccard[near]))
    later, earlier, jaccard = (np.concatenate(column) for column in zip(*found, strict=True))
    _, first = np.unique(later << 32 | earlier, return_index=True)
    return NearPairs(later[first], earlier[first], jaccard[first])


def may_be_near(
    maps: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    threshold: float,
) -> NDArray[np.bool_]:
    """Return which pairs can share enough: a bit of one text that the other lacks is at least one 3-gram that it lacks."""
    lacks = np.bitwise_count(maps[left] & ~maps[right]).sum(axis=1, dtype=np.int64)
    can_share = np.minimum(np.minimum(sizes[left], sizes[right]), sizes[left] - lacks)
    needed = threshold / (1 + threshold) * (sizes[left] + sizes[right])
    return np.asarray(can_share >= needed - 1e-9)


def ordered_grams(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each text's distinct 3-grams as ranks of rarity, ascending, one text after the other, and where each text ends."""
    hashes, counts = gram_hashes(skeletons(join(texts)))
    _, which = np.unique(hashes, return_inverse=True)
    text = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    distinct = np.unique(text << _HALF | which.astype(np.uint64))
    which = (distinct & _LOW).astype(np.int64)
    frequency = np.bincount(which)
    rank = np.empty(len(frequency), dtype=np.uint64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency), dtype=np.uint64)
    ordered = np.sort(distinct & ~_LOW | rank[which])
    ends = np.searchsorted(ordered >> _HALF, np.arange(len(texts), dtype=np.uint64), side="right")
    return (ordered & _LOW).astype(np.int64), ends


def bit_maps(grams: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return which of 1,024 bits a text's 3-grams fall on. Shape (texts, 16)."""
    maps = np.zeros((len(sizes), MAP_BITS), dtype=np.bool_)
    maps[np.repeat(np.arange(len(sizes)), sizes), grams % MAP_BITS] = True
    return np.packbits(maps, axis=1).view(np.uint64)


def candidates(
    grams: NDArray[np.int64], ends: NDArray[np.int64], sizes: NDArray[np.int64], threshold: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs that share a 3-gram of their prefixes, later and earlier text; a pair may come again."""
    prefix = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    text = np.repeat(np.arange(len(sizes)), prefix)
    place = np.arange(len(text)) - np.repeat(np.cumsum(prefix) - prefix, prefix)
    gram = grams[(ends - sizes)[text] + place]
    by_gram = np.lexsort((text, gram))
    text, gram = text[by_gram], gram[by_gram]
    distance = 1
    at = np.arange(len(text))
    while len(at):
        at = at[at + distance < len(text)]
        at = at[gram[at + distance] == gram[at]]
        for begin in range(0, len(at), CHUNK_PAIRS):
            some = at[begin : begin + CHUNK_PAIRS]
            yield text[some + distance], text[some]
        distance += 1


def num_shared(
    grams: NDArray[np.int64],
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return how many 3-grams each pair of texts has in common: those that come twice among the 3-grams of both."""
    shared = np.zeros(len(left), dtype=np.int64)
    step = max(1, math.floor(2e7 / max(1, sizes.max(initial=1))))
    for begin in range(0, len(left), step):
        rows = slice(begin, begin + step)
        both = np.concatenate((left[rows], right[rows]))
        pair = np.tile(np.arange(len(both) // 2), 2)
        total = sizes[both]
        within = np.arange(total.sum()) - np.repeat(np.cumsum(total) - total, total)
        keys = np.sort(np.repeat(pair, total) << 32 | grams[np.repeat((ends - sizes)[both], total) + within])
        twice = keys[1:][keys[1:] == keys[:-1]] >> 32
        shared[rows] = np.bincount(twice, minlength=len(both) // 2)
    return shared
