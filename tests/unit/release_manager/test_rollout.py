import pytest

from contracts.monitoring import AlertState
from contracts.release import Cause, Phase, Tally
from services.release_manager.core.effects import RequestDeclined, RollbackImpossible
from services.release_manager.core.rollout import what_to_roll_back
from services.release_manager.core.transitions import MAX_FINISHED

from .story import (
    RULES,
    TRACEPARENT,
    Story,
    alert,
    at,
    digest,
    evaluated,
    loaded,
    published,
    requested,
    traffic,
    weights,
)


@pytest.fixture
def serving_a() -> Story:
    story = Story()
    story.release("a")
    return story


# ---- the way up


def test_the_first_bundle_goes_to_all_traffic_after_it_is_loaded() -> None:
    story = Story()
    word = published(story.see(evaluated("a")))
    assert (word.phase, word.cause, word.candidate.traceparent) == (Phase.WARMING, Cause.EVALUATED, TRACEPARENT)
    assert (story.state.warm_digests, story.state.routes) == ((digest("a"),), ())
    word = published(story.see(loaded("a")))
    assert (word.phase, word.cause) == (Phase.PROMOTING, Cause.LOADED)
    assert weights(story.state) == {"a": 100}
    assert story.wait(RULES.settle_s - 0.1) == ()
    assert published(story.wait(0.1)).phase is Phase.WINDOW
    assert story.wait(RULES.window_s - 0.1) == ()
    word = published(story.wait(0.1))
    assert (word.phase, word.cause) == (Phase.STABLE, Cause.ELAPSED)
    assert story.state.revision == 4
    assert (story.state.serving_digest, story.state.previous_digest) == (digest("a"), None)


def test_the_next_bundle_goes_through_a_canary(serving_a: Story) -> None:
    story = serving_a
    story.see(evaluated("b", ancestors="a"))
    assert (weights(story.state), story.state.warm_digests) == ({"a": 100}, (digest("a"), digest("b")))
    word = published(story.see(loaded("b")))
    assert (word.phase, word.cause, weights(story.state)) == (Phase.CANARY, Cause.LOADED, {"a": 90, "b": 10})
    assert story.state.serving_digest == digest("a")
    word = published(story.serve_well("b"))
    assert (word.phase, word.cause, weights(story.state)) == (Phase.PROMOTING, Cause.HEALTHY, {"b": 100})
    assert (story.state.serving_digest, story.state.previous_digest) == (digest("b"), digest("a"))
    story.wait(RULES.settle_s)
    assert (story.phase, story.state.warm_digests) == ("window", (digest("a"), digest("b")))
    story.wait(RULES.window_s)
    assert story.state.warm_digests == (digest("b"),)
    assert [(done.candidate.bundle_digest[0], done.phase) for done in story.state.finished] == [
        ("a", "stable"),
        ("b", "stable"),
    ]


def test_an_evaluation_that_did_not_pass_is_never_released() -> None:
    story = Story()
    assert story.see(evaluated("a", passed=False)) == ()
    assert story.state.revision == 0


# ---- loading


def test_a_candidate_that_cannot_be_loaded_is_taken_back(serving_a: Story) -> None:
    serving_a.see(evaluated("b", ancestors="a"))
    word = published(serving_a.see(loaded("b", ok=False, error="digest mismatch")))
    assert (word.phase, word.cause) == (Phase.ROLLED_BACK, Cause.LOAD_FAILED)
    assert word.reason == "gateway-1 could not load it: digest mismatch"
    assert (serving_a.phase, weights(serving_a.state)) == (None, {"a": 100})
    assert serving_a.state.rolled_back_digests == (digest("b"),)
    assert serving_a.state.warm_digests == (digest("a"),)


def test_a_candidate_that_nobody_loads_is_given_up() -> None:
    story = Story()
    story.see(evaluated("a"))
    assert story.wait(RULES.max_load_s - 0.1) == ()
    word = published(story.wait(0.1))
    assert (word.phase, word.cause) == (Phase.INCONCLUSIVE, Cause.LOAD_FAILED)
    assert (story.state.routes, story.state.warm_digests, story.state.rolled_back_digests) == ((), (), ())


@pytest.mark.parametrize("event", [loaded("a"), loaded("b"), loaded("b", ok=False), loaded("c")])
def test_bundle_loaded_counts_for_the_candidate_in_warming_only(serving_a: Story, event: object) -> None:
    assert serving_a.see(event) == ()  # type: ignore[arg-type]  # parametrised
    serving_a.to_canary("b", ancestors="a")
    assert serving_a.see(event) == ()  # type: ignore[arg-type]  # parametrised


def test_another_bundles_load_does_not_start_the_canary(serving_a: Story) -> None:
    serving_a.see(evaluated("b", ancestors="a"))
    assert serving_a.see(loaded("a")) == ()
    assert serving_a.phase == "warming"


# ---- the canary


def test_no_traffic_holds_and_then_goes_back_inconclusive(serving_a: Story) -> None:
    serving_a.to_canary("b", ancestors="a")
    assert serving_a.wait(RULES.max_hold_s - 0.1) == ()
    word = published(serving_a.wait(0.1))
    assert (word.phase, word.cause, weights(serving_a.state)) == (Phase.ROLLING_BACK, Cause.NO_TRAFFIC, {"a": 100})
    assert published(serving_a.wait(RULES.settle_s)).phase is Phase.INCONCLUSIVE
    assert serving_a.state.rolled_back_digests == ()


def test_errors_that_are_proven_go_back_with_the_event_that_proves_them(serving_a: Story) -> None:
    serving_a.to_canary("b", ancestors="a")
    word = published(serving_a.see(traffic("b", serving_a.seconds, 10, errors=9)))
    assert (word.phase, word.cause) == (Phase.ROLLING_BACK, Cause.ERRORS)
    assert (weights(serving_a.state), serving_a.state.rolled_back_digests) == ({"a": 100}, (digest("b"),))
    # It still ends the answers that it began.
    assert serving_a.state.warm_digests == (digest("a"), digest("b"))
    assert serving_a.wait(RULES.settle_s - 0.1) == ()
    word = published(serving_a.wait(0.1))
    assert (word.phase, word.cause) == (Phase.ROLLED_BACK, Cause.ERRORS)
    assert serving_a.state.warm_digests == (digest("a"),)


def test_seconds_before_the_canary_and_seconds_that_come_twice_are_not_counted(serving_a: Story) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    start = story.seconds
    for second, answers in [(start - 1, 5), (start, 3), (start, 3), (start + 1, 4), (start, 3)]:
        story.see(traffic("b", second, answers))
        story.see(traffic("a", second, 10 * answers, errors=1))
        story.see(traffic("c", second, 7))
    assert story.state.rollout is not None
    assert story.state.rollout.candidate_tally == Tally(num_answers=7, last_second=at(start + 1))
    assert story.state.rollout.baseline_tally == Tally(num_answers=70, num_errors=2, last_second=at(start + 1))


def test_more_errors_than_answers_count_as_all_of_them(serving_a: Story) -> None:
    serving_a.to_canary("b", ancestors="a")
    word = published(serving_a.see(traffic("b", serving_a.seconds, 10, errors=99)))
    assert word.reason == "100.0% errors among 10 answers (limit 5.0%)"


def test_counting_is_stored_and_not_published(serving_a: Story) -> None:
    serving_a.to_canary("b", ancestors="a")
    revision = serving_a.state.revision
    assert serving_a.see(traffic("b", serving_a.seconds, 5)) == ()
    assert serving_a.state.revision == revision


# ---- alerts


@pytest.mark.parametrize("phase", ["canary", "promoting", "window"])
@pytest.mark.parametrize("signal", ["latency", "errors", "quality"])
def test_a_firing_alert_rolls_the_candidate_back_at_once(serving_a: Story, phase: str, signal: str) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    if phase != "canary":
        story.serve_well("b")
    if phase == "window":
        story.wait(RULES.settle_s)
    assert story.phase == phase
    word = published(story.see(alert("b", signal=signal)))  # type: ignore[arg-type]  # parametrised
    assert (word.phase, word.cause) == (Phase.ROLLING_BACK, Cause(signal))
    assert word.reason == "alert answer-latency: 30 % of 40 answers over 300 ms"
    assert (weights(story.state), story.state.serving_digest) == ({"a": 100}, digest("a"))
    assert story.state.previous_digest is None
    assert story.see(alert("b", signal=signal)) == ()  # type: ignore[arg-type]  # parametrised
    story.wait(RULES.settle_s)
    assert (story.phase, story.state.firing_alerts) == (None, ())


def test_an_alert_for_the_first_release_cannot_go_back_and_is_said_once() -> None:
    story = Story()
    story.see(evaluated("a"))
    story.see(loaded("a"))
    (effect,) = story.see(alert("a"))
    assert isinstance(effect, RollbackImpossible)
    assert "nothing to go back to" in effect.reason
    assert (weights(story.state), story.phase) == ({"a": 100}, "promoting")
    assert story.see(alert("a")) == ()


def test_an_alert_that_fired_before_the_canary_holds_it_until_it_is_resolved(serving_a: Story) -> None:
    story = serving_a
    story.see(evaluated("b", ancestors="a"))
    assert story.see(alert("b")) == ()
    story.see(loaded("b"))
    story.see(traffic("b", story.seconds, RULES.min_answers))
    assert story.wait(RULES.min_canary_s) == ()
    assert story.see(alert("b", AlertState.NO_DATA)) == ()
    assert story.wait(1) == ()
    assert story.see(alert("b", AlertState.RESOLVED)) == ()
    assert published(story.wait(1)).phase is Phase.PROMOTING


@pytest.mark.parametrize("state", [AlertState.RESOLVED, AlertState.NO_DATA])
def test_good_news_and_no_news_roll_nothing_back(serving_a: Story, state: AlertState) -> None:
    serving_a.to_canary("b", ancestors="a")
    assert serving_a.see(alert("b", state)) == ()
    assert serving_a.phase == "canary"


def test_alerts_of_other_bundles_roll_nothing_back(serving_a: Story) -> None:
    serving_a.to_canary("b", ancestors="a")
    assert serving_a.see(alert("a")) == ()
    assert serving_a.see(alert("c")) == ()
    assert serving_a.state.firing_alerts == (f"answer-latency:{digest('a')}",)
    assert serving_a.phase == "canary"


# ---- the queue


def test_a_candidate_waits_until_the_window_closes_and_a_newer_one_takes_its_place(serving_a: Story) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    word = published(story.see(evaluated("c", ancestors="a")))
    assert (word.phase, word.cause, story.phase) == (Phase.QUEUED, Cause.EVALUATED, "canary")
    story.see(evaluated("d", ancestors="a"))
    assert story.state.queued is not None
    assert story.state.queued.bundle_digest == digest("d")
    assert story.state.finished[-1].phase is Phase.REFUSED
    assert story.state.finished[-1].reason == "a newer candidate took its place in the queue"
    story.serve_well("b")
    story.wait(RULES.settle_s)
    published(story.wait(RULES.window_s))
    assert story.phase is None
    word = published(story.wait(0.5))
    assert (word.phase, story.state.queued) == (Phase.WARMING, None)
    assert story.state.rollout is not None
    assert (story.state.rollout.candidate.bundle_digest, story.state.rollout.baseline_digest) == (
        digest("d"),
        digest("b"),
    )


def test_a_candidate_does_not_overtake_one_whose_turn_comes_at_the_next_tick(serving_a: Story) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    story.see(evaluated("c", ancestors="a"))
    story.see(alert("b"))
    story.wait(RULES.settle_s)
    assert story.phase is None
    story.see(evaluated("d", ancestors="a"))
    assert story.phase is None
    story.wait(0.5)
    assert story.state.rollout is not None
    assert story.state.rollout.candidate.bundle_digest == digest("d")


@pytest.mark.parametrize("moment", ["queued", "in rollout", "serving", "rolled back", "refused"])
def test_a_redelivered_evaluation_changes_nothing(serving_a: Story, moment: str) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    known = {"in rollout": evaluated("b", ancestors="a"), "serving": evaluated("a")}.get(moment)
    if known is None:
        known = evaluated("c", ancestors="a" if moment != "refused" else "ab")
        if moment == "queued":
            story.see(known)
        else:
            story.see(alert("b"))
            story.wait(RULES.settle_s)
            known = evaluated("b", ancestors="a") if moment == "rolled back" else known
            story.see(known)
    before = story.state
    assert story.see(known) == ()
    assert story.state == before


@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_known_bundle_under_another_evaluation_is_ignored(serving_a: Story, letter: str) -> None:
    serving_a.to_canary("b", ancestors="af")
    assert serving_a.see(evaluated(letter, number=2)) == ()
    assert serving_a.see(evaluated("f")) == ()


def test_what_was_rolled_back_and_what_continues_it_is_refused(serving_a: Story) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    story.see(evaluated("c", ancestors="ba"))
    story.see(alert("b"))
    story.wait(RULES.settle_s)
    word = published(story.wait(0.5))
    assert (word.phase, word.candidate.bundle_digest, story.state.queued) == (Phase.REFUSED, digest("c"), None)
    assert word.reason == f"it continues the weights of {digest('b')[:12]}, which was rolled back"
    assert published(story.see(evaluated("d", ancestors="cba"))).phase is Phase.REFUSED
    word = published(story.see(evaluated("b", ancestors="a", number=2)))
    assert (word.phase, word.reason) == (Phase.REFUSED, "it was rolled back before")
    assert [done.phase for done in story.state.finished] == ["stable", "rolled-back", "refused", "refused", "refused"]
    assert (story.phase, weights(story.state)) == (None, {"a": 100})


def test_a_refusal_leaves_the_queue_alone(serving_a: Story) -> None:
    story = serving_a
    story.to_canary("b", ancestors="a")
    story.see(alert("b"))
    story.see(evaluated("c", ancestors="a"))
    story.see(evaluated("d", ancestors="ba"))
    assert story.state.queued is not None
    assert story.state.queued.bundle_digest == digest("c")


# ---- an operator's word


@pytest.mark.parametrize("phase", ["warming", "canary", "promoting", "window"])
@pytest.mark.parametrize("cause", [Cause.OPERATOR, Cause.DRILL])
def test_an_operator_takes_a_rollout_back(serving_a: Story, phase: str, cause: Cause) -> None:
    story = serving_a
    story.see(evaluated("b", ancestors="a"))
    if phase != "warming":
        story.see(loaded("b"))
    if phase in {"promoting", "window"}:
        story.serve_well("b")
    if phase == "window":
        story.wait(RULES.settle_s)
    assert story.phase == phase
    word = published(story.see(requested(cause=cause)))  # type: ignore[arg-type]  # parametrised
    assert (word.phase, word.cause, word.reason) == (Phase.ROLLING_BACK, cause, "wrong answers on labour law")
    assert weights(story.state) == {"a": 100}
    assert published(story.wait(RULES.settle_s)).phase is Phase.ROLLED_BACK
    assert story.state.rolled_back_digests == (digest("b"),)


def test_an_operator_takes_the_last_release_back_once(serving_a: Story) -> None:
    story = serving_a
    story.release("b", ancestors="a")
    story.release("c", ancestors="ba")
    word = published(story.see(requested()))
    assert (word.phase, word.candidate.bundle_digest) == (Phase.ROLLING_BACK, digest("c"))
    assert weights(story.state) == {"b": 100}
    assert story.state.warm_digests == (digest("b"), digest("c"))
    assert (story.state.serving_digest, story.state.previous_digest) == (digest("b"), digest("a"))
    story.wait(RULES.settle_s)
    before = story.state
    assert story.see(requested()) == ()
    assert story.state == before
    assert published(story.see(requested(2))).phase is Phase.ROLLING_BACK
    assert weights(story.state) == {"a": 100}


def test_an_operator_stops_a_first_release_that_is_not_routed_yet() -> None:
    story = Story()
    story.see(evaluated("a"))
    assert published(story.see(requested())).phase is Phase.ROLLING_BACK
    story.wait(RULES.settle_s)
    assert (story.state.routes, story.state.serving_digest, story.state.warm_digests) == ((), None, ())


def test_a_rollback_without_a_way_back_is_declined_with_the_reason() -> None:
    story = Story()
    nothing_yet = story.see(requested(1))
    story.release("a")
    first = story.see(requested(2))
    story.to_canary("b", ancestors="a")
    story.see(alert("b"))
    twice = story.see(requested(3))
    assert nothing_yet == (RequestDeclined("nothing was released that could be taken back"),)
    assert first == (RequestDeclined("no bundle served before this one: there is nothing to go back to"),)
    assert twice == (RequestDeclined("a rollback is on its way already"),)
    assert what_to_roll_back(story.state) == twice[0]
    before = story.state
    assert story.see(requested(2)) == ()
    assert story.state == before


# ---- what is remembered


def test_the_release_of_what_serves_is_remembered_however_many_follow(serving_a: Story) -> None:
    story = serving_a
    story.release("b", ancestors="a")
    story.to_canary("c", ancestors="b")
    story.see(alert("c"))
    story.wait(RULES.settle_s)
    for number in range(2, 3 * MAX_FINISHED):
        published(story.see(evaluated("c", ancestors="b", number=number)))
        assert len(story.state.finished) <= MAX_FINISHED + 1
    assert published(story.see(requested())).phase is Phase.ROLLING_BACK
    assert weights(story.state) == {"a": 100}
