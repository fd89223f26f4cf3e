import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.monitoring import AlertChanged, AlertState
from services.monitor.core.alerts import (
    FORGET_AFTER,
    History,
    Rule,
    begin,
    evaluate,
    is_forgettable,
    lower_bound,
    rule_table,
)
from services.monitor.core.traffic import NOTHING, Counts
from services.monitor.core.windows import Window, traffic_id
from tests.unit.monitor.samples import LAW_A, NOON_S, A, at, counts

LATENCY, ERRORS = rule_table(300.0)
GOOD, BAD, FEW = counts(100), counts(100, slow=6), counts(9, slow=9)


def window(second: int, said: Counts) -> Window:
    latest = NOON_S + second if said.num_answers else None
    return Window(series=LAW_A, second=NOON_S + second, counts=said, latest_second=latest)


def play(said: list[Counts], rule: Rule = LATENCY, history: History | None = None) -> list[tuple[int, AlertChanged]]:
    """Return the changes with the seconds at which they were made."""
    history, changes = history or begin(at(0)), []
    for second, each in enumerate(said):
        history, change = evaluate(rule, history, window(second, each), at(second + 2))
        changes += [(second, change)] if change else []
    return changes


def states(changes: list[tuple[int, AlertChanged]]) -> list[tuple[int, str]]:
    return [(second, change.state.value) for second, change in changes]


def test_three_breaches_of_five_evaluations_fire_once():
    [(second, change)] = play([GOOD, BAD, GOOD, BAD, GOOD, BAD, BAD, BAD, BAD])
    assert second == 5
    assert (change.state, change.rule, change.signal) == (AlertState.FIRING, "answer-latency", "latency")
    assert (change.value, change.limit, change.bundle_digest, change.domain) == (0.06, 0.05, A, "law")
    assert change.since == at(2)
    assert change.occurred_at == at(7)
    assert change.causation_id == traffic_id(LAW_A, NOON_S + 5)
    assert change.reason == (
        "6.0% of 100 answers over 300 ms in 5 s, limit 5%; 3 of the last 5 evaluations lie above"
    )  # fmt: skip


def test_two_breaches_of_five_do_not_fire():
    assert states(play([BAD, GOOD, GOOD, GOOD, BAD] * 4)) == []


def test_exactly_the_limit_is_no_breach():
    assert states(play([counts(100, slow=5)] * 5)) == [(4, "resolved")]


def test_an_alert_resolves_only_after_five_evaluations_below():
    changes = play([BAD] * 3 + [GOOD] * 4 + [BAD] + [GOOD] * 5)
    assert states(changes) == [(2, "firing"), (12, "resolved")]
    assert changes[1][1].since == at(9)
    assert changes[1][1].value == 0.0


def test_too_few_answers_neither_fire_nor_resolve():
    assert states(play([FEW] * 9)) == []
    assert states(play([BAD] * 3 + [FEW] * 9)) == [(2, "firing")]
    assert states(play([BAD] * 3 + [GOOD] * 3 + [FEW] * 5 + [GOOD] * 2)) == [(2, "firing"), (12, "resolved")]


def test_ten_seconds_without_an_evaluation_are_no_data():
    changes = play([BAD] * 3 + [NOTHING] * 20)
    assert states(changes) == [(2, "firing"), (12, "no-data")]
    change = changes[1][1]
    assert (change.value, change.causation_id, change.since) == (None, None, at(3))
    assert change.reason == "no 5 s with 10 answers for 10 s"


def test_after_no_data_the_past_counts_no_more():
    assert states(play([BAD, BAD] + [NOTHING] * 10 + [BAD, BAD])) == []
    assert states(play([BAD, BAD] + [NOTHING] * 10 + [BAD, BAD, BAD])) == [(14, "firing")]


def test_an_alert_that_fired_before_a_restart_goes_on_from_there():
    fired = begin(at(0), AlertState.FIRING)
    assert states(play([BAD] * 6, history=fired)) == []
    assert states(play([GOOD] * 6, history=fired)) == [(4, "resolved")]
    assert states(play([NOTHING] * 12, history=fired)) == [(9, "no-data")]


def test_an_alert_is_forgotten_after_a_while_without_data():
    history = begin(at(0))
    assert not is_forgettable(history, at(59))
    assert is_forgettable(history, at(0) + FORGET_AFTER)
    assert not is_forgettable(begin(at(0), AlertState.FIRING), at(1000))


def test_an_error_or_two_do_not_show_that_more_than_one_percent_are_errors():
    assert lower_bound(1, 20) == pytest.approx(0.0089, abs=5e-5)
    assert states(play([counts(20, errors=1)] * 5, ERRORS)) == [(4, "resolved")]
    assert states(play([counts(10, errors=2)] * 5, ERRORS)) == [(4, "resolved")]
    assert states(play([counts(20, errors=3)] * 5, ERRORS)) == [(2, "firing")]
    [(_, change)] = play([counts(200, errors=20)] * 3, ERRORS)
    assert (change.signal, change.value, change.limit) == ("errors", 0.1, 0.01)
    assert "answers that were errors" in change.reason


@given(answers=st.integers(min_value=1, max_value=500), data=st.data())
def test_the_lower_bound_lies_between_zero_and_the_share(answers, data):
    harmed = data.draw(st.integers(min_value=0, max_value=answers))
    bound = lower_bound(harmed, answers)
    assert 0 <= bound <= harmed / answers
    assert lower_bound(harmed * 10, answers * 10) >= bound - 1e-12


def test_the_same_change_has_the_same_id_and_every_other_another():
    first, again = play([BAD] * 3 + [GOOD] * 5), play([BAD] * 3 + [GOOD] * 5)
    later = play([GOOD] + [BAD] * 3)
    ids = [change.event_id for _, change in first]
    assert ids == [change.event_id for _, change in again]
    assert len({*ids, later[0][1].event_id}) == 3


# ---- properties, against a slow reading of the rule's words

kinds = st.lists(st.sampled_from(["good", "bad", "few", "none"]), max_size=80)
KIND = {"good": GOOD, "bad": BAD, "few": FEW, "none": NOTHING}


def expected(kinds: list[str]) -> list[tuple[int, str]]:
    """Say the same as the state machine, each second anew from the whole past."""
    state, said, forgotten = "no-data", [], 0
    for now in range(len(kinds)):
        seen = [second for second in range(forgotten, now + 1) if kinds[second] in {"good", "bad"}]
        previous = [second for second in range(now + 1) if kinds[second] in {"good", "bad"}]
        last_five = [kinds[second] for second in seen[-5:]]
        # The time without data begins with the first look, or when the window of the last evaluation ended.
        silent_s = now - previous[-1] if previous else now + 1
        if silent_s >= 10:
            forgotten, new = now + 1, "no-data"
        elif last_five.count("bad") >= 3:
            new = "firing"
        elif last_five == ["good"] * 5:
            new = "resolved"
        else:
            new = state
        if new != state:
            said.append((now, new))
        state = new
    return said


@given(kinds)
def test_states_follow_the_words_of_the_rule(kinds):
    assert states(play([KIND[kind] for kind in kinds])) == expected(kinds)


@given(kinds)
def test_each_event_changes_the_state(kinds):
    said = [state for _, state in states(play([KIND[kind] for kind in kinds]))]
    assert all(before != after for before, after in zip(["no-data", *said], said, strict=False))


@given(kinds)
def test_memory_is_bounded(kinds):
    history = begin(at(0))
    for second, kind in enumerate(kinds):
        history, _ = evaluate(LATENCY, history, window(second, KIND[kind]), at(second))
        assert len(history.evaluations) <= 5
