"""The canary's verdict: counts in, a judgement out."""

import math
from dataclasses import dataclass
from enum import StrEnum

from contracts.release import Cause, Tally
from services.release_manager.settings import RolloutRules

NEGLIGIBLE = 1e-12
"""Relative size of a term at which the tail's sum is taken as complete."""


class Verdict(StrEnum):
    """What the numbers say. Only `hold` lets the canary go on."""

    HOLD = "hold"
    GOOD = "good"
    BAD = "bad"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with the cause that the release gives for it, and value and limit in words."""

    verdict: Verdict
    cause: Cause
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One signal of the candidate against what it may be.

    Attributes:
        cause: What going beyond the limit is called.
        count: Answers that show the signal.
        num_answers: Answers of the candidate.
        allowed: Share of answers that may show it, 0 to 1.
        asks_for: Answers of the candidate below which an excess is no proof.
        reason: Value and limit in words.
    """

    cause: Cause
    count: int
    num_answers: int
    allowed: float
    asks_for: int
    reason: str

    @property
    def is_within(self) -> bool:
        """Whether the observed share keeps the limit."""
        # The tolerance absorbs the rounding of a product like 0.29 * 100.
        return self.count <= self.allowed * self.num_answers + 1e-9

    def is_beyond(self, false_alarm: float) -> bool:
        """Whether chance explains the excess with less than the given probability."""
        return not self.is_within and tail_probability(self.count, self.num_answers, self.allowed) < false_alarm


def judge(
    candidate: Tally, baseline: Tally, *, elapsed_s: float, alert_is_firing: bool, rules: RolloutRules
) -> Judgement:
    """Return the verdict on a canary. Bad wins over everything, then good, then inconclusive; else hold.

    Bad needs proof: an exact one-sided binomial test at `rules.false_alarm`, which is safe for small samples. Errors are proved
    by however few answers; slowness asks for as many as a good verdict, since a busy moment slows a run of answers together, and
    what is slow for seconds is the alert's to find. A limit is the absolute one, or the baseline's share plus a margin where
    that is more, so that a busy machine does not count against the candidate. Good needs enough answers, enough time, every
    observed share within its limit and no firing alert.

    Args:
        candidate: The candidate's answers since the canary began.
        baseline: The serving bundle's answers over the same seconds.
        elapsed_s: Seconds since the canary began.
        alert_is_firing: Whether an alert fires for the candidate.
        rules: Limits, counts and times.
    """
    comparisons = _comparisons(candidate, baseline, rules)
    for comparison in comparisons:
        if comparison.num_answers >= comparison.asks_for and comparison.is_beyond(rules.false_alarm):
            return Judgement(verdict=Verdict.BAD, cause=comparison.cause, reason=comparison.reason)
    missing = _missing(candidate, comparisons, elapsed_s=elapsed_s, alert_is_firing=alert_is_firing, rules=rules)
    if missing is None:
        reason = "; ".join(comparison.reason for comparison in comparisons)
        return Judgement(verdict=Verdict.GOOD, cause=Cause.HEALTHY, reason=reason)
    if elapsed_s < rules.max_hold_s:
        return Judgement(verdict=Verdict.HOLD, cause=missing.cause, reason=missing.reason)
    reason = f"no verdict within {rules.max_hold_s:g} s: {missing.reason}"
    return Judgement(verdict=Verdict.INCONCLUSIVE, cause=missing.cause, reason=reason)


def tail_probability(count: int, num_answers: int, share: float) -> float:
    """Return P(X >= count) for X ~ Binomial(num_answers, share); `count` is above the mean.

    Below a level `a` exactly when the Clopper-Pearson lower bound of the true share at confidence 1 - a lies above `share`
    (Clopper and Pearson 1934, Biometrika 26(4); unlike Wilson's bound it never errs more often than `a`, which matters where
    the first of a handful of answers is an error). Terms fall geometrically above the mean, so few are summed.

    Example:
        >>> round(tail_probability(2, 3, 0.5), 6)
        0.5
    """
    if share <= 0:
        return 0.0
    odds = share / (1 - share)
    log_term = (
        math.lgamma(num_answers + 1)
        - math.lgamma(count + 1)
        - math.lgamma(num_answers - count + 1)
        + count * math.log(share)
        + (num_answers - count) * math.log1p(-share)
    )
    term = total = math.exp(log_term)
    for k in range(count, num_answers):
        term *= (num_answers - k) / (k + 1) * odds
        total += term
        if term <= NEGLIGIBLE * total:
            break
    return total


def _comparisons(candidate: Tally, baseline: Tally, rules: RolloutRules) -> tuple[Comparison, ...]:
    return (
        _compare(
            Cause.ERRORS,
            (candidate.num_errors, candidate.num_answers),
            _share(baseline.num_errors, baseline.num_answers, rules.min_answers),
            limit=rules.max_error_share,
            margin=rules.error_margin,
            asks_for=1,
        ),
        _compare(
            Cause.LATENCY,
            (candidate.num_slow, candidate.num_answers),
            _share(baseline.num_slow, baseline.num_answers, rules.min_answers),
            limit=rules.max_slow_share,
            margin=rules.slow_margin,
            asks_for=rules.min_answers,
        ),
    )


def _share(count: int, num_answers: int, min_answers: int) -> float | None:
    """Return the baseline's share, or None where its answers are too few to be compared with."""
    return count / num_answers if num_answers >= min_answers else None


def _compare(
    cause: Cause,
    candidate: tuple[int, int],
    baseline_share: float | None,
    *,
    limit: float,
    margin: float,
    asks_for: int,
) -> Comparison:
    """Return the comparison of the candidate's (count, answers) with the limit and the baseline's share."""
    count, num_answers = candidate
    allowed = limit if baseline_share is None else min(1.0, max(limit, baseline_share + margin))
    share = count / num_answers if num_answers else 0.0
    name = "slow answers" if cause is Cause.LATENCY else "errors"
    serving = "" if baseline_share is None else f", serving bundle {baseline_share:.1%}"
    reason = f"{share:.1%} {name} among {num_answers} answers (limit {allowed:.1%}{serving})"
    return Comparison(
        cause=cause, count=count, num_answers=num_answers, allowed=allowed, asks_for=asks_for, reason=reason
    )


@dataclass(frozen=True, kw_only=True)
class _Missing:
    """What a good verdict still lacks, and what the release is said to fail for if it never comes."""

    cause: Cause
    reason: str


def _missing(
    candidate: Tally,
    comparisons: tuple[Comparison, ...],
    *,
    elapsed_s: float,
    alert_is_firing: bool,
    rules: RolloutRules,
) -> _Missing | None:
    """Return what speaks against a good verdict at present, or None."""
    if candidate.num_answers < rules.min_answers:
        reason = f"{candidate.num_answers} of {rules.min_answers} answers"
        return _Missing(cause=Cause.NO_TRAFFIC, reason=reason)
    if alert_is_firing:
        return _Missing(cause=Cause.ELAPSED, reason="an alert fires for the candidate")
    for comparison in comparisons:
        if not comparison.is_within:
            return _Missing(cause=Cause.ELAPSED, reason=f"not proven: {comparison.reason}")
    if elapsed_s < rules.min_canary_s:
        return _Missing(cause=Cause.ELAPSED, reason=f"{elapsed_s:.0f} of {rules.min_canary_s:g} s")
    return None
