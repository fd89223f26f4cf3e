"""What word vectors tell: words that may mean the same, and words whose meaning moved from one version to the next.

Shapes, as suffixes: W words, D dimensions, C words that two versions have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.lm.transfer import unit
from shared.lm.word_vectors import WordVectors

Matrix = NDArray[np.float32]

MIN_WORDS_A_DIMENSION = 5
"""The alignment fits as many angles as there are dimensions to a word: of unrelated random vectors, whose drift is 1, it leaves
.02 at a fourteenth of a word a dimension, .25 at 1, .53 at 3, .63 at 5, .74 at 10 and .81 at 20, at 24 and at 300 dimensions."""


@dataclass(frozen=True)
class Candidate:
    """A word that may mean the same.

    Attributes:
        cosine: Likeness of the two vectors, -1 to 1.
        is_mutual: Whether each is among the nearest of the other: a general word is near to many, many are not near to it.
    """

    word: str
    cosine: float
    is_mutual: bool


def synonym_candidates(
    vectors: WordVectors, words: Sequence[str], *, num_nearest: int = 10, min_cosine: float = 0.4
) -> dict[str, list[Candidate]]:
    """Return the nearest words of each word that has a vector; for people to judge, since opposites keep the same company too.

    Args:
        vectors: Of a corpus version.
        words: Those without a vector are left out.
        num_nearest: Candidates a word, at most.
        min_cosine: Less like ones are none.
    """
    known = [word for word in words if word in vectors]
    directions_WD = vectors.directions()
    found: dict[str, list[Candidate]] = {}
    for word in known:
        own = vectors.row(word)
        near = _nearest(directions_WD, own, num_nearest)
        found[word] = [
            Candidate(vectors.words[row], cosine, own in dict(_nearest(directions_WD, row, num_nearest)))
            for row, cosine in near
            if cosine >= min_cosine
        ]
    return found


def meaning_drift(old: WordVectors, new: WordVectors, words: Sequence[str] | None = None) -> dict[str, float]:
    """Return how far words moved between two versions: 1 minus the cosine after alignment, 0 to 2, the largest first.

    Two trainings turn the space differently, so the old one is turned onto the new one first: orthogonal Procrustes over the
    words that both have, centred and of length 1 (Hamilton, Leskovec and Jurafsky 2016).

    The alignment takes a part of the movement for a turn, the more the fewer words it has: see `MIN_WORDS_A_DIMENSION`. Where the
    versions share less than `words_needed`, there is no drift to tell.

    Args:
        old: The earlier version's.
        new: The later one's, of the same width.
        words: Which ones; None: all that both versions have.

    Raises:
        ValueError: The vectors have different widths.
    """
    if old.vectors_WD.shape[1] != new.vectors_WD.shape[1]:
        msg = f"vectors of {old.vectors_WD.shape[1]} and of {new.vectors_WD.shape[1]} dimensions cannot be compared"
        raise ValueError(msg)
    common = shared_words(old, new)
    if len(common) < words_needed(new.vectors_WD.shape[1]):
        return {}
    old_CD, new_CD = (_centred(vectors, common) for vectors in (old, new))
    left_DD, _, right_DD = np.linalg.svd(old_CD.T @ new_CD)
    cosines_C = ((old_CD @ (left_DD @ right_DD)) * new_CD).sum(axis=1)
    wanted = set(common if words is None else words)
    drifts = {word: float(1.0 - cosine) for word, cosine in zip(common, cosines_C, strict=True) if word in wanted}
    return dict(sorted(drifts.items(), key=lambda item: (-item[1], item[0])))


def shared_words(old: WordVectors, new: WordVectors) -> list[str]:
    """Return the words that have a vector in both versions, as the later one orders them."""
    return [word for word in new.words if word in old]


def words_needed(dimensions: int) -> int:
    """Return by how many shared words vectors of a width are aligned at least."""
    return MIN_WORDS_A_DIMENSION * dimensions


def _centred(vectors: WordVectors, words: Sequence[str]) -> Matrix:
    unit_CD = unit(vectors.vectors_WD[[vectors.row(word) for word in words]])
    return unit(unit_CD - unit_CD.mean(axis=0))


def _nearest(directions_WD: Matrix, row: int, number: int) -> list[tuple[int, float]]:
    cosines_W = directions_WD @ directions_WD[row]
    cosines_W[row] = -np.inf
    nearest = np.argsort(-cosines_W, kind="stable")[: min(number, len(cosines_W) - 1)]
    return [(int(other), float(cosines_W[other])) for other in nearest]
