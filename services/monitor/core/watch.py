"""What the monitor remembers of traffic and alerts, and what it says once a second."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from contracts.monitoring import AlertChanged, AlertState, TrafficObserved
from services.monitor.core import windows as traffic_windows
from services.monitor.core.alerts import History, Rule, begin, evaluate, is_forgettable
from services.monitor.core.traffic import AnswerPoint, Series
from services.monitor.core.windows import Windows


class AlertKey(NamedTuple):
    """One alert: a rule and the bundle that it watches."""

    rule: str
    series: Series


@dataclass(frozen=True, kw_only=True)
class Terms:
    """By which terms traffic is judged.

    Attributes:
        latency_limit_ms: Answers over it are slow.
        grace_s: How long after its end a second is kept open for points under way.
    """

    rules: tuple[Rule, ...]
    latency_limit_ms: float
    grace_s: float


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Traffic, and the alerts of every bundle that had some lately."""

    windows: Windows
    alerts: Mapping[AlertKey, History] = field(default_factory=dict)


class Said(NamedTuple):
    """What is to be published."""

    traffic: tuple[TrafficObserved, ...]
    changes: tuple[AlertChanged, ...]


def start(now: datetime, terms: Terms, last_changes: Iterable[AlertChanged]) -> Watch:
    """Return a watch that begins now, and remembers which alerts were not at rest.

    Args:
        now: The present.
        terms: How to judge.
        last_changes: Earlier changes of alerts, oldest first; the last of each alert holds.
    """
    return recall(Watch(windows=traffic_windows.open_at(now, terms.grace_s)), now, last_changes)


def recall(watch: Watch, now: datetime, last_changes: Iterable[AlertChanged]) -> Watch:
    """Return the watch with alerts in it that were not at rest; those that it watches already stay as they are."""
    last = {_key(change): change.state for change in last_changes}
    alerts = {key: begin(now, state) for key, state in last.items() if state is not AlertState.NO_DATA}
    return replace(watch, alerts={**alerts, **watch.alerts})


def observe(watch: Watch, points: Iterable[AnswerPoint], now: datetime) -> Watch:
    """Count answers."""
    return replace(watch, windows=traffic_windows.record(watch.windows, points, now))


def tick(watch: Watch, terms: Terms, now: datetime) -> tuple[Watch, Said]:
    """Close the seconds that are over, evaluate every rule on each, and return what is to be said of them."""
    opened, seconds = traffic_windows.close(watch.windows, now, terms.grace_s)
    watch = replace(watch, windows=opened)
    traffic: list[TrafficObserved] = []
    changes: list[AlertChanged] = []
    for second in seconds:
        traffic += traffic_windows.traffic_of(opened, second, terms.latency_limit_ms, now)
        watch, changed = _evaluate(watch, terms, second, now)
        changes += changed
    return watch, Said(tuple(traffic), tuple(changes))


def _evaluate(watch: Watch, terms: Terms, second: int, now: datetime) -> tuple[Watch, list[AlertChanged]]:
    at = datetime.fromtimestamp(second + 1, UTC)
    alerts: dict[AlertKey, History] = {}
    changes: list[AlertChanged] = []
    for rule in terms.rules:
        for series in _watched(watch, rule, second):
            key = AlertKey(rule.name, series)
            window = traffic_windows.window_of(watch.windows, series, second)
            history, change = evaluate(rule, watch.alerts.get(key) or begin(at), window, now)
            changes += [change] if change else []
            if not is_forgettable(history, at):
                alerts[key] = history
    return replace(watch, alerts=alerts), changes


def _watched(watch: Watch, rule: Rule, second: int) -> list[Series]:
    remembered = {key.series for key in watch.alerts if key.rule == rule.name}
    return sorted(remembered | traffic_windows.present_series(watch.windows, second))


def _key(change: AlertChanged) -> AlertKey:
    return AlertKey(change.rule, Series(change.domain, change.bundle_digest))
