from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.telemetry import LATENCY_BOUNDS_MS
from services.monitor.core.traffic import NOTHING, AnswerPoint
from services.monitor.core.windows import (
    MAX_CATCH_UP_S,
    MAX_LATENESS_S,
    WINDOW_S,
    close,
    open_at,
    present_series,
    record,
    traffic_id,
    traffic_of,
    window_of,
)
from tests.unit.monitor.samples import LAW_A, LAW_B, NOON_S, at, counts, point

GRACE_S = 1.0


def test_a_second_is_said_once_when_it_and_the_grace_are_over():
    windows = record(open_at(at(0), GRACE_S), [point(0.5, counts(3, slow=1)), point(0.9, counts(2), LAW_B)], at(1))
    windows, seconds = close(windows, at(1.99), GRACE_S)
    assert NOON_S not in seconds
    windows, seconds = close(windows, at(2), GRACE_S)
    assert seconds == (NOON_S,)
    a, b = traffic_of(windows, NOON_S, 300.0, at(2))
    assert (a.bundle_digest, a.num_answers, a.num_slow, b.bundle_digest, b.num_answers) == ("a" * 64, 3, 1, "b" * 64, 2)
    assert a.second == at(0)
    assert a.latency.bounds_ms == LATENCY_BOUNDS_MS
    assert a.event_id == traffic_id(LAW_A, NOON_S) != traffic_id(LAW_B, NOON_S) != traffic_id(LAW_A, NOON_S + 1)
    assert close(windows, at(2), GRACE_S) == (windows, ())


def test_a_second_without_answers_says_nothing():
    windows = record(open_at(at(0), GRACE_S), [point(0.5, counts(0)), point(0.6, counts(cache_hits=2), LAW_B)], at(1))
    [only] = traffic_of(windows, NOON_S, 300.0, at(2))
    assert (only.bundle_digest, only.num_answers, only.num_cache_hits) == ("b" * 64, 0, 2)
    assert traffic_of(windows, NOON_S + 1, 300.0, at(3)) == ()


def test_the_window_slides_over_five_seconds():
    windows = open_at(at(0), GRACE_S)
    windows = record(windows, [point(second, counts(1 + second)) for second in range(8)], at(8))
    window = window_of(windows, LAW_A, NOON_S + 7)
    assert window.counts.num_answers == sum(1 + second for second in range(3, 8))
    assert (window.latest_second, window.until) == (NOON_S + 7, at(8))
    quiet = window_of(windows, LAW_A, NOON_S + 7 + WINDOW_S)
    assert (quiet.counts, quiet.latest_second) == (NOTHING, None)
    assert present_series(windows, NOON_S + 7) == {LAW_A}


def test_a_late_point_counts_in_the_oldest_open_second_and_a_later_one_not_at_all():
    windows, _ = close(open_at(at(0), GRACE_S), at(100), GRACE_S)
    windows = record(windows, [point(90, counts(1)), point(60, counts(7)), point(1000, counts(7))], at(100))
    assert windows.num_misdated == 2
    assert [found.num_answers for found in traffic_of(windows, windows.closed + 1, 300.0, at(101))] == [1]


def test_a_point_of_a_clock_that_runs_ahead_counts_now():
    windows = record(open_at(at(0), GRACE_S), [point(9, counts(1))], at(3.5))
    assert window_of(windows, LAW_A, NOON_S + 3).counts.num_answers == 1


def test_after_a_long_stop_busy_seconds_are_said_and_quiet_ones_are_skipped():
    windows = record(open_at(at(0), GRACE_S), [point(0, counts(12))], at(1))
    windows, seconds = close(windows, at(5000), GRACE_S)
    assert len(seconds) == 1 + MAX_CATCH_UP_S
    assert seconds[0] == NOON_S
    assert window_of(windows, LAW_A, seconds[0]).counts.num_answers == 12


def test_a_clock_that_goes_back_closes_nothing_twice():
    windows, seconds = close(open_at(at(0), GRACE_S), at(10), GRACE_S)
    assert close(windows, at(5), GRACE_S) == (windows, ())
    _, later = close(windows, at(11), GRACE_S)
    assert not set(seconds) & set(later)


def test_what_windows_no_longer_reach_is_forgotten():
    windows = open_at(at(0), GRACE_S)
    for second in range(300):
        windows = record(windows, [point(second, counts(1))], at(second + 0.1))
        windows, _ = close(windows, at(second + 1), GRACE_S)
    assert len(windows.buckets) <= WINDOW_S + 3
    assert len(windows.seen) <= MAX_LATENESS_S + 3


arrivals = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=20),  # stamped
        st.floats(min_value=0, max_value=25),  # late by
        st.sampled_from([LAW_A, LAW_B]),
        st.integers(min_value=0, max_value=9),  # answers
    ),
    max_size=40,
)


@given(arrivals=arrivals, repeated=st.sets(st.integers(min_value=0, max_value=39)))
def test_every_answer_is_said_exactly_once_however_late_and_often_its_point_comes(arrivals, repeated):
    points: list[tuple[float, AnswerPoint]] = []
    for index, (stamped, late, series, answers) in enumerate(arrivals):
        arriving = (stamped + late, point(stamped, counts(answers), series, series_id=str(index)))
        points += [arriving] * (2 if index in repeated else 1)
    points.sort(key=lambda arriving: arriving[0])

    windows, said, ids = open_at(at(0), GRACE_S), Counter(), []
    for quarter in range(4 * 60):
        now = quarter / 4
        due = [found for arrives, found in points if now - 0.25 < arrives <= now]
        windows = record(windows, due, at(now))
        windows, seconds = close(windows, at(now), GRACE_S)
        for second in seconds:
            for event in traffic_of(windows, second, 300.0, at(now)):
                said[event.bundle_digest] += event.num_answers
                ids.append(event.event_id)

    expected = Counter()
    for _, _, series, answers in arrivals:
        expected[series.bundle_digest] += answers
    assert +said == +expected
    assert len(ids) == len(set(ids))


@given(st.permutations(range(12)))
def test_within_the_grace_the_order_of_arrival_does_not_matter(order):
    points = [point(index / 6, counts(index), series_id=str(index)) for index in range(12)]
    start = open_at(at(0), GRACE_S)
    in_order = record(start, points, at(2))
    shuffled = record(start, [points[index] for index in order], at(2))
    assert in_order == shuffled


@pytest.mark.parametrize("jump_s", [7200, -7200])
def test_a_clock_that_jumps_is_followed_and_no_point_is_counted_twice(jump_s):
    windows, said = open_at(at(0), GRACE_S), []
    for second in range(40):
        shift = jump_s if second >= 10 else 0
        new, old = point(second + shift + 0.5, counts(2)), point(second - 1 + shift + 0.5, counts(2))
        windows = record(windows, [new, old] if second % 10 else [new], at(second + shift + 0.6))
        windows, closed = close(windows, at(second + shift + 0.7), GRACE_S)
        said += [event for one in closed for event in traffic_of(windows, one, 300.0, at(second + shift + 0.7))]
    ids = [event.event_id for event in said]
    assert len(ids) == len(set(ids))
    # All but what was under way at the jump, and what is still open.
    assert 2 * 34 <= sum(event.num_answers for event in said) <= 2 * 40
