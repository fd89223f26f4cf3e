"""What is known of each domain: lifecycle events folded into a view. The order in which they come in does not matter."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from contracts.api import (
    AlertStatus,
    DeadLetterCount,
    DomainStatus,
    MeshStatus,
    RejectedBundle,
    StageStatus,
    TrafficStatus,
)
from contracts.corpus import BatchCleaned, BatchPrepared, BatchReceived, CorpusAmended, CorpusVersioned
from contracts.envelope import Digest, Domain, Event
from contracts.evaluation import ModelEvaluated, Score
from contracts.monitoring import AlertChanged, AlertState
from contracts.release import BundleLoaded, BundleRejected, ReleaseChanged, ReleaseRequested
from contracts.topics import EVENT_TOPICS
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed, TrainingRequested
from services.monitor.core.traffic import Counts, Series
from services.monitor.core.windows import WINDOW_S, Windows, present_series, window_of
from shared.summary import summary

DEFAULT_MIN_NEW_DOCUMENTS = 1_000
"""Until the cleaner has said its own with the first batch."""
P95 = 0.95
MAX_CLEANED_BATCHES = 1_000
"""So many of the batches cleaned last are known by their ids: word of a batch may come after word of its cleaning."""

MAX_SHOWN_REJECTIONS = 5

EventClass = type[Event]
EventT = TypeVar("EventT", bound=Event)
KeyT = TypeVar("KeyT")
STAGES: tuple[tuple[str, tuple[EventClass, ...]], ...] = (
    ("ingest", (BatchReceived,)),
    ("cleaner", (BatchPrepared, BatchCleaned)),
    ("corpus", (CorpusAmended, CorpusVersioned)),
    ("tokenizer-builder", (TokenizerReady,)),
    ("trainer", (TrainingProgressed, ModelTrained)),
    ("evaluator", (ModelEvaluated,)),
    ("release-manager", (ReleaseRequested, ReleaseChanged)),
    ("inference-gateway", (BundleLoaded,)),
    ("monitor", (TrainingRequested, AlertChanged)),
)
"""The stages of the loop in order, and the events that tell of them. Refused bundles stand apart: any daemon may refuse one."""

NEXT_STEPS: tuple[tuple[EventClass, str | None], ...] = (
    (ModelEvaluated, None),
    (ModelTrained, "is being judged"),
    (TokenizerReady, "is in training"),
)
"""What follows for a corpus version when an event tells of it; the furthest first."""

EVENT_NAMES: Mapping[EventClass, str] = {
    topic.event: topic.name.rpartition("-")[0] for topic in EVENT_TOPICS if topic.event is not None
}


@dataclass(frozen=True, kw_only=True)
class DomainView:
    """What lifecycle events have said of one domain.

    Attributes:
        latest: The latest event of each class.
        evaluations: The latest judgement of each bundle.
        alerts: The latest change of each alert, by rule and bundle.
        rejections: The latest refusal of each bundle by each daemon.
        batches_under_way: Batches that were received and not cleaned yet, oldest first.
        cleaned_batches: The batches that were cleaned last.
    """

    latest: Mapping[EventClass, Event] = field(default_factory=dict)
    evaluations: Mapping[Digest, ModelEvaluated] = field(default_factory=dict)
    alerts: Mapping[tuple[str, Digest], AlertChanged] = field(default_factory=dict)
    rejections: Mapping[tuple[str, Digest], BundleRejected] = field(default_factory=dict)
    batches_under_way: tuple[UUID, ...] = ()
    cleaned_batches: Mapping[UUID, None] = field(default_factory=dict)


View = Mapping[Domain, DomainView]


def fold(view: View, event: Event) -> View:
    """Return the view with one more event in it; one that is known or outdated changes nothing."""
    domain = view.get(event.domain, DomainView())
    domain = replace(domain, latest=_newest(domain.latest, type(event), event))
    if isinstance(event, ModelEvaluated):
        domain = replace(domain, evaluations=_newest(domain.evaluations, event.bundle_digest, event))
    if isinstance(event, AlertChanged):
        domain = replace(domain, alerts=_newest(domain.alerts, (event.rule, event.bundle_digest), event))
    if isinstance(event, BundleRejected):
        domain = replace(domain, rejections=_newest(domain.rejections, (event.stage, event.bundle_digest), event))
    # Word of a batch that was received is spread over the monitors; that it was prepared comes to the one that has its domain.
    if isinstance(event, BatchReceived | BatchPrepared):
        domain = _with_received(domain, event.batch_id)
    if isinstance(event, BatchCleaned):
        domain = _with_cleaned(domain, event.batch_id)
    return {**view, event.domain: domain}


def mesh_status(
    view: View, windows: Windows, now: datetime, dead_letters: tuple[DeadLetterCount, ...] = ()
) -> MeshStatus:
    """Return what is known of all domains at `now`."""
    domains = tuple(_domain_status(name, view[name], windows) for name in sorted(view))
    return MeshStatus(at=now, domains=domains, dead_letters=dead_letters)


def has_anything_new(domain: DomainView, batch_ids: tuple[UUID, ...]) -> bool:
    """Whether a corpus version could differ from the latest.

    Documents wait, or a batch is not known to be cleaned, or somebody restored documents, left a batch out or put one back.
    """
    unknown = set(batch_ids).difference(domain.cleaned_batches)
    return bool(_num_pending(domain) or domain.batches_under_way or unknown or _is_amended(domain))


def _with_received(domain: DomainView, batch_id: UUID) -> DomainView:
    if batch_id in domain.cleaned_batches or batch_id in domain.batches_under_way:
        return domain
    return replace(domain, batches_under_way=(*domain.batches_under_way, batch_id))


def _with_cleaned(domain: DomainView, batch_id: UUID) -> DomainView:
    under_way = tuple(known for known in domain.batches_under_way if known != batch_id)
    cleaned = [known for known in domain.cleaned_batches if known != batch_id]
    cleaned_last = dict.fromkeys((*cleaned, batch_id)[-MAX_CLEANED_BATCHES:])
    return replace(domain, batches_under_way=under_way, cleaned_batches=cleaned_last)


def _newest(known: Mapping[KeyT, EventT], key: KeyT, event: EventT) -> Mapping[KeyT, EventT]:
    return known if key in known and _rank(event) <= _rank(known[key]) else {**known, key: event}


def _rank(event: Event) -> tuple[int, datetime, str]:
    # A release state outranks by its revision: its writer may say an old one again after a restart.
    revision = event.state.revision if isinstance(event, ReleaseChanged) else 0
    return (revision, event.occurred_at, str(event.event_id))


def _last(domain: DomainView, kind: type[EventT]) -> EventT | None:
    found = domain.latest.get(kind)
    return found if isinstance(found, kind) else None


def _domain_status(name: Domain, domain: DomainView, windows: Windows) -> DomainStatus:
    cleaned, released = _last(domain, BatchCleaned), _last(domain, ReleaseChanged)
    return DomainStatus(
        domain=name,
        stages=tuple(_stage(domain, stage, kinds) for stage, kinds in STAGES),
        missing=missing(domain),
        num_pending_documents=_num_pending(domain),
        min_new_documents=cleaned.min_new_documents if cleaned else DEFAULT_MIN_NEW_DOCUMENTS,
        release=released.state if released else None,
        scores=_scores(domain),
        alerts=_alerts(domain),
        traffic=_traffic(name, windows),
        rejected_bundles=_rejected(domain),
    )


def _stage(domain: DomainView, stage: str, kinds: tuple[EventClass, ...]) -> StageStatus:
    events = [event for kind, event in domain.latest.items() if kind in kinds]
    if not events:
        return StageStatus(stage=stage, event=None, event_id=None, at=None, summary="nothing yet")
    event = max(events, key=lambda event: (event.occurred_at, str(event.event_id)))
    return StageStatus(
        stage=stage,
        event=EVENT_NAMES[type(event)],
        event_id=event.event_id,
        at=event.occurred_at,
        summary=summary(event),
    )


def missing(domain: DomainView) -> str:
    """Return what the next training waits for, e.g. "312 of 1,000 documents; or `plumb train now`"."""
    cleaned = _last(domain, BatchCleaned)
    minimum = cleaned.min_new_documents if cleaned else DEFAULT_MIN_NEW_DOCUMENTS
    pending = _num_pending(domain)
    if pending >= minimum:
        waiting = f"{pending:,} of {minimum:,} documents: the next version is cut after a moment of quiet"
    else:
        waiting = f"{pending:,} of {minimum:,} documents; or `plumb train now`"
    under_way = _under_way(domain)
    return f"{under_way}; then {waiting}" if under_way else waiting


def _num_pending(domain: DomainView) -> int:
    told = [event for event in (_last(domain, BatchCleaned), _last(domain, CorpusAmended)) if event is not None]
    since = [event for event in told if not _is_in_a_version(domain, event)]
    return max(since, key=_rank).num_pending_documents if since else 0


def _is_amended(domain: DomainView) -> bool:
    amended = _last(domain, CorpusAmended)
    return amended is not None and amended.is_changed and not _is_in_a_version(domain, amended)


def _is_in_a_version(domain: DomainView, event: Event) -> bool:
    version = _last(domain, CorpusVersioned)
    return version is not None and version.occurred_at >= event.occurred_at


def _under_way(domain: DomainView) -> str | None:
    version = _last(domain, CorpusVersioned)
    if version is None:
        return None
    reached = (step for kind, step in NEXT_STEPS if _is_about(domain.latest.get(kind), version))
    step = next(reached, "gets its tokenizer")
    return f"version {version.number} {step}" if step else None


def _is_about(event: Event | None, version: CorpusVersioned) -> bool:
    return getattr(event, "corpus_digest", None) == version.corpus_digest


def _scores(domain: DomainView) -> tuple[Score, ...]:
    released = _last(domain, ReleaseChanged)
    serving = released.state.serving_digest if released else None
    judged = domain.evaluations.get(serving or "") or _last(domain, ModelEvaluated)
    return judged.scores if judged else ()


def _alerts(domain: DomainView) -> tuple[AlertStatus, ...]:
    released = _last(domain, ReleaseChanged)
    warm = released.state.warm_digests if released else ()
    shown = (
        change
        for change in domain.alerts.values()
        if change.state is not AlertState.NO_DATA or change.bundle_digest in warm
    )
    return tuple(
        AlertStatus(
            rule=change.rule,
            bundle_digest=change.bundle_digest,
            state=change.state.value,
            reason=change.reason,
            since=change.since,
        )
        for change in sorted(shown, key=lambda change: (change.rule, change.bundle_digest))
    )


def _rejected(domain: DomainView) -> tuple[RejectedBundle, ...]:
    """Return the last refusals, newest last."""
    last = sorted(domain.rejections.values(), key=_rank)[-MAX_SHOWN_REJECTIONS:]
    return tuple(
        RejectedBundle(
            bundle_digest=event.bundle_digest,
            stage=event.stage,
            reason=event.reason,
            next_step=event.next_step,
            at=event.occurred_at,
        )
        for event in last
    )


def _traffic(name: Domain, windows: Windows) -> tuple[TrafficStatus, ...]:
    present = sorted(series for series in present_series(windows, windows.closed) if series.domain == name)
    return tuple(_traffic_status(series, window_of(windows, series, windows.closed).counts) for series in present)


def _traffic_status(series: Series, counts: Counts) -> TrafficStatus:
    return TrafficStatus(
        bundle_digest=series.bundle_digest,
        answers_per_s=counts.num_answers / WINDOW_S,
        error_share=counts.error_share,
        slow_share=counts.slow_share,
        p95_ms=counts.percentile_ms(P95),
    )
