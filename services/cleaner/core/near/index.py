"""The index of near-duplicates: which documents are nearly equal, and how nearly.

A document has a number, given by the caller's ledger in the order of adding: 0, 1, 2 and so on. Its sketch makes 16 keys,
one a band; documents that share a key are candidates, and their sketches tell how similar they are. What is found depends on
the set of the documents alone, not on the order or the size of the batches.

State a document: 112 B sketch, 8 B guard, 4 B rank, 4 B family, 8 B in each of 16 bands and, with a family, in one more; 13 B
a pair.

Scale-out: an owner of a part of the bands holds all documents' columns and its own bands; the union of what the owners find is
what one index of all bands finds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.buckets import band_pairs, bucket_pairs
from services.cleaner.core.near.columns import ALL_BANDS, FAMILY_BAND, Columns, GrowingColumns, no_documents
from services.cleaner.core.near.edges import Edges, distinct_pairs, no_edges, pack, union, unpack
from services.cleaner.core.near.segments import Segment, before, members, with_added
from services.cleaner.core.near.similarity import similarities
from services.cleaner.core.near.sketch import Sketches
from shared.errors import PermanentError

THRESHOLD = 0.7
"""Texts of at least this Jaccard similarity of their 3-grams are near-duplicates."""

MAX_DOCUMENTS = 1 << 32
MAX_PENDING_PAIRS = 1 << 21
"""Candidates that wait for their sketches to be compared, 16 MB."""


class DocumentsMissing(PermanentError):
    """Documents are to be added whose predecessors the index does not have."""


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """All that an index is; none of the arrays ever changes.

    Attributes:
        bands: Which bands it owns, in ascending order.
        columns: The documents.
        segments: The runs of its bands, the oldest first.
        crowded: By band and key of a bucket of more than `BUCKET_CAP` documents, the largest rank that still counts.
        edges: The pairs that were found, those included that no bucket supports any more.
        num_truncations: How often documents were forgotten; until the next time, documents and pairs are only added.
    """

    bands: tuple[int, ...] = ALL_BANDS
    columns: Columns = field(default_factory=no_documents)
    segments: tuple[Segment, ...] = ()
    crowded: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    edges: Edges = field(default_factory=no_edges)
    num_truncations: int = 0


class NearIndex:
    """Finds the near-duplicates of what is added among all that is there."""

    def __init__(self, state: IndexState | None = None, *, bands: Sequence[int] = ALL_BANDS) -> None:
        """Start empty, or where a snapshot left off.

        Args:
            state: What `state()` returned; it brings its bands.
            bands: Which bands an empty index owns, of 0 to 16; 16 is the families'.
        """
        state = state or IndexState(bands=tuple(sorted(bands)))
        self._bands = state.bands
        self._columns = GrowingColumns(state.columns)
        self._segments = state.segments
        self._crowded = {band: dict(state.crowded.get(band, {})) for band in state.bands}
        self._found = [state.edges]
        self._num_truncations = state.num_truncations

    def __len__(self) -> int:
        return len(self._columns)

    def add(
        self,
        first_number: int,
        sketches: Sketches,
        guards: NDArray[np.uint64],
        ranks: NDArray[np.uint64],
        families: NDArray[np.uint64] | None = None,
    ) -> Edges:
        """Add documents; those that are there already are passed over, whatever their content.

        Args:
            first_number: Number of the first; the others follow.
            sketches: Shape (documents,).
            guards: See `guard.guards`. Shape (documents,).
            ranks: Of the document's digest, and of nothing else; the upper 32 bits count. Shape (documents,).
            families: A hash of what the versions of one text have in common, 0: no versions; the upper 32 bits count. Shape
                (documents,).

        Returns:
            The pairs with at least one of the new documents. Of crowded buckets some may lose their support by a
            later document: `edges()` knows.

        Raises:
            DocumentsMissing: `first_number` leaves a gap.
        """
        if first_number > len(self) or first_number + len(sketches) > MAX_DOCUMENTS:
            msg = f"the index has {len(self):,} documents, the next to add is number {first_number:,}"
            raise DocumentsMissing(msg, next_step="add the documents in between from their artifacts first")
        new = slice(len(self) - first_number, None)
        sketches = sketches[new]
        if not len(sketches):
            return no_edges()
        texts = np.zeros(len(sketches), dtype=np.uint32) if families is None else _upper(families[new])
        self._columns.append(Columns(sketches.packed, guards[new], _upper(ranks[new]), texts))
        segment = self._segment(~sketches.is_exact_only)
        found = union([self._verified(pairs) for pairs in self._candidates(segment)])
        self._segments = with_added(self._segments, segment)
        self._found.append(found)
        return found

    def edges(self) -> Edges:
        """Return all pairs that count among the documents that are there: the same for any order of adding them."""
        self._found = [_joined(self._found)]
        found = self._found[0]
        return found.where(self._is_supported(found)) if any(self._crowded.values()) else found

    def similarity(self, left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return how similar pairs of documents are, whether or not they are near; 0 to 1. Shape (pairs,)."""
        return similarities(self._columns.all.packed, left, right)

    def truncate(self, to_number: int) -> None:
        """Forget the documents from this number on."""
        if to_number >= len(self):
            return
        self._num_truncations += 1
        self._columns = GrowingColumns(self._columns.all.rows(0, to_number))
        self._segments = before(self._segments, to_number)
        found = _joined(self._found)
        # Pairs that did not count beside the forgotten ones may count now.
        regained = [self._verified(distinct_pairs(pairs)) for pairs in self._uncrowd()]
        self._found = [union([found.where(found.number < to_number), *regained])]

    def state(self) -> IndexState:
        """Return all that the index is, without copying the documents; adding more does not change it."""
        self._found = [_joined(self._found)]
        return IndexState(
            bands=self._bands,
            columns=self._columns.all,
            segments=self._segments,
            crowded={band: dict(buckets) for band, buckets in self._crowded.items()},
            edges=self._found[0],
            num_truncations=self._num_truncations,
        )

    def _segment(self, is_sketched: NDArray[np.bool_]) -> Segment:
        """Return the bands' entries of the documents that were appended last."""
        columns = self._columns.all
        first = len(columns) - len(is_sketched)
        numbers = np.flatnonzero(is_sketched).astype(np.uint32) + np.uint32(first)
        entries = {}
        for band in self._bands:
            members_of = numbers[columns.families[numbers] != 0] if band == FAMILY_BAND else numbers
            entries[band] = np.sort(pack(columns.keys(band, members_of), members_of))
        return Segment(first, len(columns), entries)

    def _candidates(self, segment: Segment) -> Iterator[NDArray[np.uint64]]:
        """Yield candidate pairs, those of several bands together, since true ones share most bands."""
        pending: list[NDArray[np.uint64]] = []
        ranks = self._columns.all.ranks
        for band in self._bands:
            found = band_pairs(self._segments, segment, band, ranks)
            self._crowded[band].update(found.crowded)
            pending.append(found.pairs)
            if sum(map(len, pending)) > MAX_PENDING_PAIRS:
                yield distinct_pairs(np.concatenate(pending))
                pending = []
        if pending:
            yield distinct_pairs(np.concatenate(pending))

    def _verified(self, pairs: NDArray[np.uint64]) -> Edges:
        """Return the candidates that are near: duplicates if their guards agree, or else versions of one text."""
        columns = self._columns.all
        number, other = unpack(pairs)
        same_guard = columns.guards[number] == columns.guards[other]
        family = columns.families[number]
        counts = np.flatnonzero(same_guard | ((family == columns.families[other]) & (family != 0)))
        number, other, same_guard = number[counts], other[counts], same_guard[counts]
        similarity = similarities(columns.packed, number, other)
        return Edges(number, other, similarity, same_guard).where(similarity >= np.float32(THRESHOLD))

    def _is_supported(self, edges: Edges) -> NDArray[np.bool_]:
        """Return which pairs share a bucket that is not crowded, or in which one of both is among the smallest ranks."""
        columns = self._columns.all
        supported = np.zeros(len(edges), dtype=np.bool_)
        smaller = np.minimum(columns.ranks[edges.number], columns.ranks[edges.other])
        for band in self._bands:
            key = columns.keys(band, edges.number)
            shares = key == columns.keys(band, edges.other)
            if band == FAMILY_BAND:
                shares &= key != 0
            crowded = sorted(self._crowded[band].items())
            if crowded:
                keys, limits = (np.array(column, dtype=np.uint32) for column in zip(*crowded, strict=True))
                place = np.searchsorted(keys, key)
                is_crowded = keys.take(place, mode="clip") == key
                shares &= ~is_crowded | (smaller <= limits.take(place, mode="clip"))
            supported |= shares
        return supported

    def _uncrowd(self) -> Iterator[NDArray[np.uint64]]:
        """Yield the pairs of all buckets that were crowded, and remember which of them still are."""
        ranks = self._columns.all.ranks
        for band in self._bands:
            keys, self._crowded[band] = list(self._crowded[band]), {}
            for key in keys:
                limit, pairs = bucket_pairs(members(self._segments, band, key), ranks)
                if limit is not None:
                    self._crowded[band][key] = limit
                yield pairs


def _joined(found: Sequence[Edges]) -> Edges:
    """Return pairs of batches that followed each other, in the order of their numbers."""
    if len(found) == 1:
        return found[0]
    return Edges(
        np.concatenate([edges.number for edges in found]),
        np.concatenate([edges.other for edges in found]),
        np.concatenate([edges.similarity for edges in found]),
        np.concatenate([edges.same_guard for edges in found]),
    )


def _upper(hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (hashes >> np.uint64(32)).astype(np.uint32)
