"""What lifecycle events tell of releases: bundles with their lineage and scores, weights, traffic, alerts, moments. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

from contracts.api import EventRecord
from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned
from contracts.envelope import Digest, Event
from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, AlertState, TrafficObserved
from contracts.release import BundleLoaded, Phase, ReleaseChanged, ReleaseRequested
from contracts.topics import TOPICS_BY_NAME
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed, TrainingRequested
from shared.summary import short, summary

EventT = TypeVar("EventT", bound=Event)
Tone = Literal["plain", "good", "bad"]
TITLES: dict[type[Event], str] = {
    TrainingRequested: "training asked for",
    CorpusVersioned: "corpus version",
    TokenizerReady: "tokenizer",
    ModelTrained: "trained",
    ModelEvaluated: "judged",
    BundleLoaded: "loaded by a gateway",
    ReleaseRequested: "operator's word",
    ReleaseChanged: "release",
    AlertChanged: "alert",
}


TRAFFIC_LAG = timedelta(seconds=10)
"""The seconds before the end of a rollout are counted so much later at most."""


@dataclass(frozen=True, kw_only=True)
class BatchStory:
    """A batch from its arrival to what it added; `cleaned` is None while it is under way."""

    received: BatchReceived
    cleaned: BatchCleaned | None


@dataclass(frozen=True, kw_only=True)
class BundleStory:
    """A bundle, what it was made of, how it was judged, and what became of it.

    Attributes:
        batches: What its corpus version added to the one before it.
        progress: Its training, report by report.
        outcome: In a few words, e.g. "rolled back: latency".
        num_answers: Answers that its model gave; cache hits apart.
    """

    trained: ModelTrained
    evaluated: ModelEvaluated | None
    version: CorpusVersioned | None
    tokenizer: TokenizerReady | None
    batches: tuple[BatchStory, ...]
    progress: tuple[TrainingProgressed, ...]
    outcome: str
    tone: Tone
    num_answers: int
    num_errors: int
    num_slow: int
    num_cache_hits: int

    @property
    def digest(self) -> Digest:
        """The bundle's digest."""
        return self.trained.bundle_digest


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert from firing to its end; `until` is None while it fires."""

    rule: str
    bundle_digest: Digest
    fired_at: datetime
    until: datetime | None
    ended_as: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A line of the timeline."""

    at: datetime
    title: str
    detail: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The shares of the traffic from a moment on, in percent."""

    at: datetime
    percent: Mapping[Digest, int]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is told: of one release or of all of a domain, oldest first.

    Attributes:
        bundles: Those that were trained; of one release, it and what it was compared with.
        traffic: Seconds of answers.
    """

    domain: str
    began_at: datetime
    ended_at: datetime
    bundles: tuple[BundleStory, ...]
    moments: tuple[Moment, ...]
    weights: tuple[Weights, ...]
    traffic: tuple[TrafficObserved, ...]
    alerts: tuple[Alert, ...]


def decoded(records: Iterable[EventRecord]) -> list[Event]:
    """Return the events of records, each once, by time; those that this version of the contracts does not know are left out."""
    events: dict[UUID, Event] = {}
    for record in records:
        topic = TOPICS_BY_NAME.get(record.topic)
        if topic is not None and topic.event is not None:
            try:
                events[record.event_id] = topic.event.model_validate(record.event)
            except ValueError:
                continue
    return sorted(events.values(), key=lambda event: event.occurred_at)


def released(events: Iterable[Event]) -> list[Digest]:
    """Return the bundles whose release is spoken of, in the order of their first mention."""
    named = (event.bundle_digest for event in events if isinstance(event, ReleaseChanged))
    return list(dict.fromkeys(digest for digest in named if digest))


def story_of(domain: str, events: Sequence[Event], *, release: Digest | None = None) -> Story | None:
    """Return the story that a domain's events tell; None: they tell none.

    Args:
        domain: Its name.
        events: Of this domain, by time.
        release: Only this bundle's, from its first batch to the end of its rollout.
    """
    window = (
        window_of(events, release) if release else (events[0].occurred_at, events[-1].occurred_at) if events else None
    )
    if window is None:
        return None
    if release is not None:
        events = _of_release(events, release, window)
    bundles = tuple(_bundle(trained, events) for trained in _all(events, ModelTrained))
    if not bundles:
        return None
    began_at, ended_at = window
    return Story(
        domain=domain,
        began_at=began_at,
        ended_at=ended_at,
        bundles=bundles,
        moments=tuple(moment for moment in _moments(events) if began_at <= moment.at <= ended_at),
        weights=tuple(_weights(events)),
        traffic=tuple(_all(events, TrafficObserved)),
        alerts=tuple(alert for alert in alerts_of(_all(events, AlertChanged)) if alert.fired_at <= ended_at),
    )


def window_of(events: Sequence[Event], release: Digest) -> tuple[datetime, datetime] | None:
    """Return when a release's story begins and ends; None: nothing tells of the bundle."""
    told = ModelTrained | ModelEvaluated | ReleaseChanged
    about = [
        event for event in _without_repetitions(events) if isinstance(event, told) and event.bundle_digest == release
    ]
    trained = next((event for event in about if isinstance(event, ModelTrained)), None)
    if trained is None:
        return None
    version = _version(trained, events)
    batches = _batches(version, events)
    began = min([trained.occurred_at, *(batch.received.occurred_at for batch in batches)])
    return began, max(event.occurred_at for event in about)


def alerts_of(changes: Sequence[AlertChanged]) -> list[Alert]:
    """Return the alerts that fired, by time."""
    found: list[Alert] = []
    firing: dict[tuple[str, Digest], AlertChanged] = {}
    for change in changes:
        key = (change.rule, change.bundle_digest)
        if change.state is AlertState.FIRING:
            firing.setdefault(key, change)
        elif key in firing:
            found.append(_alert(firing.pop(key), change))
    found += [_alert(change, None) for change in firing.values()]
    return sorted(found, key=lambda alert: alert.fired_at)


def _alert(fired: AlertChanged, ended: AlertChanged | None) -> Alert:
    return Alert(
        rule=fired.rule,
        bundle_digest=fired.bundle_digest,
        fired_at=fired.occurred_at,
        until=ended.occurred_at if ended else None,
        ended_as=ended.state.value if ended else "firing",
        reason=fired.reason,
    )


def _of_release(events: Sequence[Event], release: Digest, window: tuple[datetime, datetime]) -> list[Event]:
    """Return the events of a release's time that are not about other bundles, save those that it is compared with."""
    (trained,) = [event for event in _all(events, ModelTrained) if event.bundle_digest == release][-1:]
    judged = [event.serving_digest for event in _all(events, ModelEvaluated) if event.bundle_digest == release]
    wanted = {release, *trained.ancestors[:1], *(digest for digest in judged if digest)}
    before = [event for event in _all(events, ReleaseChanged) if event.occurred_at < window[0]][-1:]

    def is_wanted(event: Event) -> bool:
        is_near = window[0] <= event.occurred_at <= window[1]
        match event:
            case TrainingProgressed():
                return event.run_id == trained.run_id
            case ModelTrained() | ModelEvaluated():
                return event.bundle_digest in wanted
            case ReleaseChanged():
                return is_near or event in before
            case TrafficObserved():
                is_counted = window[0] <= event.occurred_at <= window[1] + TRAFFIC_LAG
                return is_counted and event.bundle_digest in wanted
            case AlertChanged():
                return event.occurred_at >= window[0] and event.bundle_digest in wanted
            case CorpusVersioned() | TokenizerReady():
                return event.corpus_digest == trained.corpus_digest
            case _:
                return is_near and getattr(event, "bundle_digest", release) in wanted

    return [event for event in events if is_wanted(event)]


def _bundle(trained: ModelTrained, events: Sequence[Event]) -> BundleStory:
    version = _version(trained, events)
    mine = [event for event in _all(events, TrafficObserved) if event.bundle_digest == trained.bundle_digest]
    judged = [event for event in _all(events, ModelEvaluated) if event.bundle_digest == trained.bundle_digest]
    fitted = [event for event in _all(events, TokenizerReady) if event.event_id == trained.run_id]
    outcome, tone = _outcome(trained.bundle_digest, judged[-1] if judged else None, _all(events, ReleaseChanged))
    return BundleStory(
        trained=trained,
        evaluated=judged[-1] if judged else None,
        version=version,
        tokenizer=fitted[-1] if fitted else None,
        batches=_batches(version, events),
        progress=tuple(event for event in _all(events, TrainingProgressed) if event.run_id == trained.run_id),
        outcome=outcome,
        tone=tone,
        num_answers=sum(second.num_answers for second in mine),
        num_errors=sum(second.num_errors for second in mine),
        num_slow=sum(second.num_slow for second in mine),
        num_cache_hits=sum(second.num_cache_hits for second in mine),
    )


def _version(trained: ModelTrained, events: Sequence[Event]) -> CorpusVersioned | None:
    found = [event for event in _all(events, CorpusVersioned) if event.corpus_digest == trained.corpus_digest]
    return found[-1] if found else None


def _batches(version: CorpusVersioned | None, events: Sequence[Event]) -> tuple[BatchStory, ...]:
    wanted = set(version.batch_ids) if version else set()
    cleaned = {event.batch_id: event for event in _all(events, BatchCleaned)}
    received = {event.batch_id: event for event in _all(events, BatchReceived) if event.batch_id in wanted}
    return tuple(BatchStory(received=event, cleaned=cleaned.get(batch_id)) for batch_id, event in received.items())


def _outcome(digest: Digest, judged: ModelEvaluated | None, changes: Sequence[ReleaseChanged]) -> tuple[str, Tone]:
    last = changes[-1].state if changes else None
    mine = [change for change in changes if change.bundle_digest == digest]
    if last and last.serving_digest == digest:
        return "serving", "good"
    for change in reversed(mine):
        if change.phase in {Phase.ROLLED_BACK, Phase.ROLLING_BACK, Phase.INCONCLUSIVE, Phase.REFUSED}:
            cause = next((one for one in mine if one.phase is Phase.ROLLING_BACK), change)
            return f"{change.phase}: {cause.cause}", "bad"
    if judged is not None and not judged.passed:
        return "did not pass its gates", "bad"
    if any(change.phase in {Phase.STABLE, Phase.WINDOW} for change in mine):
        return "released, then replaced", "plain"
    return (f"on its way: {mine[-1].phase}" if mine else "not released"), "plain"


def _weights(events: Sequence[Event]) -> list[Weights]:
    found: list[Weights] = []
    for change in _all(_without_repetitions(events), ReleaseChanged):
        percent = {route.bundle_digest: route.weight_percent for route in change.state.routes}
        if not found or found[-1].percent != percent:
            found.append(Weights(at=change.occurred_at, percent=percent))
    return found


def _moments(events: Sequence[Event]) -> list[Moment]:
    told = [event for event in _without_repetitions(events) if type(event) in TITLES]
    found = [
        Moment(at=event.occurred_at, title=TITLES[type(event)], detail=summary(event), tone=_tone(event))
        for event in told
    ]
    found += [moment for version in _all(events, CorpusVersioned) for moment in _arrivals(version, events)]
    return sorted(found, key=lambda moment: moment.at)


def _without_repetitions(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events without those that say nothing new: a release state again, an alert that is quiet and was so before."""
    revision = -1
    firing: set[tuple[str, Digest]] = set()
    for event in events:
        if isinstance(event, ReleaseChanged):
            if event.state.revision <= revision:
                continue
            revision = event.state.revision
        if isinstance(event, AlertChanged):
            key = (event.rule, event.bundle_digest)
            if (event.state is AlertState.FIRING) == (key in firing):
                continue
            firing ^= {key}
        yield event


def _arrivals(version: CorpusVersioned, events: Sequence[Event]) -> list[Moment]:
    """Return the batches of a version in one line: there may be hundreds."""
    batches = _batches(version, events)
    if not batches:
        return []
    cleaned = [batch.cleaned for batch in batches if batch.cleaned]
    sources: dict[str, int] = defaultdict(int)
    for batch in batches:
        sources[batch.received.source] += batch.received.num_documents
    came = ", ".join(f"{number:,} by {source}" for source, number in sorted(sources.items()))
    new = sum(one.num_new_documents for one in cleaned)
    known = sum(one.num_verbatim_documents for one in cleaned)
    near = sum(one.num_near_duplicate_documents for one in cleaned)
    rejected = sum(one.num_rejected_documents for one in cleaned)
    detail = (
        f"{len(batches)} batches, documents: {came}; {new:,} new, {known:,} known word for word, {near:,} nearly, "
        f"{rejected:,} rejected"
    )
    return [Moment(at=min(batch.received.occurred_at for batch in batches), title="documents", detail=detail)]


def _tone(event: Event) -> Tone:
    match event:
        case AlertChanged():
            return "bad" if event.state is AlertState.FIRING else "good"
        case ModelEvaluated():
            return "good" if event.passed else "bad"
        case ReleaseChanged():
            if event.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.INCONCLUSIVE, Phase.REFUSED}:
                return "bad"
            return "good" if event.phase in {Phase.PROMOTING, Phase.STABLE, Phase.WINDOW} else "plain"
        case BundleLoaded():
            return "plain" if event.loaded else "bad"
        case _:
            return "plain"


def _all(events: Iterable[Event], kind: type[EventT]) -> list[EventT]:
    return [event for event in events if isinstance(event, kind)]


def named(story: Story) -> dict[Digest, str]:
    """Return short names of the bundles that occur: the first digits of their digests."""
    digests = [bundle.digest for bundle in story.bundles]
    digests += [digest for weights in story.weights for digest in weights.percent]
    return {digest: short(digest) for digest in dict.fromkeys(digests)}
