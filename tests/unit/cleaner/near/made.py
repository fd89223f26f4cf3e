"""Documents for the tests of the near-duplicate index: real articles and what a seeded rule makes of them."""

import random
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import numpy as np

from services.cleaner.core.near.codepoints import join
from services.cleaner.core.near.edges import Edges
from services.cleaner.core.near.index import NearIndex
from services.cleaner.core.near.skeleton import skeleton
from services.cleaner.core.near.sketch import Sketches, sketch
from shared.demo.statutes import load_statutes


@cache
def articles() -> tuple[str, ...]:
    statutes = load_statutes()
    return tuple(document.text for document in statutes.first + statutes.later + statutes.held_back)


def mistyped(text: str, rng: random.Random, share: float) -> str:
    """Replace a share of the characters, at least one, by characters as frequent as they are."""
    chars = list(text)
    for place in rng.sample(range(len(chars)), max(1, int(share * len(chars)))):
        chars[place] = rng.choice(rng.choice(articles()))
    return "".join(chars)


def without_a_part(text: str, rng: random.Random) -> str:
    length = max(1, len(text) // 10)
    at = rng.randrange(max(1, len(text) - length))
    return text[:at] + text[at + length :]


def jaccard(left: str, right: str) -> float:
    """The slow, exact similarity: of the sets of 3-grams of the skeletons."""
    first, second = grams(left), grams(right)
    return len(first & second) / len(first | second) if first | second else 0.0


def grams(text: str) -> frozenset[str]:
    chars = skeleton(text)
    return frozenset(chars[at : at + 3] for at in range(len(chars) - 2))


def sketched(texts: Sequence[str]) -> Sketches:
    return sketch(join(texts))


def ranks(texts: Sequence[str]) -> np.ndarray:
    return np.array([int.from_bytes(sha256(text.encode()).digest()[:8], "little") for text in texts], dtype=np.uint64)


def filled(texts: Sequence[str], sizes: Sequence[int], index: NearIndex | None = None, guards=None, families=None):
    """Add texts in batches of these sizes, the last one again and again."""
    index = NearIndex() if index is None else index
    guards = np.zeros(len(texts), dtype=np.uint64) if guards is None else guards
    at, batch = 0, 0
    while at < len(texts):
        rows = slice(at, at + sizes[min(batch, len(sizes) - 1)])
        some = None if families is None else families[rows]
        index.add(at, sketched(texts[rows]), guards[rows], ranks(texts[rows]), some)
        at, batch = rows.stop, batch + 1
    return index


def named(edges: Edges, texts: Sequence[str]) -> set[tuple[str, str, float, bool]]:
    """The pairs by text, whatever their numbers."""
    return {
        (*sorted((texts[left], texts[right])), float(similarity), bool(same_guard))
        for left, right, similarity, same_guard in zip(
            edges.number, edges.other, edges.similarity, edges.same_guard, strict=True
        )
    }
