"""Alerts of one bundle: a table of rules, and the state machine that all rules share.

A rule looks at a window of answers once a second. With enough answers in it that look is an evaluation, which breaches the
limit or does not. Too few answers are no evaluation: they neither fire nor resolve, and after a while the alert says so.

    no data  -> firing     enough of the last evaluations breach
    resolved -> firing     the same
    firing   -> resolved   enough evaluations in a row do not breach
    no data  -> resolved   the same
    firing, resolved -> no data   no evaluation for a while; what was known of the past is forgotten
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from contracts.envelope import derived_id
from contracts.monitoring import AlertChanged, AlertState
from services.monitor.core.traffic import Counts
from services.monitor.core.windows import WINDOW_S, Window, traffic_id

ALERT_NAMESPACE = UUID("5b0f2b1e-30c1-5f62-9a37-c54b6a3a6a0d")
"""Names changes of alerts; pinned."""
FORGET_AFTER = timedelta(minutes=1)
WILSON_Z = 1.96
"""Of the one-sided bound below which the true share lies in 2.5 % of cases."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of the rule table.

    Attributes:
        signal: What kind of harm it watches; it becomes the rollback's cause.
        harmed: How many of a window's answers count against the bundle.
        limit: The largest share of harmed answers that is no breach, 0 to 1.
        is_certain: True: the share must lie over the limit with statistical certainty (Wilson's lower bound), since a
            single answer of a small window would pass a small limit by itself.
        min_answers: A window with fewer is no evaluation.
        min_harmed: Fewer harmed answers are no breach, however few answers there were: one answer lies in five windows.
        num_breaches: So many breaches of the last `num_evaluations` fire.
        num_evaluations: How many evaluations are looked back on.
        num_below: So many evaluations in a row that do not breach resolve.
        no_data_after_s: Without an evaluation for so long there is no data.
        wording: What is harmed, for people, e.g. "answers over 300 ms".
    """

    name: str
    signal: Literal["latency", "errors", "quality"]
    harmed: Callable[[Counts], int]
    limit: float
    is_certain: bool
    min_answers: int = 10
    min_harmed: int = 1
    num_breaches: int = 3
    num_evaluations: int = 5
    num_below: int = 5
    no_data_after_s: float = 10.0
    wording: str


def rule_table(latency_limit_ms: float) -> tuple[Rule, ...]:
    """Return the rules that every bundle is watched by; answers over `latency_limit_ms` are slow."""
    return (
        Rule(
            name="answer-latency", signal="latency", harmed=lambda counts: counts.num_slow, limit=0.05, is_certain=False,
            min_harmed=3, wording=f"answers over {latency_limit_ms:g} ms",
        ),
        Rule(
            name="answer-errors", signal="errors", harmed=lambda counts: counts.num_errors, limit=0.01, is_certain=True,
            min_harmed=3, wording="answers that were errors",
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look at a window with enough answers: `share` of them were harmed."""

    at: datetime
    is_breach: bool
    share: float


@dataclass(frozen=True, kw_only=True)
class History:
    """What an alert remembers.

    Attributes:
        began_at: When there was data last, or when the watch began, if no evaluation is remembered.
        evaluations: The last ones, oldest first.
    """

    state: AlertState
    began_at: datetime
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def last_at(self) -> datetime:
        """When there was data last."""
        return self.evaluations[-1].at if self.evaluations else self.began_at


def begin(at: datetime, state: AlertState = AlertState.NO_DATA) -> History:
    """Return the history of an alert that nothing is known of but, after a restart, the state that was said last."""
    return History(state=state, began_at=at)


def evaluate(rule: Rule, history: History, window: Window, now: datetime) -> tuple[History, AlertChanged | None]:
    """Look at a window; return what is remembered, and the change of state if there is one.

    Args:
        rule: What to look for.
        history: What is remembered of the windows before.
        window: The next window.
        now: The time of the look; evaluations carry the window's own time.
    """
    history = _with(rule, history, window)
    if window.until - history.last_at >= timedelta(seconds=rule.no_data_after_s):
        history = replace(history, evaluations=(), began_at=history.last_at)
        state = AlertState.NO_DATA
    else:
        state = _next_state(rule, history)
    if state is history.state:
        return history, None
    changed = _changed(rule, history, state, window, now)
    return replace(history, state=state), changed


def lower_bound(harmed: int, answers: int) -> float:
    """Return Wilson's lower bound of the true share of harmed answers, 0 to 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Example:
        >>> round(lower_bound(1, 20), 4)  # one of twenty does not show that more than 1 % are harmed
        0.0089
    """
    if not harmed:
        return 0.0
    share, z2 = harmed / answers, WILSON_Z**2
    spread = WILSON_Z * math.sqrt(share * (1 - share) / answers + z2 / (4 * answers**2))
    return (share + z2 / (2 * answers) - spread) / (1 + z2 / answers)


def _with(rule: Rule, history: History, window: Window) -> History:
    if window.counts.num_answers < rule.min_answers:
        return history
    harmed, answers = rule.harmed(window.counts), window.counts.num_answers
    judged = lower_bound(harmed, answers) if rule.is_certain else harmed / answers
    is_breach = harmed >= rule.min_harmed and judged > rule.limit
    evaluation = Evaluation(window.until, is_breach, harmed / answers)
    kept = max(rule.num_evaluations, rule.num_below)
    return replace(history, evaluations=(*history.evaluations, evaluation)[-kept:])


def _next_state(rule: Rule, history: History) -> AlertState:
    if len(_breaches(rule, history)) >= rule.num_breaches:
        return AlertState.FIRING
    return AlertState.RESOLVED if _is_calm(rule, history) else history.state


def _breaches(rule: Rule, history: History) -> tuple[Evaluation, ...]:
    return tuple(evaluation for evaluation in history.evaluations[-rule.num_evaluations :] if evaluation.is_breach)


def _is_calm(rule: Rule, history: History) -> bool:
    last = history.evaluations[-rule.num_below :]
    return len(last) == rule.num_below and not any(evaluation.is_breach for evaluation in last)


def is_forgettable(history: History, at: datetime) -> bool:
    """Whether there has been no data for so long that the bundle is most likely served no more."""
    return history.state is AlertState.NO_DATA and at - history.last_at >= FORGET_AFTER


def _changed(rule: Rule, history: History, state: AlertState, window: Window, now: datetime) -> AlertChanged:
    has_data = state is not AlertState.NO_DATA
    cause = None if window.latest_second is None else traffic_id(window.series, window.latest_second)
    key = (rule.name, *window.series, state.value, str(window.second))
    return AlertChanged(
        event_id=derived_id(ALERT_NAMESPACE, *key),
        causation_id=cause if has_data else None,
        occurred_at=now,
        domain=window.series.domain,
        rule=rule.name,
        signal=rule.signal,
        bundle_digest=window.series.bundle_digest,
        state=state,
        value=history.evaluations[-1].share if has_data else None,
        limit=rule.limit,
        reason=_reason(rule, history, state, window),
        since=_since(rule, history, state),
    )


def _since(rule: Rule, history: History, state: AlertState) -> datetime:
    if state is AlertState.FIRING:
        return _breaches(rule, history)[0].at
    return history.evaluations[-rule.num_below].at if state is AlertState.RESOLVED else history.last_at


def _reason(rule: Rule, history: History, state: AlertState, window: Window) -> str:
    if state is AlertState.NO_DATA:
        return f"no {WINDOW_S} s with {rule.min_answers} answers for {rule.no_data_after_s:g} s"
    share = history.evaluations[-1].share
    seen = f"{share:.1%} of {window.counts.num_answers} {rule.wording} in {WINDOW_S} s, limit {rule.limit:.0%}"
    if state is AlertState.RESOLVED:
        return f"{seen}; the last {rule.num_below} evaluations lie below"
    return f"{seen}; {len(_breaches(rule, history))} of the last {rule.num_evaluations} evaluations lie above"
