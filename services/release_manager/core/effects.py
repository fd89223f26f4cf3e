"""What the state machine takes in and what it asks for."""

from dataclasses import dataclass

from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, TrafficObserved
from contracts.release import BundleLoaded, Candidate, Cause, Phase, ReleaseRequested, ReleaseState


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A judgement, with the W3C trace context that its message came in."""

    event: ModelEvaluated
    traceparent: str | None


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Observation = Evaluated | TrafficObserved | AlertChanged | BundleLoaded | ReleaseRequested | Tick


@dataclass(frozen=True, kw_only=True)
class Publish:
    """The state has a new revision: say so with `release-changed`."""

    cause: Cause
    reason: str
    candidate: Candidate
    phase: Phase


@dataclass(frozen=True)
class RequestDeclined:
    """An operator's request cannot be met."""

    reason: str


@dataclass(frozen=True)
class RollbackImpossible:
    """A bundle turned out bad and nothing is there to go back to: it keeps serving, and people must know."""

    reason: str


Effect = Publish | RequestDeclined | RollbackImpossible
Step = tuple[ReleaseState, tuple[Effect, ...]]
"""The next state and what is to be done about it."""
