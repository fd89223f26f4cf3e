"""Versions of one text: near-duplicates of one family with different dates. None of them is dropped; the older gets an end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.edges import Edges


@dataclass(frozen=True)
class Supersessions:
    """Which version follows which, in the order of the older ones' numbers.

    Attributes:
        older: Documents that a newer version supersedes, each once. Shape (links,).
        newer: The earliest later version that is near to it. Shape (links,).
        valid_until: The newer one's date, the first day on which the older is no longer in force. Shape (links,).
    """

    older: NDArray[np.uint32]
    newer: NDArray[np.uint32]
    valid_until: NDArray[np.int64]


def are_versions(
    edges: Edges, families: NDArray[np.uint64], published: NDArray[np.int64], is_dated: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which pairs are versions of one text: of one family, with different dates. They are links and no duplicates.

    Args:
        edges: Near pairs, also those whose guards differ.
        families: What the versions of a text have in common, 0: no versions. Shape (documents,).
        published: Days since any day. Shape (documents,).
        is_dated: Whether the date is known; a text without one is nobody's version. Shape (documents,).
    """
    number, other = edges.number, edges.other
    same_family = (families[number] == families[other]) & (families[number] != 0)
    both_dated = is_dated[number] & is_dated[other]
    return np.asarray(same_family & both_dated & (published[number] != published[other]))


def supersessions(
    versions: Edges, published: NDArray[np.int64], order_key: NDArray[np.int64], alive: NDArray[np.bool_]
) -> Supersessions:
    """Return for each superseded document the version that came next.

    Args:
        versions: Pairs for which `are_versions` holds.
        published: Days since any day. Shape (documents,).
        order_key: Place in the canonical order, which decides between two next versions of one day. Shape (documents,).
        alive: Documents that count; the others supersede nothing and are not superseded. Shape (documents,).
    """
    both = versions.where(alive[versions.number] & alive[versions.other])
    is_newer = published[both.number] > published[both.other]
    older = np.where(is_newer, both.other, both.number)
    newer = np.where(is_newer, both.number, both.other)
    by_date = np.lexsort((order_key[newer], published[newer], older))
    older, newer = older[by_date], newer[by_date]
    is_next = np.ones(len(older), dtype=np.bool_)
    is_next[1:] = older[1:] != older[:-1]
    older, newer = older[is_next], newer[is_next]
    return Supersessions(older, newer, published[newer])
