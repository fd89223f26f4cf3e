"""All that the near-duplicate index wants to know of a text, for many texts at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import join
from services.cleaner.core.near.guard import guards
from services.cleaner.core.near.sketch import Sketches, no_sketches, sketch

CHUNK_DOCUMENTS: Final = 512
CHUNK_CHARACTERS: Final = 1 << 16
"""Texts that are looked at together: with all that is made of them they stay in the second-level cache."""


@dataclass(frozen=True)
class Fingerprints:
    """Of many texts.

    Attributes:
        sketches: Shape (texts,).
        guards: Shape (texts,).
    """

    sketches: Sketches
    guards: NDArray[np.uint64]


def fingerprints(texts: Sequence[str]) -> Fingerprints:
    """Return the sketch and the guard of each text; they depend on that text alone."""
    packed, exact_only, found = [no_sketches().packed], [no_sketches().is_exact_only], [np.zeros(0, dtype=np.uint64)]
    for chunk in _chunks(texts):
        joined = join(chunk)
        sketches = sketch(joined)
        packed.append(sketches.packed)
        exact_only.append(sketches.is_exact_only)
        found.append(guards(joined))
    return Fingerprints(Sketches(np.concatenate(packed), np.concatenate(exact_only)), np.concatenate(found))


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield some texts at a time; a long one comes alone."""
    begin, num_characters = 0, 0
    for end, text in enumerate(texts):
        if end > begin and (end - begin == CHUNK_DOCUMENTS or num_characters + len(text) > CHUNK_CHARACTERS):
            yield texts[begin:end]
            begin, num_characters = end, 0
        num_characters += len(text)
    if begin < len(texts):
        yield texts[begin:]
