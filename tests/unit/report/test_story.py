"""What a report says follows from the events: outcomes, weights, alerts, lineage, figures."""

import math
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.api import EventRecord
from contracts.monitoring import AlertChanged, AlertState, LatencyHistogram, TrafficObserved
from contracts.release import ReleaseChanged
from contracts.training import TrainingProgressed
from shared.report.figures import bin_s_for, binned, percentile_ms, wilson
from shared.report.story import Story, alerts_of, decoded, released, story_of, window_of
from tests.unit.report.samples import FIRST, SECOND, START, THIRD, record, story_events


@pytest.fixture
def story() -> Story:
    story = story_of("law", story_events())
    assert story
    return story


def test_outcomes_are_those_of_the_release_events(story: Story) -> None:
    assert [(bundle.digest, bundle.outcome, bundle.tone) for bundle in story.bundles] == [
        (FIRST, "released, then replaced", "plain"),
        (SECOND, "serving", "good"),
        (THIRD, "rolled-back: latency", "bad"),
    ]


def test_lineage_goes_from_batches_to_answers(story: Story) -> None:
    third = story.bundles[2]
    assert [batch.received.num_documents for batch in third.batches] == [300]
    assert third.version
    assert (third.version.number, third.tokenizer and third.tokenizer.reused) == (3, True)
    assert (third.num_answers, third.num_slow, third.num_cache_hits) == (21, 20, 11)
    assert [point.step for point in third.progress] == [1, 2, 3]


def test_weights_change_when_the_routes_do(story: Story) -> None:
    assert [dict(weights.percent) for weights in story.weights] == [
        {FIRST: 100}, {FIRST: 90, SECOND: 10}, {SECOND: 100}, {SECOND: 90, THIRD: 10}, {SECOND: 100},
    ]  # fmt: skip


def test_a_state_that_is_said_again_after_a_restart_is_told_once() -> None:
    events = story_events()
    again = [event for event in events if isinstance(event, ReleaseChanged)][1]
    later = again.model_copy(update={"occurred_at": events[-1].occurred_at + timedelta(seconds=1)})
    story, plain = story_of("law", [*events, later]), story_of("law", events)
    assert story
    assert plain
    assert story.weights == plain.weights
    assert story.moments == plain.moments


def test_alerts_last_from_firing_to_their_end(story: Story) -> None:
    (alert,) = story.alerts
    assert (alert.bundle_digest, alert.ended_as) == (THIRD, "no-data")
    assert alert.until
    assert (alert.until - alert.fired_at).total_seconds() == 9
    fired = [event for event in story_events() if isinstance(event, AlertChanged) and event.state is AlertState.FIRING]
    assert [alert.until for alert in alerts_of(fired)] == [None]


def test_a_quiet_alert_is_no_moment(story: Story) -> None:
    assert [moment.tone for moment in story.moments if moment.title == "alert"] == ["bad", "good"]
    assert [moment.at for moment in story.moments] == sorted(moment.at for moment in story.moments)


def test_a_release_is_told_with_what_it_is_compared_with_and_nothing_else() -> None:
    events = story_events()
    assert window_of(events, THIRD) == (START + timedelta(seconds=200), START + timedelta(seconds=284))
    story = story_of("law", events, release=THIRD)
    assert story
    assert [bundle.digest for bundle in story.bundles] == [SECOND, THIRD]
    assert {second.bundle_digest for second in story.traffic} == {SECOND, THIRD}
    assert [bundle.num_answers for bundle in story.bundles] == [90, 21], "the last second was told of after the end"
    assert [alert.ended_as for alert in story.alerts] == ["no-data"], "told although it ended after the rollout"
    assert story.began_at <= min(moment.at for moment in story.moments)
    assert [dict(weights.percent) for weights in story.weights] == [
        {SECOND: 100},
        {SECOND: 90, THIRD: 10},
        {SECOND: 100},
    ]


def test_nothing_is_told_of_what_was_not_trained() -> None:
    assert story_of("law", []) is None
    assert story_of("law", story_events(), release="9" * 64) is None
    assert released(story_events()) == [FIRST, SECOND, THIRD]


def test_records_become_events_once_and_unknown_ones_are_left_out() -> None:
    events = story_events()
    records = [record(event) for event in events]
    unknown = EventRecord(**{**records[0].model_dump(), "event_id": UUID(int=98), "topic": "made-up-v9"})
    broken = EventRecord(**{**records[1].model_dump(), "event_id": UUID(int=99), "event": {"of": "a later version"}})
    found = decoded([*reversed(records), unknown, *records, broken])
    assert [event.occurred_at for event in found] == [event.occurred_at for event in events]
    assert {event.event_id: event for event in found} == {event.event_id: event for event in events}


# ---- figures


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_solves_its_equation(case: tuple[int, int]) -> None:
    """The bounds are where the normal test just does not refuse the share: the definition, not the formula."""
    right, n = case
    interval = wilson(right / n, n)
    for bound in (interval.low, interval.high):
        if 1e-6 < bound < 1 - 1e-6:
            assert math.isclose(
                abs(right / n - bound), 1.96 * math.sqrt(bound * (1 - bound) / n), rel_tol=1e-6, abs_tol=1e-9
            )
    assert interval.low <= interval.share + 1e-12
    assert interval.high >= interval.share - 1e-12


def test_without_cases_the_interval_says_nothing() -> None:
    assert (wilson(0.0, 0).low, wilson(0.0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((100, 0, 0, 0), 47.5),
        ((0, 20, 0, 0), 50 + 250 * 0.95),
        ((95, 0, 5, 0), 50),
        ((0, 0, 0, 3), 1000),
        ((0, 0, 0, 0), None),
    ],
)
def test_percentiles_lie_within_their_bucket(counts: tuple[int, ...], expected: float | None) -> None:
    found = percentile_ms([LatencyHistogram(bounds_ms=(50, 300, 1000), counts=counts)], 0.95)
    assert found == (pytest.approx(expected) if expected is not None else None)
    assert percentile_ms([], 0.95) is None


def test_bins_count_every_answer_once() -> None:
    traffic = [event for event in story_events() if isinstance(event, TrafficObserved)]
    for bin_s in (1, 5, 7):
        bins = binned(traffic, bin_s=bin_s)
        total = sum(point.answers_per_s * bin_s for points in bins.values() for point in points)
        assert total == pytest.approx(sum(second.num_answers for second in traffic))
    assert bin_s_for(60) == 5
    assert bin_s_for(86_400) == 289


def test_a_training_that_was_not_reported_has_no_progress() -> None:
    events = [event for event in story_events() if not isinstance(event, TrainingProgressed)]
    story = story_of("law", events)
    assert story
    assert story.bundles[0].progress == ()
