"""The rollout of a bundle, and the routing table that gateways follow."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Contract, Digest, Event

Percent = Annotated[int, Field(ge=0, le=100)]


class Phase(StrEnum):
    """Where a rollout stands. The last four are final for the candidate."""

    QUEUED = "queued"
    WARMING = "warming"
    CANARY = "canary"
    PROMOTING = "promoting"
    WINDOW = "window"
    ROLLING_BACK = "rolling-back"
    STABLE = "stable"
    ROLLED_BACK = "rolled-back"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"

    @property
    def is_final(self) -> bool:
        """Whether the candidate's rollout is over."""
        return self in {Phase.STABLE, Phase.ROLLED_BACK, Phase.INCONCLUSIVE, Phase.REFUSED}


class Cause(StrEnum):
    """Why the release changed. Only `quality` speaks against the data."""

    EVALUATED = "evaluated"
    LOADED = "loaded"
    HEALTHY = "healthy"
    ELAPSED = "elapsed"
    QUALITY = "quality"
    LATENCY = "latency"
    ERRORS = "errors"
    OPERATOR = "operator"
    DRILL = "drill"
    NO_TRAFFIC = "no-traffic"
    LOAD_FAILED = "load-failed"


class Candidate(Contract):
    """A bundle that passed its gates.

    Attributes:
        bundle_digest: What would be released.
        ancestors: Bundles whose weights it continues; none in a finished rollout where a later one names them all.
        evaluation_id: The `model-evaluated` event.
        traceparent: W3C trace context of its training, which the rollout's events continue.
    """

    bundle_digest: Digest
    ancestors: tuple[Digest, ...]
    evaluation_id: UUID
    traceparent: str | None


class Tally(Contract):
    """Answers that were counted since the canary began. Cache hits are not among them.

    Attributes:
        last_second: The newest second in it; a second that is not newer is a redelivery and is not counted again.
    """

    num_answers: int = 0
    num_errors: int = 0
    num_slow: int = 0
    last_second: AwareDatetime | None = None


class Rollout(Contract):
    """One candidate on its way.

    Attributes:
        phase: Where it stands.
        phase_since: When it entered the phase, by the wall clock; no decision is made by it, since that may jump.
        elapsed_s: Seconds in the phase that were counted, up to `counted_until`: time in which nobody watched is not.
        counted_until: Wall-clock time of the last count; None: `phase_since`.
        baseline_digest: What served when it began, and serves again if it fails.
        candidate_tally: The candidate's answers in its canary.
        baseline_tally: The baseline's answers over the same seconds.
    """

    candidate: Candidate
    phase: Phase
    phase_since: AwareDatetime
    elapsed_s: Annotated[float, Field(ge=0)] = 0.0
    counted_until: AwareDatetime | None = None
    baseline_digest: Digest | None
    candidate_tally: Tally = Tally()
    baseline_tally: Tally = Tally()
    cause: Cause
    reason: str


class Route(Contract):
    """A bundle's share of the traffic, in percent."""

    bundle_digest: Digest
    weight_percent: Percent


class ReleaseState(Contract):
    """Everything that is known of a domain's releases. The release-manager is its only writer.

    Attributes:
        revision: Grows by one with every published change; readers ignore lower ones.
        routes: Weights that sum to 100, or nothing.
        warm_digests: Bundles that gateways keep loaded: routed ones, the candidate, the old one while the window is open.
        rolled_back_digests: Never released again, nor is what continues their weights; newest last.
        finished: The last rollouts that ended, newest last.
        firing_alerts: Alerts that fire, as `rule:digest`.
        handled_request_ids: The last `release-requested` events, so that a redelivered one rolls nothing back twice.
    """

    revision: int = 0
    serving_digest: Digest | None = None
    previous_digest: Digest | None = None
    routes: tuple[Route, ...] = ()
    warm_digests: tuple[Digest, ...] = ()
    rollout: Rollout | None = None
    queued: Candidate | None = None
    rolled_back_digests: tuple[Digest, ...] = ()
    finished: tuple[Rollout, ...] = ()
    firing_alerts: tuple[str, ...] = ()
    handled_request_ids: tuple[UUID, ...] = ()


class ReleaseChanged(Event):
    """The state of a domain's releases after a transition, whole."""

    cause: Cause
    reason: str
    bundle_digest: Digest | None
    phase: Phase | None
    state: ReleaseState


class ReleaseRequested(Event):
    """An operator's word about the release of a domain."""

    action: Literal["rollback"]
    cause: Literal[Cause.OPERATOR, Cause.DRILL]
    reason: Annotated[str, Field(max_length=500)]


class BundleRejected(Event):
    """A daemon refused a bundle, since its signature is missing, does not fit or is by an unknown key; it did nothing with it.

    Attributes:
        stage: The daemon.
        next_step: What a person can do.
    """

    bundle_digest: Digest
    stage: str
    reason: str
    next_step: str


class BundleLoaded(Event):
    """A gateway loaded a bundle that the release state wants warm, or could not."""

    bundle_digest: Digest
    gateway: str
    loaded: bool
    error: str | None
    duration_s: float
