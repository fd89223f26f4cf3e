"""Bodies of the HTTP APIs, errors included (RFC 9457)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.corpus import BatchStatistics
from contracts.envelope import Contract, Digest, Domain
from contracts.evaluation import Score
from contracts.release import ReleaseState, Route

MAX_INPUT_CHARS = 20_000
MAX_NEW_TOKENS = 64
MAX_SEED = 2**63 - 1


class Problem(Contract):
    """An error that says what happened, where, and what to do next (application/problem+json).

    Attributes:
        type: Names the error class, e.g. `urn:plumbline:problem:nothing-to-serve`.
        next: What the reader can do, e.g. a command.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    next: str | None = None


# ---- ingest


class BatchReceipt(Contract):
    """A batch that is stored: it survives from here on.

    Attributes:
        num_documents: Those that were taken.
        num_bytes: Their texts' size in UTF-8.
        num_refused_documents: Records beside it that were left out; `/v1/batches/{batch_id}/refused` says which and why.
        state: `held` waits for a person, `rejected` was turned down by one: neither is trained on.
        reasons: Why it is held or was rejected.
    """

    batch_id: UUID
    event_id: UUID
    domain: Domain
    num_documents: int
    num_bytes: int
    num_refused_documents: int = 0
    state: Literal["accepted", "held", "rejected"] = "accepted"
    reasons: tuple[str, ...] = ()


class UploadReceipt(BatchReceipt):
    """An upload that is stored; its numbers are those of all its batches, its ids and state those of the first.

    Attributes:
        batches: Its batches, in order.
        ignored_fields: Names in its first records that no field of a document has: misspelt ones, perhaps.
    """

    batches: tuple[BatchReceipt, ...] = ()
    ignored_fields: tuple[str, ...] = ()


class UploadStatus(Contract):
    """How far a resumable upload is.

    Attributes:
        state: `receiving` until the last byte came, `reading` until its documents are stored.
        num_bytes: Bytes that are kept; the upload goes on from there.
        num_documents: Documents read so far,
        num_refused_documents: and records that were left out.
        receipt: Once it is stored.
        problem: Why it was refused.
    """

    upload_id: UUID
    domain: Domain
    state: Literal["receiving", "reading", "stored", "refused"]
    num_bytes: int
    num_documents: int = 0
    num_refused_documents: int = 0
    receipt: UploadReceipt | None = None
    problem: Problem | None = None


class RefusedRecord(Contract):
    """A record of an upload that was left out.

    Attributes:
        line: Its line or row in the upload, from 1.
        raw: What came, as text; of something long, the beginning.
        is_cut: Whether `raw` is only the beginning.
    """

    line: int
    reason: str
    raw: str
    is_cut: bool = False


class StatisticsFigures(Contract):
    """What statistics come to.

    Attributes:
        mean_chars: Characters (code points) a document.
        median_chars: What half of the documents do not exceed, within a factor of the square root of 2.
        fresh_share: Of the dated documents, those that were published within two years before they came; None: none is dated.
        known_share: Documents whose text the domain had before; None: it was not looked.
        relevance: Share of the pairs of neighbouring characters that the domain had before; None: nothing was compared.
        repeated_share: Documents whose text their own batch has before.
        topic_bits: Diversity of topics: the entropy of the labels, 0 of one label, log2(n) of n equally frequent ones.
        source_bits: The same of the sources.
    """

    mean_chars: float = 0.0
    median_chars: float = 0.0
    fresh_share: float | None = None
    known_share: float | None = None
    relevance: float | None = None
    repeated_share: float = 0.0
    topic_bits: float = 0.0
    source_bits: float = 0.0


class BatchView(BatchReceipt):
    """A batch as it is stored: what it holds and what became of it.

    Attributes:
        source: How it came.
        decided_by: Who accepted or rejected it when it was held.
    """

    received_at: AwareDatetime
    source: Literal["http", "kafka"]
    decided_by: str | None = None
    statistics: BatchStatistics
    figures: StatisticsFigures


class DomainStatistics(Contract):
    """What a domain got so far: its accepted batches together."""

    domain: Domain
    num_batches: int
    statistics: BatchStatistics
    figures: StatisticsFigures


class HeldBatch(Contract):
    """A batch that waits for a person.

    Attributes:
        reasons: How it differs from what the domain got so far.
        statistics: What it holds.
    """

    batch_id: UUID
    domain: Domain
    received_at: AwareDatetime
    num_documents: int
    num_bytes: int
    reasons: tuple[str, ...]
    statistics: BatchStatistics | None = None


class HeldBatches(Contract):
    """All batches that wait for a person, oldest first."""

    batches: tuple[HeldBatch, ...]


class BatchDecision(Contract):
    """What the operator says of a held batch.

    Attributes:
        by: Who decided, for the record.
        reason: Why.
    """

    by: Annotated[str, Field(min_length=1, max_length=100)] = "the operator"
    reason: Annotated[str, Field(max_length=500)] = ""


# ---- inference-gateway


class ClassifyRequest(Contract):
    """A text to classify. The same user stays on the same bundle while weights stand still."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_INPUT_CHARS)]
    user: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    domain: Domain = "law"


class ClassifyAnswer(Contract):
    """The label with the highest score; scores sum to 1."""

    answer_id: str
    label: str
    score: float
    scores: dict[str, float]
    bundle_digest: Digest
    cached: bool
    truncated: bool


class CompleteRequest(Contract):
    """A prompt to continue, answered as server-sent events: `token` (text), then `done` (CompleteDone) or `error` (Problem)."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_INPUT_CHARS)]
    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)] = 32
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    user: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    domain: Domain = "law"


class CompleteDone(Contract):
    """The end of a completion."""

    answer_id: str
    bundle_digest: Digest
    num_tokens: int


class ServedDomain(Contract):
    """What one domain is served with."""

    domain: Domain
    routes: tuple[Route, ...]
    loaded: tuple[Digest, ...]
    revision: int
    labels: tuple[str, ...]


class GatewayInfo(Contract):
    """What the gateway serves, and where to read on."""

    served: tuple[ServedDomain, ...]
    docs: str = "/docs"
    next: str | None = None


class FaultRequest(Contract):
    """A drill: answers of one bundle become slow, until it is disarmed or `for_s` has passed."""

    bundle_digest: Digest
    delay_ms: Annotated[int, Field(ge=1, le=10_000)]
    for_s: Annotated[int, Field(ge=1, le=600)] = 120


class Fault(Contract):
    """A fault that is armed. `first_answer_at`: when it slowed the first answer."""

    bundle_digest: Digest
    delay_ms: int
    armed_at: AwareDatetime
    expires_at: AwareDatetime
    first_answer_at: AwareDatetime | None


# ---- release-manager


class RollbackRequest(Contract):
    """Take the candidate, or the last release, back."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    cause: Literal["operator", "drill"] = "operator"


class RolloutTimes(Contract):
    """How long the phases of a rollout last at this release-manager, in seconds; the settings `PLUMBLINE_ROLLOUT__*`."""

    min_canary_s: float
    max_hold_s: float
    settle_s: float
    window_s: float


class Accepted(Contract):
    """A request became an event; its effect follows."""

    event_id: UUID


# ---- monitor


class TrainNowRequest(Contract):
    """Ask for a corpus version now, once the listed batches are clean; none listed: those that are known to be under way."""

    domain: Domain = "law"
    batch_ids: tuple[UUID, ...] = ()
    reason: Literal["operator", "drill"] = "operator"


class StageStatus(Contract):
    """The last that is known of one stage of the loop."""

    stage: str
    event: str | None
    event_id: UUID | None
    at: AwareDatetime | None
    summary: str


class AlertStatus(Contract):
    """The present state of one alert."""

    rule: str
    bundle_digest: Digest
    state: str
    reason: str
    since: AwareDatetime


class TrafficStatus(Contract):
    """A bundle's answers over the last window."""

    bundle_digest: Digest
    answers_per_s: float
    error_share: float
    slow_share: float
    p95_ms: float | None


class RejectedBundle(Contract):
    """A bundle that a daemon refused for its signature."""

    bundle_digest: Digest
    stage: str
    reason: str
    next_step: str
    at: AwareDatetime


class DomainStatus(Contract):
    """How far a domain is.

    Attributes:
        missing: What the next training waits for, e.g. "312 of 1,000 documents; or `plumb train now`".
    """

    domain: Domain
    stages: tuple[StageStatus, ...]
    missing: str
    num_pending_documents: int
    min_new_documents: int
    release: ReleaseState | None
    scores: tuple[Score, ...]
    alerts: tuple[AlertStatus, ...]
    traffic: tuple[TrafficStatus, ...]
    rejected_bundles: tuple[RejectedBundle, ...] = ()


class DeadLetterCount(Contract):
    """Messages of a topic that could not be handled, and by which error; they lie in the topic's `-dlq`."""

    topic: str
    error_type: str
    count: int


class MeshStatus(Contract):
    """What the monitor knows of all domains.

    Attributes:
        dead_letters: Counted since the monitor's start and, as far as its store still knows, before.
    """

    at: AwareDatetime
    domains: tuple[DomainStatus, ...]
    dead_letters: tuple[DeadLetterCount, ...] = ()


class EventRecord(Contract):
    """A lifecycle event as the monitor saw it, for reports and the CLI."""

    topic: str
    event_id: UUID
    causation_id: UUID | None
    occurred_at: AwareDatetime
    domain: Domain
    trace_id: str | None
    event: dict[str, object]


class WhySpan(Contract):
    """One span of a trace, as the store holds it."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    started_at: AwareDatetime
    duration_ms: float
    linked_trace_ids: tuple[str, ...]


class WhyStep(Contract):
    """One step on the way from an answer back to its data.

    Attributes:
        kind: answer, bundle, tokenizer, corpus-version or batch.
        id: The answer's id, a digest, or a batch id.
        event_id: The event that announced it.
        detail: One line for people.
        spans: The work that made it.
    """

    kind: Literal["answer", "release", "evaluation", "bundle", "tokenizer", "corpus-version", "batch"]
    id: str
    event_id: UUID | None
    detail: str
    trace_id: str | None
    spans: tuple[WhySpan, ...]


class Why(Contract):
    """The walk from an answer, or a bundle, back to the batches it was trained on."""

    subject: str
    steps: tuple[WhyStep, ...]
