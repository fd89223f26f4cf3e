"""How unevenly a word is spread over the parts of a corpus: words of a style are everywhere alike, those of a subject are not.

The measure is Gries' deviation of proportions DP (2008): half the sum over the parts of how far a part's share of the word's
occurrences is from its share of the text. Few occurrences are spread unevenly by chance, too; so what chance alone gives, the
mean absolute deviation of Poisson counts, is taken off.

Dimensions: T terms, P parts of the corpus.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from services.tokenizer_builder.core.occurrences import Occurrences

Floats: TypeAlias = NDArray[np.float64]

MIN_PARTS = 3
MAX_PARTS = 128
"""Where there are more groups, several share a part."""
MIN_LABELLED_SHARE = 0.5
MIN_OCCURRENCES = 10
"""Of rarer words nothing is said: chance outweighs what they show."""
MIN_ORDINARY = 20
"""Ordinary words from which is learnt how unevenly such words are spread here."""


def parts_of(labels: Sequence[str | None], groups: Sequence[str]) -> list[str | None]:
    """Return the part of the corpus that each document belongs to, None for those that count for none.

    Labels say what a document is about: where most have one, they are the parts, else its group is, such as a law or a book.
    Where hardly two documents share a group nothing is known.

    Args:
        labels: Of each document.
        groups: Of each document.
    """
    labelled = sum(label is not None for label in labels)
    if labelled >= MIN_LABELLED_SHARE * len(labels) and len(set(labels) - {None}) >= MIN_PARTS:
        return list(labels)
    num_groups = len(set(groups))
    if not MIN_PARTS <= num_groups <= len(groups) / 2:
        return [None] * len(groups)
    return [str(crc32(group.encode()) % MAX_PARTS) if num_groups > MAX_PARTS else group for group in groups]


def unevenness(texts: Sequence[str], parts: Sequence[str | None], terms: Sequence[str]) -> dict[str, float]:
    """Return how unevenly each term is spread: 0 as chance would spread it, 1 all in one small part.

    Args:
        texts: A sample; the order does not matter.
        parts: Where each belongs.
        terms: Those that occur less than `MIN_OCCURRENCES` times are left out.
    """
    joined: dict[str, list[str]] = {}
    for text, part in zip(texts, parts, strict=True):
        if part is not None:
            joined.setdefault(part, []).append(text)
    if len(joined) < MIN_PARTS or not terms:
        return {}
    found = [joined[part] for part in sorted(joined)]
    shares_P = np.array([sum(map(len, part)) for part in found], dtype=np.float64)
    shares_P /= shares_P.sum()
    counts_TP = _counted(found, terms)
    often = np.flatnonzero(counts_TP.sum(axis=1) >= MIN_OCCURRENCES)
    told = _beyond_chance(counts_TP[often], shares_P)
    return {terms[number]: value for number, value in zip(often.tolist(), told.tolist(), strict=True)}


def beyond_ordinary(uneven: Mapping[str, float], ordinary: Iterable[str]) -> dict[str, float]:
    """Return how much more unevenly words are spread than ordinary ones: 0 as half of these, 1 all in one small part.

    Corpora differ: letters to eight departments are more alike than laws on eight subjects. Nothing is known where there are
    fewer than `MIN_ORDINARY` ordinary words.
    """
    known = [uneven[word] for word in ordinary if word in uneven]
    middle = median(known) if len(known) >= MIN_ORDINARY else 1.0
    return {word: (value - middle) / (1 - middle) for word, value in uneven.items()} if middle < 1 else {}


def _counted(parts: Sequence[Sequence[str]], terms: Sequence[str]) -> Floats:
    everywhere = Occurrences(terms)
    counts_TP = np.zeros((len(terms), len(parts)))
    for number, texts in enumerate(parts):
        found = everywhere.counted(texts)
        counts_TP[list(found.keys()), number] = list(found.values())
    return counts_TP


def _beyond_chance(counts_TP: Floats, shares_P: Floats) -> Floats:
    totals_T1 = counts_TP.sum(axis=1, keepdims=True)
    expected_TP = totals_T1 * shares_P
    apart = np.abs(counts_TP - expected_TP).sum(axis=1) / 2 / totals_T1[:, 0]
    by_chance = _mean_deviation(expected_TP).sum(axis=1) / 2 / totals_T1[:, 0]
    return np.asarray(np.maximum(apart - by_chance, 0) / np.maximum(1 - by_chance, 1e-9), dtype=np.float64)


def _mean_deviation(means: Floats) -> Floats:
    """Return E|X - m| of Poisson counts X with means m: 2 exp(-m) m^(k+1) / k!, k the whole part of m (Crow 1958)."""
    whole = np.floor(means).astype(np.int64)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, whole.max(initial=0) + 1)))])
    logs = (whole + 1) * np.log(np.maximum(means, 1e-300)) - means - log_factorials[whole]
    return np.asarray(2 * np.exp(logs), dtype=np.float64)
