from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.release import Cause, Tally
from services.release_manager.core.analysis import Judgement, Verdict, judge, tail_probability
from services.release_manager.settings import RolloutRules

RULES = RolloutRules(min_answers=100, min_canary_s=60, max_hold_s=600)
GOOD_BASELINE = Tally(num_answers=900, num_errors=2, num_slow=9)


def verdict(
    candidate: Tally, *, baseline: Tally = GOOD_BASELINE, elapsed_s: float = 60, alert_is_firing: bool = False
) -> Judgement:
    return judge(candidate, baseline, elapsed_s=elapsed_s, alert_is_firing=alert_is_firing, rules=RULES)


def test_enough_good_answers_for_long_enough_are_good() -> None:
    judgement = verdict(Tally(num_answers=100, num_errors=1, num_slow=4))
    assert judgement.verdict is Verdict.GOOD
    assert judgement.cause is Cause.HEALTHY
    assert judgement.reason == (
        "1.0% errors among 100 answers (limit 2.0%, serving bundle 0.2%); "
        "4.0% slow answers among 100 answers (limit 6.0%, serving bundle 1.0%)"
    )


@pytest.mark.parametrize(
    ("candidate", "elapsed_s", "alert_is_firing", "reason"),
    [
        (Tally(), 60, False, "0 of 100 answers"),
        (Tally(num_answers=99), 60, False, "99 of 100 answers"),
        (Tally(num_answers=100), 59.4, False, "59 of 60 s"),
        (Tally(num_answers=100), 60, True, "an alert fires for the candidate"),
        (Tally(num_answers=100, num_errors=3), 60, False, "not proven: 3.0% errors"),
        (Tally(num_answers=100, num_slow=7), 60, False, "not proven: 7.0% slow answers"),
    ],
)
def test_what_a_good_verdict_lacks_is_held_for_and_named(
    candidate: Tally, elapsed_s: float, alert_is_firing: bool, reason: str
) -> None:
    judgement = verdict(candidate, elapsed_s=elapsed_s, alert_is_firing=alert_is_firing)
    assert judgement.verdict is Verdict.HOLD
    assert judgement.reason.startswith(reason)


@pytest.mark.parametrize(
    ("candidate", "cause"),
    [(Tally(), Cause.NO_TRAFFIC), (Tally(num_answers=100, num_errors=3), Cause.ELAPSED)],
)
def test_a_hold_past_the_maximum_is_inconclusive(candidate: Tally, cause: Cause) -> None:
    assert verdict(candidate, elapsed_s=599.9).verdict is Verdict.HOLD
    judgement = verdict(candidate, elapsed_s=600)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.cause is cause
    assert judgement.reason.startswith("no verdict within 600 s: ")


def test_a_good_verdict_may_come_at_the_maximum() -> None:
    assert verdict(Tally(num_answers=100), elapsed_s=600).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("candidate", "cause"),
    [
        (Tally(num_answers=10, num_errors=5), Cause.ERRORS),
        (Tally(num_answers=100, num_slow=30), Cause.LATENCY),
        (Tally(num_answers=100, num_errors=30, num_slow=90), Cause.ERRORS),
    ],
)
def test_a_proven_excess_is_bad_at_once_and_beyond_the_maximum(candidate: Tally, cause: Cause) -> None:
    for elapsed_s in (0, 60, 600):
        judgement = verdict(candidate, elapsed_s=elapsed_s)
        assert judgement.verdict is Verdict.BAD
        assert judgement.cause is cause


def test_slowness_asks_for_as_many_answers_as_a_good_verdict() -> None:
    assert verdict(Tally(num_answers=99, num_slow=99), elapsed_s=30).verdict is Verdict.HOLD
    assert verdict(Tally(num_answers=100, num_slow=99), elapsed_s=30).verdict is Verdict.BAD


@pytest.mark.parametrize("count", [1, 2])
def test_the_first_answers_alone_prove_nothing(count: int) -> None:
    assert verdict(Tally(num_answers=count, num_errors=1, num_slow=count), elapsed_s=1).verdict is Verdict.HOLD


def test_a_machine_that_is_slow_for_both_does_not_speak_against_the_candidate() -> None:
    candidate = Tally(num_answers=100, num_slow=40)
    assert verdict(candidate).verdict is Verdict.BAD
    assert verdict(candidate, baseline=Tally(num_answers=900, num_slow=300)).verdict is Verdict.HOLD
    assert verdict(candidate, baseline=Tally(num_answers=900, num_slow=360)).verdict is Verdict.GOOD
    assert verdict(candidate, baseline=Tally(num_answers=900, num_slow=900)).verdict is Verdict.GOOD


def test_a_baseline_of_few_answers_is_not_compared_with() -> None:
    candidate = Tally(num_answers=200, num_slow=50)
    assert verdict(candidate, baseline=Tally(num_answers=99, num_slow=99)).verdict is Verdict.BAD
    assert "serving" not in verdict(Tally(num_answers=200), baseline=Tally()).reason


def test_a_limit_of_nothing_makes_the_first_error_bad() -> None:
    rules = RULES.model_copy(update={"max_error_share": 0.0})
    judgement = judge(Tally(num_answers=1, num_errors=1), Tally(), elapsed_s=0, alert_is_firing=False, rules=rules)
    assert judgement.verdict is Verdict.BAD


def test_a_share_at_the_limit_is_within_it_despite_rounding() -> None:
    rules = RULES.model_copy(update={"max_error_share": 0.29})
    judgement = judge(Tally(num_answers=100, num_errors=29), Tally(), elapsed_s=60, alert_is_firing=False, rules=rules)
    assert judgement.verdict is Verdict.GOOD


def test_tail_probability_of_the_docstring() -> None:
    assert tail_probability(2, 3, 0.5) == pytest.approx(0.5)


@given(st.integers(1, 200), st.integers(1, 950), st.data())
@settings(deadline=None)
def test_tail_probability_equals_the_exact_sum(num_answers: int, thousandths: int, data: st.DataObject) -> None:
    p = Fraction(thousandths, 1000)
    count = data.draw(st.integers(int(p * num_answers) + 1, num_answers))
    exact = sum(comb(num_answers, k) * p**k * (1 - p) ** (num_answers - k) for k in range(count, num_answers + 1))
    assert tail_probability(count, num_answers, float(p)) == pytest.approx(float(exact), rel=1e-8, abs=1e-300)


def test_times_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="max_hold_s"):
        RolloutRules(min_canary_s=60, max_hold_s=30)
