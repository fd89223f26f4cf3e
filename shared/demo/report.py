"""What the demo proves: the report that it writes, and the findings that decide its exit code."""

from collections.abc import Iterable, Sequence
from itertools import dropwhile, pairwise
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Contract, Digest
from contracts.evaluation import Score
from shared.demo.load import NO_BUNDLE, NUM_USERS

MIN_REQUESTS_PER_S = 40.0
"""What the story calls real load, as a mean over each canary."""
MIN_USERS = 200


class Proof(Contract):
    """An event that shows a step."""

    topic: str
    event_id: UUID
    causation_id: UUID | None
    occurred_at: AwareDatetime
    trace_id: str | None


class Step(Contract):
    """One step of the story, when it ended, how long it took, and what proves it: events, or answers of the gateway."""

    name: str
    ended_at: AwareDatetime
    duration_s: float
    proofs: tuple[Proof, ...]
    answer_ids: tuple[str, ...] = ()


class Weights(Contract):
    """The weights in percent that the gateway routed by, as it said at this moment."""

    at: AwareDatetime
    percent: dict[Digest, int]


class Traffic(Contract):
    """One second of one bundle's answers, as its users saw it; `none` stands for requests that got no answer."""

    second: int
    bundle_digest: str
    requests: int
    failures: int
    p95_ms: float | None


class Canary(Contract):
    """A rollout that went through a canary.

    Attributes:
        released_percent: The candidate's weights in the events' routes, in order, e.g. 10, 100.
        began_at: When it got its first share.
        ended_at: When the share became all or nothing.
    """

    candidate: Digest
    baseline: Digest
    released_percent: tuple[int, ...]
    began_at: AwareDatetime
    ended_at: AwareDatetime


class BundleSummary(Contract):
    """A bundle of the story and what it was judged to be."""

    bundle_digest: Digest
    ancestors: tuple[Digest, ...]
    corpus_digest: Digest
    tokenizer_digest: Digest
    num_tokens: int
    training_s: float
    scores: tuple[Score, ...]
    floor_accuracy: float


class Drill(Contract):
    """The times of the rollback drill, in seconds from the first slow answer."""

    first_slow_answer_at: AwareDatetime
    alert_s: float
    decided_s: float
    nothing_routed_s: float
    alert_reason: str
    cause: str
    answered_by_after: Digest


class Report(Contract):
    """The whole story.

    Attributes:
        ready_after_s: From the start of the mesh until all of it could serve.
        processes: Pids of the mesh's processes, by name.
        settings: How the demo differs from the defaults.
        num_verbatim_later: Later articles that are word for word older ones, by the data.
        num_known_later: Later articles that the cleaner recognised as known.
        memory_mb: Resident memory of each process at the end, in megabytes.
    """

    began_at: AwareDatetime
    ended_at: AwareDatetime
    duration_s: float
    ready_after_s: float | None
    processes: dict[str, int]
    settings: dict[str, str]
    num_documents: int
    num_verbatim_later: int
    num_known_later: int
    num_users: Annotated[int, Field(ge=0)] = NUM_USERS
    steps: tuple[Step, ...]
    bundles: tuple[BundleSummary, ...]
    promotion: Canary
    rollback: Canary
    drill: Drill
    weights: tuple[Weights, ...]
    traffic: tuple[Traffic, ...]
    memory_mb: dict[str, float]


def findings(report: Report) -> list[str]:
    """Return what the records do not show although the story claims it; empty: all is proved."""
    return [
        *_step_findings(report),
        *_weights_findings("promotion", report.promotion, (10, 100), report.weights),
        *_weights_findings("rollback", report.rollback, (10, 0), report.weights),
        *_traffic_findings("promotion", report.promotion, report.traffic),
        *_traffic_findings("rollback", report.rollback, report.traffic),
        *_failure_findings(report.traffic),
        *_drill_findings(report),
    ]


def changes(weights: Iterable[Weights], digest: Digest) -> tuple[int, ...]:
    """Return the weights that a bundle had one after the other, repetitions left out.

    Example:
        0, 0, 10, 10, 100 gives (0, 10, 100).
    """
    percents = [sample.percent.get(digest, 0) for sample in weights]
    return tuple(percents[:1]) + tuple(after for before, after in pairwise(percents) if after != before)


def _weights_findings(name: str, canary: Canary, wanted: tuple[int, ...], weights: Sequence[Weights]) -> list[str]:
    found = []
    if canary.released_percent != wanted:
        found.append(f"{name}: the events say {canary.released_percent}, not {wanted}")
    # Later it is the baseline of the next canary: what counts is how it began.
    seen = tuple(dropwhile(lambda percent: percent == 0, changes(weights, canary.candidate)))
    if seen[: len(wanted)] != wanted:
        found.append(f"{name}: the gateway routed {seen}, not {wanted}")
    return found


def _traffic_findings(name: str, canary: Canary, traffic: Sequence[Traffic]) -> list[str]:
    began, ended = canary.began_at.timestamp(), canary.ended_at.timestamp()
    during = [second for second in traffic if began <= second.second < ended]
    found = []
    for role, digest in (("candidate", canary.candidate), ("baseline", canary.baseline)):
        if not sum(second.requests for second in during if second.bundle_digest == digest):
            found.append(f"{name}: the {role} took no traffic during the canary")
    rate = sum(second.requests for second in during) / max(1.0, ended - began)
    if rate < MIN_REQUESTS_PER_S:
        found.append(f"{name}: {rate:.1f} requests a second, not {MIN_REQUESTS_PER_S:.0f}")
    return found


def _failure_findings(traffic: Sequence[Traffic]) -> list[str]:
    failed = sum(second.failures for second in traffic)
    unanswered = sum(second.requests for second in traffic if second.bundle_digest == NO_BUNDLE)
    return [f"{failed} requests failed, {unanswered} of them without an answer"] if failed else []


def _drill_findings(report: Report) -> list[str]:
    drill, found = report.drill, []
    if drill.answered_by_after != report.rollback.baseline:
        found.append(f"after the rollback {drill.answered_by_after} answered, not {report.rollback.baseline}")
    if drill.cause != "latency":
        found.append(f"the rollback's cause is {drill.cause}, not latency")
    if not 0 <= drill.alert_s <= drill.decided_s <= drill.nothing_routed_s:
        times = f"{drill.alert_s:.1f}, {drill.decided_s:.1f}, {drill.nothing_routed_s:.1f} s"
        found.append(f"slow answer, alert, decision and nothing routed did not follow in this order: {times}")
    return found


def _step_findings(report: Report) -> list[str]:
    found = [
        f"nothing proves the step: {step.name}" for step in report.steps if not step.proofs and not step.answer_ids
    ]
    if not report.steps:
        found.append("no step was taken")
    for parent, child in pairwise(report.bundles):
        if child.ancestors[:1] != (parent.bundle_digest,):
            found.append(f"bundle {child.bundle_digest} does not continue {parent.bundle_digest}")
    if report.num_known_later < report.num_verbatim_later:
        found.append(f"{report.num_known_later} of {report.num_verbatim_later} verbatim articles were recognised")
    if report.num_users < MIN_USERS:
        found.append(f"only {report.num_users} users, not {MIN_USERS}")
    return found
