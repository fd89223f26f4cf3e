"""Which documents a corpus version holds, and what every other one lost to. A function of the documents, never of their arrival.

Documents are gone through newest first, among equally old ones by their digest; one is kept if no near-duplicate before it was.
That is the lexicographically first maximal independent set of the graph of near-duplicates: one for a set of documents. Of
equal texts that one stays which people annotated last, else the one that is labelled most, whatever its date: what people say is
worth more. Near texts of two laws of
two dates both stay, since each is in force from its own day. A text that was made from another is near it on purpose: it drops
nobody, and only an original with the very same text drops it. Where that text is for evaluation only, it is left out itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import NO_DATE, Facts

Numbers = NDArray[np.int64]
"""Documents by their row in the facts."""
NOBODY = -1


class Outcome(IntEnum):
    """What became of a document."""

    KEPT = 0
    LEFT_OUT = 1
    """Its batch is in quarantine."""
    DUPLICATE = 2
    """Another document has the same text."""
    NEAR_DUPLICATE = 3
    MADE_FROM_HELD_OUT = 4
    """Training on it would learn a text that is for evaluation only."""


@dataclass(frozen=True, kw_only=True)
class NearPairs:
    """Pairs of distinct texts that are alike.

    Attributes:
        first: A document that has the one text.
        second: One that has the other.
        similarity: Estimated Jaccard similarity, 0 to 1.
        says_the_same: Numbers, negations and modal words of both agree.
    """

    first: Numbers
    second: Numbers
    similarity: NDArray[np.float32]
    says_the_same: NDArray[np.bool_]

    @classmethod
    def none(cls) -> "NearPairs":
        """Return no pair."""
        empty = np.empty(0, np.int64)
        return cls(first=empty, second=empty, similarity=np.empty(0, np.float32), says_the_same=np.empty(0, np.bool_))

    def where(self, mask: NDArray[np.bool_]) -> "NearPairs":
        """Return some of the pairs."""
        return NearPairs(
            first=self.first[mask],
            second=self.second[mask],
            similarity=self.similarity[mask],
            says_the_same=self.says_the_same[mask],
        )


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What became of each document; columns like those of the facts.

    Attributes:
        outcome: `Outcome`.
        lost_to: The document that is kept in its place, or `NOBODY`.
        similarity: How like it is to that one, 0 to 1.
        valid_until: Day of the next version, in days since 1970-01-01, or `NO_DATE`.
    """

    outcome: NDArray[np.uint8]
    lost_to: Numbers
    similarity: NDArray[np.float32]
    valid_until: NDArray[np.int32]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which documents the version holds."""
        return np.equal(self.outcome, Outcome.KEPT)


def verdicts_of(
    facts: Facts, pairs: NearPairs, *, left_out: NDArray[np.bool_], restored: NDArray[np.bool_]
) -> Verdicts:
    """Return what becomes of each document.

    Args:
        facts: All documents of the domain.
        pairs: Near-duplicates among their texts, whichever document stands for a text.
        left_out: Documents in quarantine.
        restored: Documents that a person wants kept, whatever they are like.
    """
    rank = canonical_ranks(facts)
    outcome = np.where(left_out, Outcome.LEFT_OUT, Outcome.KEPT).astype(np.uint8)
    lost_to = np.full(len(facts), NOBODY, np.int64)
    similarity = np.zeros(len(facts), np.float32)

    made, original = _made_from_held_out(facts, ~left_out)
    outcome[made] = Outcome.MADE_FROM_HELD_OUT
    alive = outcome == Outcome.KEPT
    stands_for = _winners_of_texts(facts, rank, alive)
    lost_to[made] = np.where(stands_for[original] == NOBODY, original, stands_for[original])
    itself = (facts.digest == facts.digest[stands_for]).all(axis=1)
    loser = alive & (stands_for != np.arange(len(facts))) & (itself | ~restored)
    outcome[loser], lost_to[loser], similarity[loser] = Outcome.DUPLICATE, stands_for[loser], 1.0

    between = _between_originals(facts, _between_winners(pairs, stands_for))
    for number, winner, how_near in _losers(duplicates(facts, between), rank, restored):
        outcome[number], lost_to[number], similarity[number] = Outcome.NEAR_DUPLICATE, winner, how_near
    # Who has the text of a document that lost, lost to the same one.
    chained = outcome == Outcome.DUPLICATE
    behind = lost_to[chained]
    lost_to[chained] = np.where(lost_to[behind] == NOBODY, behind, lost_to[behind])
    return Verdicts(
        outcome=outcome,
        lost_to=lost_to,
        similarity=similarity,
        valid_until=_valid_until(facts, between.where(are_versions(facts, between)), outcome == Outcome.KEPT),
    )


def canonical_ranks(facts: Facts) -> Numbers:
    """Return each document's place in the canonical order: newest first, then by digest."""
    words = facts.digest.view(">u8").reshape(-1, 4)
    order = np.lexsort((*(words[:, column] for column in (3, 2, 1, 0)), -facts.published_on.astype(np.int64)))
    ranks = np.empty(len(facts), np.int64)
    ranks[order] = np.arange(len(facts))
    return ranks


def are_versions(facts: Facts, pairs: NearPairs) -> NDArray[np.bool_]:
    """Return which pairs are two versions of one text: the same document or group, at two dates."""
    first, second = pairs.first, pairs.second
    dates = facts.published_on[first], facts.published_on[second]
    related = (facts.document_key[first] == facts.document_key[second]) | (
        facts.group_key[first] == facts.group_key[second]
    )
    dated = (dates[0] != NO_DATE) & (dates[1] != NO_DATE)
    return np.asarray(related & dated & (dates[0] != dates[1]), np.bool_)


def are_in_force_by_themselves(facts: Facts, pairs: NearPairs) -> NDArray[np.bool_]:
    """Return which pairs belong to two groups of two dates, say to a law and to the code that took it up.

    Each is in force from its own day. A document without a group, such as a news item that is printed again, is not meant.
    """
    first, second = pairs.first, pairs.second
    dates, groups = facts.published_on, facts.group_key
    has_group, dated = groups != facts.document_key, dates != NO_DATE
    both = has_group[first] & has_group[second] & dated[first] & dated[second]
    return np.asarray(both & (groups[first] != groups[second]) & (dates[first] != dates[second]), np.bool_)


def duplicates(facts: Facts, pairs: NearPairs) -> NearPairs:
    """Return the pairs of which one document is enough.

    They are originals that say the same, but no two versions of a text, nor in force by themselves.
    """
    pairs = _between_originals(facts, pairs)
    return pairs.where(pairs.says_the_same & ~are_versions(facts, pairs) & ~are_in_force_by_themselves(facts, pairs))


def _made_from_held_out(facts: Facts, alive: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Return the living documents that were made from a text of evaluation only, and for each one that has this text.

    A made document's own group says the same where it is that of its original; it may come with another one. What was made from
    such a document was made from the text behind it.
    """
    made = np.flatnonzero(alive & facts.is_made)
    originals = np.flatnonzero(alive & ~facts.is_made)
    # Of a text that is trained on, too, nothing can be given away.
    trained = facts.text_key[originals[~facts.is_held_out[originals]]]
    sources = originals[~np.isin(facts.text_key[originals], trained)] if len(made) else made
    found, source_of = made[:0], made[:0]
    while len(sources):
        keys, first = np.unique(facts.text_key[sources], return_index=True)
        places = np.searchsorted(keys, facts.made_from_key[made]).clip(max=len(keys) - 1)
        hit = keys[places] == facts.made_from_key[made]
        found, source_of = np.r_[found, made[hit]], np.r_[source_of, sources[first[places[hit]]]]
        sources, made = made[hit], made[~hit]
        sources = sources[~np.isin(facts.text_key[sources], trained)]
    return found, source_of


def _winners_of_texts(facts: Facts, rank: Numbers, alive: NDArray[np.bool_]) -> Numbers:
    """Return for each document the living one that has its text and stays; `NOBODY` where none lives.

    It is an original where there is one, then the one that was annotated last, then the one of which people said most, then the
    first in canonical order.
    """
    # Negated bit by bit, since the smallest number has no opposite: the latest first, what nobody annotated last.
    order = np.lexsort((rank, ~facts.tells, ~facts.annotated_at, facts.is_made, ~alive, facts.text_key))
    keys = facts.text_key[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    winners = np.repeat(order[starts], np.diff(np.r_[starts, len(keys)]))
    stands_for = np.empty(len(facts), np.int64)
    stands_for[order] = np.where(alive[winners], winners, NOBODY)
    return stands_for


def _between_winners(pairs: NearPairs, stands_for: Numbers) -> NearPairs:
    first, second = stands_for[pairs.first], stands_for[pairs.second]
    moved = NearPairs(first=first, second=second, similarity=pairs.similarity, says_the_same=pairs.says_the_same)
    return moved.where((first != NOBODY) & (second != NOBODY) & (first != second))


def _between_originals(facts: Facts, pairs: NearPairs) -> NearPairs:
    return pairs.where(~facts.is_made[pairs.first] & ~facts.is_made[pairs.second])


def _losers(pairs: NearPairs, rank: Numbers, restored: NDArray[np.bool_]) -> Iterator[tuple[int, int, float]]:
    """Yield (document, the nearest kept one before it, similarity) of those that are not kept."""
    swap = rank[pairs.first] > rank[pairs.second]
    earlier = np.where(swap, pairs.second, pairs.first)
    later = np.where(swap, pairs.first, pairs.second)
    # By the later document in canonical order; its nearest earlier neighbour first, the better placed one among equals.
    order = np.lexsort((rank[earlier], -pairs.similarity, rank[later]))
    dropped: set[int] = set()
    rows = zip(later[order].tolist(), earlier[order].tolist(), pairs.similarity[order].tolist(), strict=True)
    for number, winner, similarity in rows:
        if number not in dropped and winner not in dropped and not restored[number]:
            dropped.add(number)
            yield number, winner, similarity


def _valid_until(facts: Facts, versions: NearPairs, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the day of each kept document's next version: the first date behind its own of the same document or a near one."""
    until = np.full(len(facts), np.iinfo(np.int32).max, np.int32)
    both = versions.where(kept[versions.first] & kept[versions.second])
    for one, other in ((both.first, both.second), (both.second, both.first)):
        newer = facts.published_on[other] > facts.published_on[one]
        np.minimum.at(until, one[newer], facts.published_on[other[newer]])
    dated = np.flatnonzero(kept & (facts.published_on != NO_DATE))
    order = dated[np.lexsort((facts.published_on[dated], facts.document_key[dated]))]
    _next_versions(facts, order, until)
    until[until == np.iinfo(np.int32).max] = NO_DATE
    return np.asarray(until, np.int32)


def _next_versions(facts: Facts, order: Numbers, until: NDArray[np.int32]) -> None:
    """Take the next date among documents of one id into `until`; `order` is by id, then by date."""
    if not len(order):
        return
    dates, keys = facts.published_on[order], facts.document_key[order]
    begins = np.r_[True, (keys[1:] != keys[:-1]) | (dates[1:] != dates[:-1])]
    run = np.cumsum(begins) - 1
    run_dates, run_keys = dates[begins], keys[begins]
    has_next = np.r_[run_keys[1:] == run_keys[:-1], False]
    following = np.where(has_next, np.r_[run_dates[1:], 0], np.iinfo(np.int32).max)[run]
    np.minimum.at(until, order, following.astype(np.int32))
