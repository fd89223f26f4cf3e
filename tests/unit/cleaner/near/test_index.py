import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cleaner.core.near.buckets import BUCKET_CAP
from services.cleaner.core.near.columns import ALL_BANDS, FAMILY_BAND
from services.cleaner.core.near.edges import union
from services.cleaner.core.near.index import THRESHOLD, DocumentsMissing, NearIndex
from tests.unit.cleaner.near.made import (
    articles,
    filled,
    grams,
    jaccard,
    mistyped,
    named,
    ranks,
    sketched,
    without_a_part,
)


@cache
def small_corpus() -> tuple[str, ...]:
    """400 articles, 120 edited copies, and two families of 200 and 90 near-copies, which crowd their buckets."""
    rng = random.Random(11)
    base = [text for text in rng.sample(articles(), 800) if len(text) > 40][:400]
    copies = [mistyped(text, rng, rng.choice([0.01, 0.03])) for text in rng.sample(base, 120)]
    crowds = [mistyped(base[at], rng, 0.02) for at, size in ((0, 200), (1, 90)) for _ in range(size)]
    return tuple(dict.fromkeys([*base, *copies, *crowds, "", "甲", "甲乙"]))


@cache
def small_edges() -> frozenset:
    index = filled(small_corpus(), [10_000])
    return frozenset(named(index.edges(), small_corpus()))


def test_the_crowds_crowd():
    index = filled(small_corpus(), [10_000])
    assert any(index.state().crowded.values())


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_pairs_follow_from_the_documents_not_from_order_or_batches(seed, sizes):
    shuffled = list(small_corpus())
    random.Random(seed).shuffle(shuffled)
    index = filled(shuffled, [*sizes, 50])
    assert named(index.edges(), shuffled) == small_edges()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 600))
def test_after_forgetting_the_last_ones_it_is_as_if_they_had_not_come(seed, cut):
    shuffled = list(small_corpus())
    random.Random(seed).shuffle(shuffled)
    index = filled(shuffled, [90])
    index.truncate(cut)
    assert len(index) == min(cut, len(shuffled))
    fresh = filled(shuffled[:cut], [1000])
    assert named(index.edges(), shuffled) == named(fresh.edges(), shuffled)
    for at in range(cut, len(shuffled), 70):
        rows = slice(at, at + 70)
        texts = shuffled[rows]
        index.add(at, sketched(texts), np.zeros(len(texts), np.uint64), ranks(texts))
    assert named(index.edges(), shuffled) == small_edges()


def test_forgetting_nothing_changes_nothing():
    index = filled(small_corpus(), [100])
    index.truncate(len(index))
    assert named(index.edges(), small_corpus()) == small_edges()


def test_owners_of_some_bands_find_together_what_one_finds():
    texts = small_corpus()
    owners = [NearIndex(bands=bands) for bands in (range(5), (5, 6, 7, 15, FAMILY_BAND), range(8, 15))]
    found = union([filled(texts, [64], index=owner).edges() for owner in owners])
    assert named(found, texts) == small_edges()
    assert all(named(owner.edges(), texts) < small_edges() for owner in owners)


def test_adding_again_changes_nothing():
    texts = small_corpus()[:200]
    index = filled(texts, [50])
    before = named(index.edges(), texts)
    zeros = np.zeros(60, dtype=np.uint64)
    again = index.add(30, sketched(texts[30:90]), zeros, ranks(texts[30:90]))
    assert (len(again), len(index)) == (0, 200)
    overlapping = [*texts[150:], *small_corpus()[200:210]]
    index.add(150, sketched(overlapping), zeros, ranks(overlapping))
    assert len(index) == 210
    assert before <= named(index.edges(), small_corpus())


def test_a_gap_is_refused():
    with pytest.raises(DocumentsMissing, match="number 1"):
        NearIndex().add(1, sketched(["第一条"]), np.zeros(1, np.uint64), np.zeros(1, np.uint64))


def test_short_texts_have_no_near_duplicates():
    index = filled(["甲", "甲", "", "甲乙", "。甲"], [2])
    assert len(index) == 5
    assert len(index.edges()) == 0


def test_equal_texts_of_three_characters_are_found():
    index = filled(["甲乙丙", "丁戊己", "甲、乙丙"], [1])
    (edge,) = zip(index.edges().number, index.edges().other, index.edges().similarity, strict=True)
    assert edge == (2, 0, 1.0)


def test_found_pairs_are_the_truly_similar_ones():
    """Against exact similarity of all pairs; at the threshold itself an estimate may err."""
    texts = small_corpus()[:520]  # without the crowds, in which not all are compared
    found = {pair[:2] for pair in named(filled(texts, [100]).edges(), texts)}
    own_grams = {text: grams(text) for text in texts}
    num_near = 0
    for at, left in enumerate(texts):
        for right in texts[:at]:
            first, second = own_grams[left], own_grams[right]
            shared = len(first & second)
            exact = shared / (len(first) + len(second) - shared)
            is_found = tuple(sorted((left, right))) in found
            num_near += exact >= THRESHOLD
            assert is_found == (exact >= THRESHOLD) or abs(exact - THRESHOLD) < 0.12
    assert num_near > 100


def test_documents_with_different_guards_do_not_meet():
    texts = ["处三年以上五年以下有期徒刑，并处罚金。"] * 3
    guards = np.array([1, 2, 1], dtype=np.uint64)
    edges = filled(texts, [1], guards=guards).edges()
    assert list(zip(edges.number.tolist(), edges.other.tolist(), strict=True)) == [(2, 0)]


def test_versions_of_one_text_meet_whatever_their_guards():
    sentence = "以暴力、胁迫或者其他方法抢劫公私财物的，处三年以上{}年以下有期徒刑，并处罚金。"
    texts = [sentence.format("五"), sentence.format("七"), "完全不同的一条规定文字。"]
    guards = np.array([1, 2, 3], dtype=np.uint64)
    families = np.array([7, 7, 7], dtype=np.uint64) << np.uint64(32)
    edges = filled(texts, [1], guards=guards, families=families).edges()
    assert edges.number.tolist() == [1]
    assert edges.other.tolist() == [0]
    assert edges.same_guard.tolist() == [False]
    assert edges.similarity[0] == pytest.approx(jaccard(texts[0], texts[1]), abs=0.1)


def test_many_that_differ_in_their_guards_do_not_crowd_out_a_pair():
    """A template with a date in it: thousand of them, and two that are duplicates."""
    rng = random.Random(2)
    template = next(text for text in articles() if 60 < len(text) < 90)
    texts = [mistyped(template, rng, 0.01) for _ in range(300)]
    guards = np.arange(300, dtype=np.uint64)
    guards[299] = guards[298]
    index = filled(texts, [40], guards=guards)
    assert list(zip(index.edges().number, index.edges().other, strict=True)) == [(299, 298)]
    assert not any(index.state().crowded.values())


def test_a_crowd_of_versions_is_bounded_and_independent_of_order():
    rng = random.Random(4)
    template = next(text for text in articles() if 60 < len(text) < 90)
    texts = list(dict.fromkeys(mistyped(template, rng, 0.01) for _ in range(3 * BUCKET_CAP)))
    by_text = {text: np.uint64(at) for at, text in enumerate(texts)}
    results = []
    for order in (texts, texts[::-1]):
        guards = np.array([by_text[text] for text in order], dtype=np.uint64)
        families = np.full(len(order), 9 << 32, dtype=np.uint64)
        index = filled(order, [25], guards=guards, families=families)
        results.append(named(index.edges(), order))
    assert results[0] == results[1]
    assert 0 < len(results[0]) <= len(texts) * BUCKET_CAP


def test_state_starts_an_index_that_goes_on_alike():
    texts = small_corpus()
    index = filled(texts[:300], [70])
    state = index.state()
    filled(texts, [1000], index=index)
    resumed = filled(texts, [40], index=NearIndex(state))
    assert named(resumed.edges(), texts) == small_edges() == named(index.edges(), texts)
    assert len(state.columns) == 300


def test_state_is_small():
    texts = articles()[:20_000]
    state = filled(texts, [1000]).state()
    columns = state.columns
    num_bytes = sum(run.nbytes for segment in state.segments for run in segment.entries.values())
    num_bytes += columns.packed.nbytes + columns.guards.nbytes + columns.ranks.nbytes + columns.families.nbytes
    num_bytes += 13 * len(state.edges)
    assert state.bands == ALL_BANDS
    assert num_bytes / len(texts) <= 260


def test_similarity_of_any_pair():
    rng = random.Random(3)
    text = articles()[100]
    texts = [text, without_a_part(text, rng), articles()[9000]]
    index = filled(texts, [3])
    similarity = index.similarity(np.array([0, 0], np.uint32), np.array([1, 2], np.uint32))
    exact = [jaccard(text, other) for other in texts[1:]]
    assert similarity.tolist() == pytest.approx(exact, abs=0.1)
