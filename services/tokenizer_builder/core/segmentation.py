"""Text as what merges are learnt from: characters, words and runs of Han characters, counted.

Words come from rjieba, whose cuts are those of jieba. Counts, not texts, go on from here: so neither the order of the texts nor
how they are cut into chunks can change a tokenizer, and a text that comes a thousand times costs what it costs once.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import rjieba

from services.tokenizer_builder.core.scripts import syllables, words_beside_han
from services.tokenizer_builder.core.terms import HAN_RUN

CHUNK_CHARS = 1_000_000

Cut: TypeAlias = Callable[[str], list[str]]


@dataclass
class TextCounts:
    """What a text is made of.

    Attributes:
        characters: Every character.
        words: Words of two and more Han characters as a segmenter cuts them, and those of other scripts with the blank before
            them, Tibetan by its syllables.
        runs: Unbroken runs of Han characters, between whatever is none.
        others: Words of other scripts, unbroken.
    """

    characters: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def num_chars(self) -> int:
        """Characters in all."""
        return self.characters.total()


def counted(texts: Iterable[str], cut: Cut = rjieba.cut) -> TextCounts:
    """Return what texts are made of.

    Args:
        texts: Training documents.
        cut: The segmenter; its parts must give the text again.
    """
    characters = _Characters()
    parts: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for text in texts:
        characters.add(text)
        parts.update(cut(text))
        runs.update(HAN_RUN.findall(text))
        others.update(words_beside_han(text))
    words = Counter({word: count for word, count in parts.items() if len(word) > 1 and HAN_RUN.fullmatch(word)})
    for other, count in others.items():
        for word in syllables(other):
            words[word] += count
    return TextCounts(characters=characters.counted(), words=words, runs=runs, others=others)


class _Characters:
    """Counts characters, a chunk at a time: a `Counter` takes longer for it than the segmenter for its words."""

    def __init__(self) -> None:
        self._counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
        self._waiting: list[str] = []
        self._num_waiting = 0

    def add(self, text: str) -> None:
        """Count a text's characters."""
        self._waiting.append(text)
        self._num_waiting += len(text)
        if self._num_waiting >= CHUNK_CHARS:
            self._count()

    def counted(self) -> Counter[str]:
        """Return how often each character came."""
        self._count()
        return Counter({chr(code): int(self._counts[code]) for code in np.flatnonzero(self._counts).tolist()})

    def _count(self) -> None:
        chunk = "".join(self._waiting).encode("utf-32-le", "surrogatepass")
        self._counts += np.bincount(np.frombuffer(chunk, dtype=np.uint32), minlength=len(self._counts))
        self._waiting, self._num_waiting = [], 0


def is_general(word: str) -> bool:
    """Whether the segmenter's general dictionary has a word."""
    return bool(rjieba.has_word(word))
