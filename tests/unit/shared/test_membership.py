"""Where a spread topic's events go: the member that has a domain, and so its index, gets fewer of them."""

from collections import Counter

import pytest

from contracts.topics import NUM_PARTITIONS
from shared.membership import OWN_EVERY, partition_in_turn, partition_of

ROUND = OWN_EVERY * (NUM_PARTITIONS - 1) + 1
DOMAINS = ["law", "medicine", "finance", "patents", "tax", "labour-law"]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_own_partition_of_a_domain_gets_one_event_where_each_other_gets_three(domain: str) -> None:
    turns = Counter(partition_in_turn(domain, turn) for turn in range(5 * ROUND))

    assert turns.pop(partition_of(domain)) == 5
    assert turns == {number: 5 * OWN_EVERY for number in range(NUM_PARTITIONS) if number != partition_of(domain)}


def test_any_few_events_that_follow_each_other_go_to_different_partitions() -> None:
    for turn in range(2 * ROUND):
        following = [partition_in_turn("law", turn + step) for step in range(NUM_PARTITIONS - 1)]
        assert len(set(following)) == len(following), turn


def test_of_two_members_the_one_that_has_the_domain_gets_four_of_ten_events() -> None:
    own = partition_of("law")
    halves = {number: number // (NUM_PARTITIONS // 2) for number in range(NUM_PARTITIONS)}
    with_owner = sum(halves[partition_in_turn("law", turn)] == halves[own] for turn in range(ROUND))

    assert (with_owner, ROUND) == (4, 10)
