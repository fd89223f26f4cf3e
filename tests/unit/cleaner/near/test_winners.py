import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.cleaner.core.near.edges import Edges, no_edges
from services.cleaner.core.near.supersessions import are_versions, supersessions
from services.cleaner.core.near.winners import NOBODY, canonical_order, resolve, resolve_again

NUM_DOCUMENTS = 14


def edges_of(pairs):
    """Pairs as a mapping (larger number, smaller number) -> (similarity, same guard)."""
    ordered = sorted(pairs)
    return Edges(
        np.array([number for number, _ in ordered], dtype=np.uint32),
        np.array([other for _, other in ordered], dtype=np.uint32),
        np.array([pairs[pair][0] for pair in ordered], dtype=np.float32),
        np.array([pairs[pair][1] for pair in ordered], dtype=np.bool_),
    )


@st.composite
def graphs(draw, num_documents=NUM_DOCUMENTS):
    numbers = st.integers(0, num_documents - 1)
    pairs = draw(st.sets(st.tuples(numbers, numbers).filter(lambda pair: pair[0] > pair[1]), max_size=30))
    says = {pair: (draw(st.sampled_from([0.7, 0.75, 0.8, 1.0])), draw(st.integers(0, 5)) > 0) for pair in sorted(pairs)}
    order = np.array(draw(st.permutations(range(num_documents))), dtype=np.int64)
    alive = np.array(draw(st.lists(st.booleans(), min_size=num_documents, max_size=num_documents)))
    return says, order, alive


def by_hand(pairs, order, alive):
    """One document after the other, as the definition says."""
    neighbours = {number: {} for number in range(len(order))}
    for (number, other), (similarity, same_guard) in pairs.items():
        if same_guard:
            neighbours[number][other] = neighbours[other][number] = np.float32(similarity)
    kept, winner, nearness = set(), {}, {}
    for number in sorted(range(len(order)), key=lambda number: order[number]):
        if not alive[number]:
            continue
        better = [other for other in neighbours[number] if other in kept]
        if not better:
            kept.add(number)
            continue
        winner[number] = min(better, key=lambda other: (-neighbours[number][other], order[other]))
        nearness[number] = neighbours[number][winner[number]]
    return kept, winner, nearness


def as_hand(winners):
    dropped = np.flatnonzero(winners.winner != NOBODY)
    assert not winners.kept[dropped].any()
    assert not winners.similarity[winners.winner == NOBODY].any()
    return (
        set(np.flatnonzero(winners.kept).tolist()),
        {int(number): int(winners.winner[number]) for number in dropped},
        {int(number): winners.similarity[number] for number in dropped},
    )


@given(graphs())
def test_resolve_is_the_definition(graph):
    pairs, order, alive = graph
    assert as_hand(resolve(edges_of(pairs), order, alive)) == by_hand(pairs, order, alive)


@given(graphs(), st.data())
def test_looking_only_at_what_changed_gives_the_same(graph, data):
    """From the first documents in the order to all of them, some of which change whether they are alive, some their pairs."""
    pairs, order, alive = graph
    known = data.draw(st.integers(0, NUM_DOCUMENTS))
    was_alive = alive[:known].copy()
    flipped = data.draw(st.sets(st.integers(0, known - 1), max_size=3)) if known else set()
    was_alive[list(flipped)] ^= True
    inside = {pair: says for pair, says in pairs.items() if max(pair) < known}
    lost = data.draw(st.sets(st.sampled_from(sorted(inside)), max_size=2)) if inside else set()
    before = resolve(edges_of({pair: inside[pair] for pair in inside if pair not in lost}), order[:known], was_alive)
    touched = {*range(known, NUM_DOCUMENTS), *flipped, *(number for pair in lost for number in pair)}
    again = resolve_again(before, edges_of(pairs), order, alive, np.array(sorted(touched), dtype=np.uint32))
    assert as_hand(again) == by_hand(pairs, order, alive)


def test_new_documents_that_nobody_touched_stay_as_they_are():
    before = resolve(no_edges(), np.arange(1), np.ones(1, dtype=np.bool_))
    again = resolve_again(before, no_edges(), np.arange(3), np.array([True, True, False]), np.zeros(0, dtype=np.uint32))
    assert again.kept.tolist() == [True, True, False]


def test_ends_of_a_chain_both_stay():
    edges = edges_of({(1, 0): (0.8, True), (2, 1): (0.9, True)})
    winners = resolve(edges, np.arange(3), np.ones(3, dtype=np.bool_))
    assert winners.kept.tolist() == [True, False, True]
    assert winners.winner.tolist() == [NOBODY, 0, NOBODY]  # the document 2 is nearer, but no earlier


def test_the_runner_up_of_a_removed_winner_comes_back():
    edges = edges_of({(1, 0): (0.8, True)})
    assert resolve(edges, np.arange(2), np.array([False, True])).kept.tolist() == [False, True]


def test_newest_first_then_the_smallest_digest():
    published = np.array([10, 20, 20, -(2**60)])
    digests = np.array([b"a", b"c", b"b", b"0"])
    assert canonical_order(published, digests).tolist() == [2, 1, 0, 3]


def test_each_version_ends_when_the_next_one_begins():
    published = np.array([100, 300, 200, 200, 150])
    families = np.array([5, 5, 5, 0, 6], dtype=np.uint64)
    near = edges_of(
        {(1, 0): (0.8, False), (2, 0): (0.9, True), (2, 1): (0.7, False), (3, 0): (0.9, True), (4, 0): (0.9, True)}
    )
    dated = np.ones(5, dtype=np.bool_)
    versions = are_versions(near, families, published, dated)
    assert versions.tolist() == [True, True, True, False, False]
    order = canonical_order(published, np.arange(5).astype("S1"))
    links = supersessions(near.where(versions), published, order, np.ones(5, dtype=np.bool_))
    assert links.older.tolist() == [0, 2]
    assert links.newer.tolist() == [2, 1]
    assert links.valid_until.tolist() == [200, 300]


def test_a_version_out_of_the_corpus_ends_nothing():
    published = np.array([100, 200, 300])
    families = np.full(3, 5, dtype=np.uint64)
    near = edges_of({(1, 0): (0.8, False), (2, 0): (0.8, False), (2, 1): (0.8, False)})
    links = supersessions(near, published, np.array([2, 1, 0]), np.array([True, False, True]))
    assert (links.older.tolist(), links.newer.tolist()) == ([0], [2])
    assert are_versions(near, families, published, np.array([True, True, False])).tolist() == [True, False, False]


def test_of_two_next_versions_of_one_day_the_first_in_the_order_counts():
    published = np.array([100, 200, 200])
    near = edges_of({(1, 0): (0.8, False), (2, 0): (0.9, False)})
    alive = np.ones(3, dtype=np.bool_)
    assert supersessions(near, published, np.array([2, 1, 0]), alive).newer.tolist() == [2]
    assert supersessions(near, published, np.array([2, 0, 1]), alive).newer.tolist() == [1]
