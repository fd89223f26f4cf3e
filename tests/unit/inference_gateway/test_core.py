"""Routing, cache keys and faults, as properties."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.api import FaultRequest
from contracts.release import Route
from services.inference_gateway.core.caching import cache_key
from services.inference_gateway.core.faults import armed, delay_s, with_first_answer
from services.inference_gateway.core.routing import bucket_of, pick_bundle, servable_routes

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def routes(new_percent: int) -> tuple[Route, ...]:
    return (
        Route(bundle_digest=OLD, weight_percent=100 - new_percent),
        Route(bundle_digest=NEW, weight_percent=new_percent),
    )


def test_ten_percent_of_ten_thousand_users_go_to_the_candidate_within_a_point():
    counts = Counter(pick_bundle(routes(10), f"user-{number}") for number in range(10_000))
    assert abs(counts[NEW] / 10_000 - 0.10) <= 0.01


@given(user=st.text(min_size=1, max_size=50), percent=st.integers(0, 100), more=st.integers(0, 100))
def test_a_growing_share_only_ever_moves_users_to_the_candidate(user, percent, more):
    low, high = sorted((percent, more))
    if pick_bundle(routes(low), user) == NEW:
        assert pick_bundle(routes(high), user) == NEW


@given(user=st.text(min_size=1, max_size=50))
def test_all_or_nothing_is_exact(user):
    assert pick_bundle(routes(0), user) == OLD
    assert pick_bundle(routes(100), user) == NEW
    assert pick_bundle((), user) is None


def test_buckets_are_pinned_since_a_change_would_move_users_between_bundles():
    assert [bucket_of(f"user-{number}", salt=NEW) for number in range(3)] == [5443, 8101, 898]


def test_each_rollout_tries_other_users():
    first = {number for number in range(2_000) if pick_bundle(routes(10), f"user-{number}") == NEW}
    other = (Route(bundle_digest=OLD, weight_percent=90), Route(bundle_digest=OTHER, weight_percent=10))
    second = {number for number in range(2_000) if pick_bundle(other, f"user-{number}") == OTHER}
    assert first
    assert second
    assert len(first & second) < len(first) / 2


def test_a_bundle_that_is_not_loaded_yet_does_not_cut_the_present_routes():
    present = (Route(bundle_digest=OLD, weight_percent=100),)
    assert servable_routes(routes(10), {OLD}, present=present) == present
    assert servable_routes(routes(10), {OLD, NEW}, present=present) == routes(10)


def test_after_a_restart_whatever_is_loaded_answers_everybody():
    assert servable_routes(routes(10), {NEW}, present=()) == (Route(bundle_digest=NEW, weight_percent=100),)
    assert servable_routes(routes(10), set(), present=()) == ()


@given(loaded=st.sets(st.sampled_from([OLD, NEW, OTHER])), percent=st.integers(0, 100), before=st.integers(0, 100))
def test_routes_that_are_followed_are_loaded_and_sum_to_a_hundred(loaded, percent, before):
    followed = servable_routes(routes(percent), loaded, present=routes(before))
    assert {route.bundle_digest for route in followed} <= loaded
    assert sum(route.weight_percent for route in followed) in {0, 100}


def test_cached_answers_belong_to_one_bundle_task_and_text():
    keys = {
        cache_key(digest, task, text)
        for digest in (OLD, NEW)
        for task in ("classify", "complete")
        for text in ("第一条", "第二条")
    }
    assert len(keys) == 8
    assert cache_key(OLD, "complete", "x", temperature=0.0) != cache_key(OLD, "complete", "x", temperature=1.0)


def test_a_fault_slows_one_bundle_until_its_time_is_over():
    faults = armed({}, FaultRequest(bundle_digest=NEW, delay_ms=900, for_s=10), now=NOW)
    assert delay_s(faults, NEW, now=NOW) == 0.9
    assert delay_s(faults, OLD, now=NOW) == 0
    assert delay_s(faults, NEW, now=NOW + timedelta(seconds=10)) == 0


def test_the_first_slow_answer_is_noted_once():
    faults = armed({}, FaultRequest(bundle_digest=NEW, delay_ms=900), now=NOW)
    once = with_first_answer(faults, NEW, now=NOW)
    twice = with_first_answer(once, NEW, now=NOW + timedelta(seconds=1))
    assert twice[NEW].first_answer_at == NOW
