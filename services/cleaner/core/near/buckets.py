"""Which documents of a bucket are compared.

In a bucket of up to `BUCKET_CAP` documents all are compared with all. In a larger one, say of a template that a thousand
texts fill in, a pair counts only if one of both is among the `BUCKET_CAP` of the smallest rank. The rank follows from the
document's digest, so the pairs that count follow from the set of the documents and not from the order in which they came: a
document that enters the smallest ranks later is compared with all that are there, and the pairs of the one that it displaced no
longer count; they are left out when a version is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.edges import distinct_pairs, pack, unpack
from services.cleaner.core.near.segments import Segment, bounds, members

BUCKET_CAP = 64


@dataclass(frozen=True)
class BandPairs:
    """What a band says of a new run of documents.

    Attributes:
        pairs: Packed (larger number, smaller number), each once.
        crowded: Buckets of more than the cap, by key: the largest rank that is among the cap's smallest.
    """

    pairs: NDArray[np.uint64]
    crowded: dict[int, int]


def band_pairs(
    older: Sequence[Segment], new: Segment, band: int, ranks: NDArray[np.uint32], cap: int = BUCKET_CAP
) -> BandPairs:
    """Return the pairs of a band that count, with at least one document of the new run.

    Args:
        older: The runs that are there.
        new: The new one.
        band: Which band.
        ranks: By document number, those of the new run included.
        cap: Documents of the smallest ranks, at least 1.
    """
    keys, numbers = unpack(new.entries[band])
    begins = np.flatnonzero(np.concatenate(([len(keys) > 0], keys[1:] != keys[:-1])))
    keys = keys[begins]
    sizes = np.diff(begins, append=len(numbers))
    there = [bounds(segment.entries[band], keys) for segment in older]
    totals = sizes + sum(counts for _, counts in there)
    is_small = totals <= cap
    found = [_pairs_within(numbers, begins[is_small], sizes[is_small])]
    for segment, (starts, counts) in zip(older, there, strict=True):
        met = np.flatnonzero(is_small & (counts > 0))
        if not len(met):  # (of a small batch, most runs have nothing)
            continue
        run = unpack(segment.entries[band][spans(starts[met], counts[met])])[1]
        found.append(_pairs_between(numbers, begins[met], sizes[met], run, counts[met]))
    crowded: dict[int, int] = {}
    for at in np.flatnonzero(~is_small):
        key = int(keys[at])
        fresh = numbers[begins[at] : begins[at] + sizes[at]]
        crowded[key], pairs = _crowded_pairs(members(older, band, key), fresh, ranks, cap)
        found.append(pairs)
    return BandPairs(np.concatenate(found), crowded)


def bucket_pairs(
    bucket: NDArray[np.uint32], ranks: NDArray[np.uint32], cap: int = BUCKET_CAP
) -> tuple[int | None, NDArray[np.uint64]]:
    """Return what a whole bucket says: the largest rank that counts, None if it is not crowded, and its packed pairs."""
    if len(bucket) > cap:
        return _crowded_pairs(np.zeros(0, dtype=np.uint32), bucket, ranks, cap)
    begins, sizes = np.zeros(1, dtype=np.int64), np.full(1, len(bucket))
    return None, _pairs_within(np.sort(bucket), begins, sizes)


def spans(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of several ranges, one range after the other."""
    ends = np.cumsum(counts)
    places = np.repeat(starts - (ends - counts), counts)
    places += np.arange(len(places))
    return places


def _pairs_within(
    numbers: NDArray[np.uint32], begins: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the pairs inside each bucket of the new run; its numbers ascend inside a bucket."""
    several = sizes > 1
    if not several.any():
        return np.zeros(0, dtype=np.uint64)
    places = spans(begins[several], sizes[several])
    left = np.repeat((begins + sizes)[several], sizes[several]) - places - 1
    later = numbers[spans(places + 1, left)]
    return pack(later, np.repeat(numbers[places], left))


def _pairs_between(
    numbers: NDArray[np.uint32],
    begins: NDArray[np.int64],
    sizes: NDArray[np.int64],
    run: NDArray[np.uint32],
    counts: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Return the pairs of each bucket's new documents with its old ones, which lie in `run`, `counts` a bucket."""
    fresh = numbers[spans(begins, sizes)]
    times = np.repeat(counts, sizes)
    old = run[spans(np.repeat(np.cumsum(counts) - counts, sizes), times)]
    return pack(np.repeat(fresh, times), old)


def _crowded_pairs(
    old: NDArray[np.uint32], fresh: NDArray[np.uint32], ranks: NDArray[np.uint32], cap: int
) -> tuple[int, NDArray[np.uint64]]:
    bucket = np.concatenate((old, fresh))
    limit = np.partition(ranks[bucket], cap - 1)[cap - 1]
    # Ranks that are equal, however seldom, count all: which one would be left out could depend on the order.
    hubs = bucket[ranks[bucket] <= limit]
    fresh_hubs = fresh[ranks[fresh] <= limit]
    left = np.concatenate((np.repeat(fresh, len(hubs)), np.repeat(fresh_hubs, len(bucket))))
    right = np.concatenate((np.tile(hubs, len(fresh)), np.tile(bucket, len(fresh_hubs))))
    left, right = left[left != right], right[left != right]
    return int(limit), distinct_pairs(pack(np.maximum(left, right), np.minimum(left, right)))
