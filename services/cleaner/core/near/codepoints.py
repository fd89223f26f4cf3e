"""Many texts as one array of code points, so that numpy looks at each character once for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Codepoints:
    """Texts, joined.

    Attributes:
        values: Code points of all texts, one after the other. Shape (characters,).
        ends: Where each text ends in `values`, exclusive. Shape (texts,), not decreasing.
    """

    values: NDArray[np.uint32]
    ends: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each text begins in `values`. Shape (texts,)."""
        starts = np.zeros_like(self.ends)
        starts[1:] = self.ends[:-1]
        return starts


def join(texts: Sequence[str]) -> Codepoints:
    """Join texts; a lone surrogate, which no encoding can hold, keeps its code point."""
    encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return Codepoints(np.frombuffer(encoded, dtype="<u4"), np.cumsum(lengths))
