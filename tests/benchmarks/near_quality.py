"""How well the near-duplicate index finds what is near, and what its guard lets go; the truths are exact."""

import random
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.cleaning import clean_texts
from services.cleaner.core.near.edges import Edges
from services.cleaner.core.near.fingerprints import fingerprints
from services.cleaner.core.near.index import THRESHOLD, NearIndex
from services.cleaner.core.near.sketch import mixed
from services.cleaner.settings import CleaningRules
from tests.benchmarks.corpus_generator import CorpusGenerator, Made
from tests.benchmarks.exact_similarity import NearPairs
from tests.unit.cleaner.near.made import jaccard, mistyped
from tests.unit.cleaner.near.oracle import differences_that_count

SURE: Final = 0.75
BAR_RECALL: Final = 0.95
BAR_PRECISION: Final = 0.95
BAR_SURE_RECALL: Final = 0.985
LEAST_EVEN: Final = 0.5
NUM_EVEN_TRIED: Final = 20_000
MOST_MISTYPED: Final = 0.12
"""Share of characters: three times as many 3-grams are others."""
EDITS: Final = ("mistyped", "marked up", "reordered", "cut", "copied")
"""What changes a text without meaning to change its law."""


def cleaned(documents: Sequence[Made]) -> list[str]:
    """Return the texts as the index gets them, after the cleaning steps."""
    return clean_texts([document.text for document in documents], CleaningRules()).texts


def ranks(first: int, count: int) -> NDArray[np.uint64]:
    """Return ranks of documents as their digests would give them."""
    return mixed(np.arange(first + 1, first + count + 1, dtype=np.uint64))


def add(index: NearIndex, texts: Sequence[str], *, with_guard: bool = True) -> Edges:
    """Do the stage's work: sketch, guard, search, comparison, adding."""
    found = fingerprints(texts)
    guards = found.guards if with_guard else np.zeros(len(texts), dtype=np.uint64)
    return index.add(len(index), found.sketches, guards, ranks(len(index), len(texts)))


def bar(figure: float, limit: float, *, at_most: bool = False) -> str:
    """Say whether a figure meets its bar."""
    met = figure <= limit if at_most else figure >= limit
    return f"(bar: at {'most' if at_most else 'least'} {limit:g}, {'met' if met else 'MISSED'})"


def show_quality(texts: Sequence[str], truth: NearPairs) -> None:
    """Print how well near documents are found while the guard does not look."""
    flags = np.zeros(len(texts), dtype=np.bool_)
    flags[add(NearIndex(), texts, with_guard=False).number] = True
    recall, precision, sure = show_flags("ours", flags, truth)
    print(
        f"  recall {bar(recall, BAR_RECALL)}, precision {bar(precision, BAR_PRECISION)}, sure {bar(sure, BAR_SURE_RECALL)}"
    )


def show_even(articles: Sequence[str], seed: int) -> None:
    """Print the same of pairs whose similarity is spread evenly from 0.5 to 1: far more near the threshold than a corpus has."""
    pairs = even_pairs(articles, seed)
    edges = add(NearIndex(), [text for one, other, _ in pairs for text in (one, other)], with_guard=False)
    found = set(zip(edges.other.tolist(), edges.number.tolist(), strict=True))
    flags = np.array([(2 * at, 2 * at + 1) in found for at in range(len(pairs))])
    jaccards = np.array([similarity for _, _, similarity in pairs])
    recall, precision = flags[jaccards >= THRESHOLD].mean(), (jaccards >= THRESHOLD)[flags].mean()
    sure = flags[jaccards >= SURE].mean()
    print(f"{len(pairs):,} pairs spread evenly over similarities of {LEAST_EVEN} to 1:")
    print(
        f"  recall {recall:.4f} {bar(recall, BAR_RECALL)}, precision {precision:.4f} {bar(precision, BAR_PRECISION)}, "
        f"sure {sure:.4f} {bar(sure, BAR_SURE_RECALL)}"
    )


def even_pairs(articles: Sequence[str], seed: int) -> list[tuple[str, str, float]]:
    """Return pairs of an article and a mistyped copy with their exact similarity, as many in each class of 0.05."""
    rng = random.Random(seed)
    classes: dict[int, list[tuple[str, str, float]]] = {}
    for article in rng.sample(list(articles), min(len(articles), NUM_EVEN_TRIED)):
        copy = mistyped(article, rng, rng.uniform(0, MOST_MISTYPED))
        similarity = jaccard(article, copy)
        if LEAST_EVEN <= similarity < 1:
            classes.setdefault(int(similarity * 20), []).append((article, copy, similarity))
    fewest = min(len(pairs) for pairs in classes.values())
    return [pair for key in sorted(classes) for pair in classes[key][:fewest]]


def show_flags(name: str, flags: NDArray[np.bool_], truth: NearPairs) -> tuple[float, float, float]:
    """Print and return recall and precision of the documents that have a near one before them, and recall of those at 0.75."""
    nearest = np.zeros(len(flags))
    np.maximum.at(nearest, truth.later, truth.jaccard)
    is_near, is_sure = nearest >= THRESHOLD, nearest >= SURE
    recall, precision, sure = flags[is_near].mean(), is_near[flags].mean(), flags[is_sure].mean()
    print(f"{name:10} recall {recall:.4f}, precision {precision:.4f} at {THRESHOLD}; recall {sure:.4f} at {SURE}")
    return float(recall), float(precision), float(sure)


def show_guard(texts: Sequence[str], truth: NearPairs) -> None:
    """Print what the guard lets go and what it keeps for nothing; the tests' oracle says what differs in law."""
    law = [differences_that_count(text) for text in texts]
    edges = add(NearIndex(), texts)
    dropped = sum(law[number] != law[other] for number, other in zip(edges.number, edges.other, strict=True))
    print(f"guard: {len(edges):,} pairs may go; {dropped} of them differ in law {bar(dropped, 0, at_most=True)}")
    guards = fingerprints(texts).guards
    same_guard = guards[truth.later] == guards[truth.earlier]
    same_law = np.array([law[later] == law[earlier] for later, earlier in zip(truth.later, truth.earlier, strict=True)])
    print(
        f"guard: of {len(truth.later):,} near pairs {1 - same_law.mean():.1%} differ in law; of the others it keeps "
        f"{1 - same_guard[same_law].mean():.1%} apart"
    )


def show_guard_costs(generator: CorpusGenerator, articles: Sequence[str], count: int = 4_000) -> None:
    """Print how many copies, by what was done to them, the guard keeps although the oracle sees no difference in law."""
    for kind in EDITS:
        made = [generator.made(kind) for _ in range(count)]
        copies = cleaned(made)
        originals = clean_texts([articles[one.origin] for one in made], CleaningRules()).texts
        law, old_law = ([differences_that_count(text) for text in some] for some in (copies, originals))
        same_law = np.array([new == old for new, old in zip(law, old_law, strict=True)])
        same_guard = fingerprints(copies).guards == fingerprints(originals).guards
        print(
            f"guard: {kind:10} {1 - same_law.mean():6.1%} touch numbers or words of law; of the others it keeps "
            f"{1 - same_guard[same_law].mean():.1%} apart"
        )
