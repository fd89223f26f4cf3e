"""What the monitor sees and says."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from contracts.envelope import Contract, Digest, Event


class LatencyHistogram(Contract):
    """Counts of answers by latency; `counts[i]` holds those in (bounds_ms[i-1], bounds_ms[i]], the last one the rest."""

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> "LatencyHistogram":
        if len(self.counts) != len(self.bounds_ms) + 1:
            msg = f"a histogram of {len(self.bounds_ms)} bounds has one count more, not {len(self.counts)}"
            raise ValueError(msg)
        return self


class TrafficObserved(Event):
    """One second of one bundle's answers. Cache hits are counted apart and in nothing else.

    Attributes:
        second: The second's start; the event's id follows from it, the domain and the digest.
        num_answers: Answers that the model made, errors among them.
        num_slow: Answers over `latency_limit_ms`.
        latency: Of a stream, the time to its first token.
    """

    second: AwareDatetime
    bundle_digest: Digest
    num_answers: Annotated[int, Field(ge=0)]
    num_errors: Annotated[int, Field(ge=0)]
    num_slow: Annotated[int, Field(ge=0)]
    num_cache_hits: Annotated[int, Field(ge=0)]
    latency_limit_ms: float
    latency: LatencyHistogram


class AlertState(StrEnum):
    """What an alert says; no data is neither good nor bad news."""

    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no-data"


class AlertChanged(Event):
    """An alert changed its state for one bundle.

    Attributes:
        rule: Name of the row in the monitor's rule table.
        signal: What kind of harm the rule watches; it becomes the rollback's cause.
        value: Share of answers beyond the limit, 0 to 1, at the change; None without data.
        since: When the first of the evaluations that led here was made.
    """

    rule: str
    signal: Literal["latency", "errors", "quality"]
    bundle_digest: Digest
    state: AlertState
    value: float | None
    limit: float
    reason: str
    since: AwareDatetime
