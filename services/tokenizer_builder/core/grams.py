"""Runs of Han characters counted as n-grams, chunk by chunk: memory is bounded by the chunk and by the entries kept.

A chunk's own floor drops what occurs once in it, and a table that grows too large drops its rarest entries; so a count may be too
low, by at most one for each chunk beside what was dropped, and never too high.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.tokenizer_builder.core.terms import HAN_RUN

Keys: TypeAlias = NDArray[np.uint64]
Codes: TypeAlias = NDArray[np.uint32]

CHUNK_CHARS = 1_000_000
CHUNK_FLOOR = 2
MAX_ENTRIES = 1_500_000
"""Entries of one length that are kept; 32 bytes each."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""An n-gram's key is a polynomial in this odd number (2^64 over the golden ratio) of its code points, modulo 2^64."""


@dataclass(frozen=True)
class Grams:
    """The n-grams of one length, sorted by key.

    Attributes:
        keys: Names of the n-grams.
        counts: How often each occurs, at least.
        prefixes: The keys of the n-grams without their last character.
        suffixes: The keys of the n-grams without their first character.
        lasts: Their last characters' code points.
    """

    keys: Keys
    counts: NDArray[np.int64]
    prefixes: Keys
    suffixes: Keys
    lasts: Codes

    @classmethod
    def none(cls) -> Self:
        """Return no n-grams."""
        empty = np.zeros(0, dtype=np.uint64)
        return cls(empty, np.zeros(0, dtype=np.int64), empty, empty, np.zeros(0, dtype=np.uint32))

    def merged(self, other: "Grams", *, max_entries: int) -> "Grams":
        """Return the n-grams of both, counts added."""
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys)
        keys = keys[order]
        starts = _starts(keys)
        if not len(starts):
            return self
        counts = np.add.reduceat(np.concatenate([self.counts, other.counts])[order], starts)
        first = order[starts]
        kept = slice(None) if len(starts) <= max_entries else counts > np.partition(counts, -max_entries)[-max_entries]
        both = ((self.prefixes, other.prefixes), (self.suffixes, other.suffixes))
        prefixes, suffixes = (np.concatenate(pair)[first][kept] for pair in both)
        lasts = np.concatenate([self.lasts, other.lasts])[first][kept]
        return Grams(keys[starts][kept], counts[kept], prefixes, suffixes, lasts)

    def counts_of(self, keys: Keys) -> NDArray[np.int64]:
        """Return the counts of n-grams, 0 of those that are not here."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)


@dataclass(frozen=True)
class Counted:
    """The n-grams of a text: `of[n]` those of n characters, n from 1; `num_chars` Han characters in all."""

    of: tuple[Grams, ...]
    num_chars: int

    def spelled(self, length: int, keys: Keys) -> tuple[Codes, NDArray[np.bool_]]:
        """Return n-grams of one length as rows of code points, and which rows are whole.

        Those are not whole of which a beginning was dropped from a table that was full: how they are spelled is not known.
        """
        rows = np.zeros((len(keys), length), dtype=np.uint32)
        whole = np.ones(len(keys), dtype=np.bool_)
        for at in range(length, 0, -1):
            table = self.of[at]
            if not len(table.keys):
                return rows, np.zeros(len(keys), dtype=np.bool_)
            places = np.minimum(np.searchsorted(table.keys, keys), len(table.keys) - 1)
            whole &= table.keys[places] == keys
            rows[:, at - 1] = table.lasts[places]
            keys = table.prefixes[places]
        return rows, whole


def count_grams(
    texts: Iterable[str], *, longest: int, chunk_chars: int = CHUNK_CHARS, max_entries: int = MAX_ENTRIES
) -> Counted:
    """Count the n-grams of runs of Han characters.

    Args:
        texts: Training documents.
        longest: The largest n.
        chunk_chars: Characters that are looked at at once.
        max_entries: N-grams of one length that are kept.
    """
    tables = [Grams.none() for _ in range(longest + 1)]
    num_chars = 0
    for chunk in _chunks(texts, chunk_chars):
        codes = np.frombuffer(chunk.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        codes = np.where(codes == ord("\n"), 0, codes).astype(np.uint32)
        num_chars += int((codes > 0).sum())
        for length, grams in enumerate(_of_chunk(codes, longest), start=1):
            tables[length] = tables[length].merged(grams, max_entries=max_entries)
    return Counted(tuple(tables), num_chars)


def keys_of(codes: Codes) -> Keys:
    """Return the keys of n-grams that are given as rows of code points."""
    keys = np.zeros(len(codes), dtype=np.uint64)
    for column in codes.T:
        keys = keys * MULTIPLIER + column
    return keys


def _of_chunk(codes: Codes, longest: int) -> Iterator[Grams]:
    """Yield a chunk's n-grams by length; an n-gram is looked at only where both parts of n - 1 characters are frequent."""
    padded = np.concatenate([codes, np.zeros(longest, dtype=np.uint32)]).astype(np.uint64)
    hashes = np.zeros(len(codes) + 1, dtype=np.uint64)
    frequent = np.ones(len(codes) + 1, dtype=np.bool_)
    frequent[-1] = False
    for length in range(1, longest + 1):
        former = hashes
        last = padded[length - 1 : length - 1 + len(codes)]
        hashes = np.append(former[:-1] * MULTIPLIER + last, np.uint64(0))
        may_be = frequent[:-1] & (last > 0)
        if length > 1:
            may_be &= frequent[1:]
        places = np.flatnonzero(may_be)
        keys = hashes[places]
        order = np.argsort(keys)
        starts = _starts(keys[order])
        counts = np.diff(np.append(starts, len(keys)))
        often = counts >= CHUNK_FLOOR
        frequent = np.zeros(len(codes) + 1, dtype=np.bool_)
        frequent[places[order[np.repeat(often, counts)]]] = True
        firsts = places[order[starts[often]]]
        yield Grams(
            hashes[firsts],
            counts[often],
            former[firsts],
            _without_first(former, firsts, length),
            last[firsts].astype(np.uint32),
        )


def _without_first(former: Keys, firsts: NDArray[np.int64], length: int) -> Keys:
    return former[firsts + 1] if length > 1 else np.zeros(len(firsts), dtype=np.uint64)


def _starts(keys: Keys) -> NDArray[np.int64]:
    if not len(keys):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def _chunks(texts: Iterable[str], chunk_chars: int) -> Iterator[str]:
    """Yield the runs of Han characters of texts, a line each, about `chunk_chars` characters at a time."""
    runs: list[str] = []
    size = 0
    for text in texts:
        found = HAN_RUN.findall(text)
        runs += found
        size += sum(map(len, found))
        if size >= chunk_chars:
            yield "\n".join(runs)
            runs, size = [], 0
    if runs:
        yield "\n".join(runs)
