"""Which of the near-duplicates stay, and which texts are versions of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.edges import Edges

NOBODY = np.uint32(0xFFFFFFFF)
"""Stands for no document."""


@dataclass(frozen=True)
class Winners:
    """What becomes of each document.

    Attributes:
        kept: Whether it stays. Shape (documents,).
        winner: Number of the kept document that a dropped one is nearest to, `NOBODY` for the others. Shape (documents,).
        similarity: To that document, 0 to 1; 0 for the others. Shape (documents,).
    """

    kept: NDArray[np.bool_]
    winner: NDArray[np.uint32]
    similarity: NDArray[np.float32]


def canonical_order(published: NDArray[np.int64], digests: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """Return each document's place in the order of preference, from 0: the newest date first, then the smallest digest.

    It follows from the documents, so the winners do too, in whatever order the documents came.

    Args:
        published: Days since any day; those without a date get the smallest number. Shape (documents,).
        digests: Of the documents' texts. Shape (documents,).
    """
    order = np.lexsort((digests, -published))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def resolve(edges: Edges, order_key: NDArray[np.int64], alive: NDArray[np.bool_]) -> Winners:
    """Return the lexicographically first maximal independent set of the duplicates' graph.

    One goes through the documents in the canonical order and keeps a document unless one that was kept is its duplicate. So no
    two kept documents are duplicates, each dropped one has a kept duplicate, and a chain a-b-c whose ends differ keeps both.

    Args:
        edges: Duplicates among the documents; pairs whose guards differ are none and are passed over.
        order_key: Place in the canonical order, distinct. Shape (documents,).
        alive: Documents that may be kept; the others (in quarantine, removed by a person) drop nobody. Shape
            (documents,).
    """
    left, right, similarity = _duplicates(edges, order_key, alive)
    kept = alive.copy()
    _drop(kept, left, right)
    return _named(kept, left, right, similarity, order_key)


def resolve_again(
    before: Winners, edges: Edges, order_key: NDArray[np.int64], alive: NDArray[np.bool_], touched: NDArray[np.uint32]
) -> Winners:
    """Return what `resolve` returns, looking only at what is connected with documents that are new or changed.

    Args:
        before: The last result, of the same documents or of the first of them.
        edges: All pairs, as for `resolve`.
        order_key: As for `resolve`. Two documents that were there may change their order only if both are touched.
        alive: As for `resolve`.
        touched: Documents that came, went, came back, changed their place in the order, or gained or lost a pair.
    """
    reached = _connected(len(alive), edges, touched)
    inside = edges.where(reached[edges.number])
    part = resolve(inside, order_key, alive & reached)
    known = len(before.kept)
    outside = ~reached[:known]
    part.kept[:known][outside] = before.kept[outside]
    part.winner[:known][outside] = before.winner[outside]
    part.similarity[:known][outside] = before.similarity[outside]
    part.kept[known:] |= alive[known:] & ~reached[known:]
    return part


def _duplicates(
    edges: Edges, order_key: NDArray[np.int64], alive: NDArray[np.bool_]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]:
    """Return the pairs that count, the document to prefer on the left."""
    counts = edges.same_guard & alive[edges.number] & alive[edges.other]
    number, other = edges.number[counts], edges.other[counts]
    swap = order_key[number] < order_key[other]
    return np.where(swap, number, other), np.where(swap, other, number), edges.similarity[counts]


def _drop(kept: NDArray[np.bool_], left: NDArray[np.uint32], right: NDArray[np.uint32]) -> None:
    """Clear the documents with a kept duplicate to the left of them.

    Round by round: whoever has no undecided duplicate to the left is decided to stay, and their duplicates to go. It ends, as
    the first of the undecided in the order is decided in every round; random orders take about log(documents) rounds (Blelloch,
    Fineman, Shun, SPAA 2012).
    """
    while len(left):
        waits = np.zeros(len(kept), dtype=np.bool_)
        waits[right] = True
        stays = ~waits[left]
        kept[right[stays]] = False
        undecided = kept[left] & kept[right]
        left, right = left[undecided], right[undecided]


def _named(
    kept: NDArray[np.bool_],
    left: NDArray[np.uint32],
    right: NDArray[np.uint32],
    similarity: NDArray[np.float32],
    order_key: NDArray[np.int64],
) -> Winners:
    """Name for each dropped document the nearest kept one to the left, of equally near ones the first in the order."""
    winner = np.full(len(kept), NOBODY, dtype=np.uint32)
    nearness = np.zeros(len(kept), dtype=np.float32)
    counts = kept[left] & ~kept[right]
    left, right, similarity = left[counts], right[counts], similarity[counts]
    # The last one written stays.
    by_preference = np.lexsort((-order_key[left], similarity, right))
    winner[right[by_preference]] = left[by_preference]
    nearness[right[by_preference]] = similarity[by_preference]
    return Winners(kept, winner, nearness)


def _connected(num_documents: int, edges: Edges, touched: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return which documents a path of pairs joins with a touched one."""
    reached = np.zeros(num_documents, dtype=np.bool_)
    reached[touched] = True
    number, other = edges.number, edges.other
    while True:
        from_number, from_other = reached[number], reached[other]
        border = from_number != from_other
        if not border.any():
            return reached
        reached[number[border]] = True
        reached[other[border]] = True
        # Pairs inside what is reached say nothing more.
        open_pairs = ~(from_number & from_other)
        number, other = number[open_pairs], other[open_pairs]
