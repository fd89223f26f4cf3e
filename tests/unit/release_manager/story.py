"""Observations and states for the tests of the release-manager; the story's clock starts at `START`."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, AlertState, LatencyHistogram, TrafficObserved
from contracts.release import BundleLoaded, Cause, ReleaseRequested, ReleaseState
from services.release_manager.core.effects import Effect, Evaluated, Observation, Publish, Tick
from services.release_manager.core.elapsed import last_count
from services.release_manager.core.rollout import advance
from services.release_manager.settings import RolloutRules

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = RolloutRules(
    min_answers=20, min_canary_s=10, max_hold_s=60, max_load_s=30, settle_s=2, window_s=20, max_error_share=0.05
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def digest(letter: str) -> str:
    return letter * 64


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event_id(*parts: object) -> UUID:
    return uuid5(UUID(int=7), ":".join(map(str, parts)))


def evaluated(
    letter: str, *, ancestors: str = "", passed: bool = True, number: int = 1, seconds: float = 0
) -> Evaluated:
    event = ModelEvaluated(
        event_id=event_id("evaluated", letter, number),
        causation_id=None,
        occurred_at=at(seconds),
        domain="law",
        run_id=event_id("run", letter),
        bundle_digest=digest(letter),
        corpus_digest=digest("0"),
        ancestors=tuple(digest(ancestor) for ancestor in ancestors),
        passed=passed,
        reasons=(),
        floor_accuracy=0.4,
        scores=(),
        serving_digest=None,
        serving_scores=(),
    )
    return Evaluated(event=event, traceparent=TRACEPARENT)


def loaded(letter: str, *, ok: bool = True, error: str | None = None) -> BundleLoaded:
    return BundleLoaded(
        event_id=event_id("loaded", letter, ok),
        causation_id=None,
        occurred_at=START,
        domain="law",
        bundle_digest=digest(letter),
        gateway="gateway-1",
        loaded=ok,
        error=error,
        duration_s=0.5,
    )


def traffic(letter: str, second: float, answers: int, *, errors: int = 0, slow: int = 0) -> TrafficObserved:
    return TrafficObserved(
        event_id=event_id("traffic", letter, second),
        causation_id=None,
        occurred_at=at(second + 1),
        domain="law",
        second=at(second),
        bundle_digest=digest(letter),
        num_answers=answers,
        num_errors=errors,
        num_slow=slow,
        num_cache_hits=3,
        latency_limit_ms=300,
        latency=LatencyHistogram(bounds_ms=(300,), counts=(answers, 0)),
    )


def alert(
    letter: str,
    state: AlertState = AlertState.FIRING,
    *,
    signal: Literal["latency", "errors", "quality"] = "latency",
    rule: str = "answer-latency",
    seconds: float = 0,
) -> AlertChanged:
    return AlertChanged(
        event_id=event_id("alert", letter, rule, state, seconds),
        causation_id=None,
        occurred_at=at(seconds),
        domain="law",
        rule=rule,
        signal=signal,
        bundle_digest=digest(letter),
        state=state,
        value=0.3,
        limit=0.05,
        reason="30 % of 40 answers over 300 ms",
        since=at(seconds),
    )


def requested(number: int = 1, *, cause: Literal[Cause.OPERATOR, Cause.DRILL] = Cause.OPERATOR) -> ReleaseRequested:
    return ReleaseRequested(
        event_id=event_id("requested", number),
        causation_id=None,
        occurred_at=START,
        domain="law",
        action="rollback",
        cause=cause,
        reason="wrong answers on labour law",
    )


def weights(state: ReleaseState) -> dict[str, int]:
    return {route.bundle_digest[0]: route.weight_percent for route in state.routes}


@dataclass
class Story:
    """A domain's releases as they unfold: each `see` is one step, at `seconds` after the start."""

    state: ReleaseState = field(default_factory=ReleaseState)
    seconds: float = 0
    rules: RolloutRules = RULES

    def see(self, observation: Observation, *, after: float = 0) -> tuple[Effect, ...]:
        self.seconds += after
        now, rollout = at(self.seconds), self.state.rollout
        passed_s = (now - last_count(rollout)).total_seconds() if rollout else 0.0
        self.state, effects = advance(self.state, observation, now, passed_s=passed_s, rules=self.rules)
        return effects

    def wait(self, seconds: float) -> tuple[Effect, ...]:
        return self.see(Tick(), after=seconds)

    @property
    def phase(self) -> str | None:
        return self.state.rollout.phase if self.state.rollout else None

    def release(self, letter: str, *, ancestors: str = "") -> None:
        """Take a bundle all the way to stable."""
        self.see(evaluated(letter, ancestors=ancestors))
        self.see(loaded(letter))
        if self.phase == "canary":
            self.serve_well(letter)
        self.wait(RULES.settle_s)
        self.wait(RULES.window_s)
        assert self.state.rollout is None
        assert self.state.serving_digest == digest(letter)

    def to_canary(self, letter: str, *, ancestors: str = "") -> None:
        self.see(evaluated(letter, ancestors=ancestors))
        self.see(loaded(letter))
        assert self.phase == "canary"

    def serve_well(self, letter: str) -> tuple[Effect, ...]:
        """Let the canary take enough good answers for long enough."""
        self.see(traffic(letter, self.seconds, RULES.min_answers))
        effects = self.wait(RULES.min_canary_s)
        assert self.phase == "promoting"
        return effects


def published(effects: tuple[Effect, ...]) -> Publish:
    """Return the one word to publish."""
    (effect,) = effects
    assert isinstance(effect, Publish)
    return effect
