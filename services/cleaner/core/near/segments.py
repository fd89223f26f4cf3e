"""Sorted runs of (key, document number), of which a band of the index consists; each is written once and never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.edges import unpack

MERGE_RATIO = 2
"""Two neighbours are merged when the older is less than so many times the newer: few runs to search, each entry merged seldom."""

_HALF = np.uint64(32)


@dataclass(frozen=True, eq=False)
class Segment:
    """What a range of documents put into each band.

    Attributes:
        first: The first document number.
        end: The last one plus 1.
        entries: By band, sorted `key << 32 | number`. Shape (documents that have the band,) each.
    """

    first: int
    end: int
    entries: Mapping[int, NDArray[np.uint64]]


def merged(older: Segment, newer: Segment) -> Segment:
    """Return one run instead of two neighbours."""
    entries = {
        # Two sorted runs: a merge sort finds them and merges them in one pass.
        band: np.sort(np.concatenate((run, newer.entries[band])), kind="stable")
        for band, run in older.entries.items()
    }
    return Segment(older.first, newer.end, entries)


def with_added(segments: Sequence[Segment], newest: Segment) -> tuple[Segment, ...]:
    """Return the runs with one more, merged so that each is at least `MERGE_RATIO` times as long as the next."""
    kept = [*segments, newest]
    while len(kept) > 1 and _length(kept[-2]) < MERGE_RATIO * _length(kept[-1]):
        newer = kept.pop()
        kept.append(merged(kept.pop(), newer))
    return tuple(kept)


def before(segments: Sequence[Segment], number: int) -> tuple[Segment, ...]:
    """Return the runs without documents from `number` on."""
    kept = []
    for segment in segments:
        if segment.end <= number:
            kept.append(segment)
        elif segment.first < number:
            entries = {band: run[unpack(run)[1] < number] for band, run in segment.entries.items()}
            kept.append(Segment(segment.first, number, entries))
    return tuple(kept)


def members(segments: Sequence[Segment], band: int, key: int) -> NDArray[np.uint32]:
    """Return the numbers of the documents in one bucket."""
    low, high = np.uint64(key << 32), np.uint64(key << 32 | 0xFFFFFFFF)
    found = []
    for segment in segments:
        run = segment.entries[band]
        found.append(unpack(run[np.searchsorted(run, low) : np.searchsorted(run, high, side="right")])[1])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint32)


def bounds(run: NDArray[np.uint64], keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each key's entries begin in a run, and how many there are.

    Args:
        run: Sorted entries.
        keys: Sorted and distinct: then the search walks through the run instead of jumping about in it.
    """
    counts = np.zeros(len(keys), dtype=np.int64)
    if not len(run):
        return counts, counts
    low = keys.astype(np.uint64) << _HALF
    begins = np.searchsorted(run, low)
    hits = np.flatnonzero((run.take(begins, mode="clip") >> _HALF == keys) & (begins < len(run)))
    counts[hits] = np.searchsorted(run, low[hits] | np.uint64(0xFFFFFFFF), side="right") - begins[hits]
    return begins, counts


def _length(segment: Segment) -> int:
    return segment.end - segment.first
