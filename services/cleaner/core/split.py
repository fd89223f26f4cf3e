"""Which held-out documents are too near a training text to judge a model by: all pairs of them, whatever differs between them.

The near-duplicate index does not look for texts that differ in a number or a negation, since they are no duplicates; but who has
learnt the one by heart is not tested by the other.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import Facts
from services.cleaner.core.near.index import THRESHOLD
from services.cleaner.core.near.similarity import similarities
from services.cleaner.core.near.sketch import NUM_BANDS
from services.cleaner.core.verdicts import Numbers

TOO_NEAR = THRESHOLD - 0.1
"""Similarity from which a held-out text is too near a training text. Below that of duplicates, since the estimate has a
standard deviation of 0.02 to 0.04 there. Of the held-out statutes in reach about 2 % are trained on for it."""
MAX_COMPARED = 64
"""Of documents that share a band, so many are compared with each held-out one: the first in the order given."""


def held_out_of(facts: Facts, alive: NDArray[np.bool_], first: Numbers, second: Numbers) -> NDArray[np.bool_]:
    """Return who is for evaluation only.

    A document is if its group is. But a text near one that is trained on is trained on itself, and so is what is near it.

    Args:
        facts: All documents of the domain.
        alive: Those that are not in quarantine.
        first: Documents that are near, whatever differs between them;
        second: to these.
    """
    texts, text = np.unique(facts.text_key, return_inverse=True)
    living, trained = np.zeros((2, len(texts)), np.bool_)
    living[text[alive]] = trained[text[alive & ~facts.is_held_out]] = True
    both = living[text[first]] & living[text[second]]
    one, other = text[first[both]], text[second[both]]
    while True:
        spread = trained[one] != trained[other]
        if not spread.any():
            return np.logical_not(trained[text])
        trained[one[spread]] = trained[other[spread]] = True


def near_held_out(packed: NDArray[np.uint8], is_held_out: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Return the pairs of a held-out document and another one that are near each other.

    Args:
        packed: Sketches, in an order that follows from the documents; all zero for texts too short for one. Shape
            (documents, bytes).
        is_held_out: Shape (documents,).
    """
    found = [np.empty((0, 2), np.int64)]
    sketched = np.flatnonzero(packed.any(axis=1))
    for band in range(NUM_BANDS):
        keys = packed[:, 4 * band : 4 * band + 4].copy().view("<u4")[:, 0]
        for questions, others in _candidates(keys, sketched, is_held_out):
            near = similarities(packed, questions.astype(np.uint32), others.astype(np.uint32)) >= np.float32(TOO_NEAR)
            found.append(np.stack([questions[near], others[near]], axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _candidates(
    keys: NDArray[np.uint32], documents: Numbers, is_held_out: NDArray[np.bool_]
) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield pairs with equal keys, one distance in the sorted order of the keys after the other."""
    order = documents[np.argsort(keys[documents], kind="stable")]
    ordered = keys[order]
    starts = np.searchsorted(ordered, ordered)
    questions = np.flatnonzero(is_held_out[order])
    for step in range(MAX_COMPARED):
        places = starts[questions] + step
        inside = places < len(order)
        same = questions[inside][ordered[places[inside]] == ordered[questions[inside]]]
        if not len(same):
            return
        others = order[starts[same] + step]
        distinct = others != order[same]
        yield order[same][distinct], others[distinct]
