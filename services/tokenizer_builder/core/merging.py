"""Byte-pair merges, learnt from counted pieces of text: exact, greedy, and the same whatever the order of the texts.

All pieces lie behind each other in one array of token ids, each followed by a separator. A merge rewrites its places in place and
links over what it swallowed. Two facts make this fast without a count for every pair: the places of a pair arise when the younger
of its two tokens is made, so a pair that is too rare then stays so; and a pair's count only falls afterwards, so a heap of old
counts, each checked when it comes to the top, pops the true maximum. The exception, a token that two pairs make, adds places to
those that are known; only those of a pair that was too rare before are not counted then.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SEPARATOR, SWALLOWED = -1, -2
SHIFT = 32
"""A pair as one number: the left id in the upper 32 bits, the right one in the lower."""

NO_LIMIT = 1 << 40

Integers: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Learnt:
    """A merge and how often it was applied when it was learnt, weights counted."""

    pair: Pair
    token: int
    count: int


class Pieces:
    """Counted pieces of text as token ids, which merges rewrite."""

    def __init__(self, counts: Mapping[str, int], ids: Mapping[str, int], names: Sequence[str]) -> None:
        """Spell pieces as characters.

        Args:
            counts: How often each piece occurs. Their order does not matter.
            ids: The id of each character that is a token; others end a piece like a separator.
            names: The tokens by id, to know their lengths; merges append to a copy of it.
        """
        text = "\n".join(sorted(counts)) + "\n"
        codes = np.frombuffer(f"\n{text}".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        table = np.full(0x110000, SEPARATOR, dtype=np.int32)
        single = [(ord(name), index) for name, index in ids.items() if len(name) == 1 and name != "\n"]
        table[[code for code, _ in single]] = [index for _, index in single]
        self.tokens: NDArray[np.int32] = table[codes]
        self._next = np.arange(1, len(codes) + 1, dtype=np.int32)
        self._prev = np.arange(-1, len(codes) - 1, dtype=np.int32)
        lengths = np.diff(np.flatnonzero(codes == ord("\n")))
        weights = np.array([counts[piece] for piece in sorted(counts)], dtype=np.int64)
        self._weights = np.concatenate([[0], np.repeat(weights, lengths)])
        self._lengths = np.array([len(name) for name in names], dtype=np.int64)

    def learn(
        self, *, num_merges: int, min_count: int, max_chars: int, next_token: Callable[[Pair], int | None]
    ) -> list[Learnt]:
        """Merge the most frequent pair again and again, and return the merges in their order.

        Args:
            num_merges: At most so many.
            min_count: A pair that occurs less often is never merged.
            max_chars: No token becomes longer, in characters.
            next_token: Gives the id of the token that a pair makes; None: this pair is not merged.
        """
        index = self._index(min_count, max_chars, allowed=None)
        heap = [(-self._count(places), key) for key, places in index.items()]
        heapq.heapify(heap)
        learnt: list[Learnt] = []
        while heap and len(learnt) < num_merges:
            count, key = heapq.heappop(heap)
            if key not in index:
                continue
            pair = (key >> SHIFT, key & 0xFFFFFFFF)
            places = self._still(index.pop(key), pair)
            found = self._count(places)
            if found < -count:
                if found >= min_count:
                    index[key] = places
                    heapq.heappush(heap, (-found, key))
                continue
            token = next_token(pair)
            if token is None:
                continue
            learnt.append(Learnt(pair, token, found))
            for born, its_places in self._merge(places, pair, token, min_count, max_chars, allowed=None):
                index[born] = _joined(index.get(born), its_places)
                heapq.heappush(heap, (-self._count(index[born]), born))
        return learnt

    def apply(self, merges: Iterable[tuple[Pair, int]]) -> None:
        """Apply known merges in their order, the first first: what an encoder does with each piece."""
        ordered = list(merges)
        keys = [left << SHIFT | right for (left, right), _ in ordered]
        ranks = {key: rank for rank, key in reversed(list(enumerate(keys)))}
        for pair, token in ordered:
            self._name(token, pair)
        allowed = np.unique(np.array(keys, dtype=np.int64))
        index = self._index(1, NO_LIMIT, allowed=allowed)
        heap = [ranks[key] for key in index]
        heapq.heapify(heap)
        while heap:
            rank = heapq.heappop(heap)
            places = index.pop(keys[rank], None)
            if places is None:
                continue
            pair, token = ordered[rank]
            for born, its_places in self._merge(self._still(places, pair), pair, token, 1, NO_LIMIT, allowed=allowed):
                index[born] = _joined(index.get(born), its_places)
                heapq.heappush(heap, ranks[born])

    def num_tokens(self) -> int:
        """Return how many tokens the pieces have now, weights counted."""
        return int(self._weights[self.tokens >= 0].sum())

    def _index(self, min_count: int, max_chars: int, *, allowed: Integers | None) -> dict[int, Integers]:
        places = np.flatnonzero(self.tokens >= 0)
        return dict(self._grouped(places, min_count, max_chars, allowed))

    def _merge(
        self, places: Integers, pair: Pair, token: int, min_count: int, max_chars: int, *, allowed: Integers | None
    ) -> Iterable[tuple[int, Integers]]:
        """Make `token` of the pair at `places`, and return the pairs that it now stands in with their places."""
        self._name(token, pair)
        if pair[0] == pair[1]:
            places = _without_overlaps(places, self._next)
        swallowed = self._next[places]
        after = self._next[swallowed]
        self.tokens[places] = token
        self.tokens[swallowed] = SWALLOWED
        self._next[places] = after
        self._prev[after] = places
        before = self._prev[places]
        # Where two new tokens stand side by side, the pair is counted from its left one.
        before = before[(self.tokens[before] >= 0) & (self.tokens[before] != token)]
        return self._grouped(np.concatenate([before, places]), min_count, max_chars, allowed)

    def _grouped(
        self, places: Integers, min_count: int, max_chars: int, allowed: Integers | None
    ) -> Iterable[tuple[int, Integers]]:
        """Return the pairs that begin at `places`, those that are frequent, short and allowed, with their places in order."""
        lefts, rights = self.tokens[places], self.tokens[self._next[places]]
        fits = rights >= 0
        fits &= self._lengths[lefts] + self._lengths[np.maximum(rights, 0)] <= max_chars
        keys = lefts[fits].astype(np.int64) << SHIFT | rights[fits]
        places = places[fits]
        if allowed is not None:
            known = np.isin(keys, allowed, kind="sort") if len(keys) > len(allowed) else _among(keys, allowed)
            keys, places = keys[known], places[known]
        if not len(keys):
            return []
        order = np.argsort(keys)
        keys, places = keys[order], places[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        totals = np.add.reduceat(self._weights[places], starts)
        ends = np.append(starts[1:], len(keys))
        return [
            (int(keys[starts[at]]), places[starts[at] : ends[at]])
            for at in np.flatnonzero(totals >= min_count).tolist()
        ]

    def _still(self, places: Integers, pair: Pair) -> Integers:
        """Return the places where the pair has not been taken apart by another merge."""
        kept: Integers = places[(self.tokens[places] == pair[0]) & (self.tokens[self._next[places]] == pair[1])]
        return kept

    def _count(self, places: Integers) -> int:
        return int(self._weights[places].sum())

    def _name(self, token: int, pair: Pair) -> None:
        if token >= len(self._lengths):
            self._lengths = np.concatenate(
                [self._lengths, np.zeros(max(1024, token + 1 - len(self._lengths)), np.int64)]
            )
        self._lengths[token] = self._lengths[pair[0]] + self._lengths[pair[1]]


def _among(keys: Integers, allowed: Integers) -> NDArray[np.bool_]:
    at = np.searchsorted(allowed, keys)
    known: NDArray[np.bool_] = allowed[np.minimum(at, len(allowed) - 1)] == keys
    return known


def _joined(known: Integers | None, born: Integers) -> Integers:
    return born if known is None else np.concatenate([known, born])


def _without_overlaps(places: Integers, following: NDArray[np.int32]) -> Integers:
    """Return the places of a pair of equal tokens from the left, none of which lies inside the one before: `aaa` is `aa`, `a`."""
    kept: list[int] = []
    taken = -1
    for place in np.sort(places).tolist():
        if place != taken:
            kept.append(place)
            taken = int(following[place])
    return np.array(kept, dtype=np.int64)
