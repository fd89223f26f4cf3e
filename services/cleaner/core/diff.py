"""How two corpus versions differ, document by document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from shared.corpus import DIGEST, HELD_OUT, VALID_UNTIL
from shared.shards import SCHEMA

COMPARED = ("document_id", DIGEST)
SHOWN = (*SCHEMA.names, HELD_OUT, VALID_UNTIL)
"""The fields that a changed document may differ in."""


@dataclass
class Difference:
    """What is found so far.

    Attributes:
        only_earlier: Digests by document id, of documents that only the earlier version holds.
        only_later: The same of the later one.
    """

    num_unchanged: int = 0
    only_earlier: dict[str, list[bytes]] = field(default_factory=dict)
    only_later: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, earlier: pa.Table, later: pa.Table) -> None:
        """Compare the documents of one range of digests, columns `COMPARED` of either version."""
        sides = [_by_digest(table) for table in (earlier, later)]
        common = sides[0].keys() & sides[1].keys()
        self.num_unchanged += len(common)
        for side, found in zip(sides, (self.only_earlier, self.only_later), strict=True):
            for digest in side.keys() - common:
                found.setdefault(side[digest], []).append(digest)

    @property
    def added(self) -> list[str]:
        """Return the ids that only the later version knows, sorted."""
        return sorted(self.only_later.keys() - self.only_earlier.keys())

    @property
    def removed(self) -> list[str]:
        """Return the ids that only the earlier version knows, sorted."""
        return sorted(self.only_earlier.keys() - self.only_later.keys())

    @property
    def changed(self) -> list[str]:
        """Return the ids that stand for other documents, sorted."""
        return sorted(self.only_earlier.keys() & self.only_later.keys())

    def num_of(self, ids: Sequence[str], side: dict[str, list[bytes]]) -> int:
        """Return how many documents these ids stand for."""
        return sum(len(side[one]) for one in ids)


def fields_that_differ(earlier: dict[str, object], later: dict[str, object]) -> tuple[str, ...]:
    """Return the fields in which two documents of one id differ."""
    return tuple(name for name in SHOWN if earlier.get(name) != later.get(name))


def aligned(num_earlier: int, num_later: int) -> Iterator[tuple[range, range]]:
    """Yield which shards of two versions hold the same digests, for numbers of shards that are powers of two.

    Example:
        >>> [(list(one), list(other)) for one, other in aligned(1, 2)]
        [([0], [0, 1])]
    """
    groups = min(num_earlier, num_later)
    for group in range(groups):
        yield tuple(  # type: ignore[misc]  # (two ranges)
            range(group * number // groups, (group + 1) * number // groups) for number in (num_earlier, num_later)
        )


def _by_digest(table: pa.Table) -> dict[bytes, str]:
    return dict(zip(table[DIGEST].to_pylist(), table["document_id"].to_pylist(), strict=True))
