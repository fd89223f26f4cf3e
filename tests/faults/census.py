"""What came out, compared with what went in: each acknowledged document once, each effect of an event once.

It reads what the mesh keeps (artifacts and refs) and what it said (every event topic, from the start).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from contracts.corpus import BatchCleaned, CorpusVersioned, Document
from contracts.envelope import Event, derived_id
from contracts.evaluation import ModelEvaluated
from contracts.monitoring import TrafficObserved
from contracts.release import ReleaseChanged
from contracts.topics import (
    BATCH_CLEANED,
    BATCH_RECEIVED,
    CORPUS_VERSIONED,
    EVENT_TOPICS,
    MODEL_EVALUATED,
    MODEL_TRAINED,
    RELEASE_CHANGED,
    TOKENIZER_READY,
    TOPICS_BY_NAME,
    TRAFFIC_OBSERVED,
    TRAINING_PROGRESSED,
    Topic,
)
from services.cleaner.core.cut import CORPUS_NAMESPACE
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusManifest, read_documents, read_manifest
from shared.releases import announced, decided_ref
from shared.runs import Claim
from tests.embedded.live import Message

EventT = TypeVar("EventT", bound=Event)
STAGES = ((TOKENIZER_READY, "tokenizer-builder"), (MODEL_TRAINED, "trainer"), (MODEL_EVALUATED, "evaluator"))


@dataclass
class Census:
    """The count.

    Attributes:
        lost: What should be there and is not, in words.
        doubled: What is there twice, or said in two ways.
        counts: Numbers for the report.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def take(
    store: ArtifactStore, messages: Iterable[Message], acknowledged: Mapping[UUID, tuple[Document, ...]], domain: str
) -> Census:
    """Return the census of a mesh that has come to rest."""
    census = Census()
    said = Said(list(messages), census)
    cleaned = _batches(census, store, acknowledged, domain)
    versions = _versions(census, store, cleaned, domain)
    _documents(census, store, versions, acknowledged, cleaned)
    judged = _stages(census, store, said, versions)
    _releases(census, store, said, judged, domain)
    _traffic(census, said)
    census.counts["dead letters"] = sum(message.topic.endswith("-dlq") for message in said.messages)
    return census


def take_kept(store: ArtifactStore, acknowledged: Mapping[UUID, tuple[Document, ...]], domain: str) -> Census:
    """Return the census of what is kept alone: where the broker forgot what was said, it must still have come to its end."""
    census = Census()
    cleaned = _batches(census, store, acknowledged, domain)
    versions = _versions(census, store, cleaned, domain)
    _documents(census, store, versions, acknowledged, cleaned)
    for digest, manifest in versions:
        cause = derived_id(CORPUS_NAMESPACE, digest)
        for topic, service in STAGES:
            if store.read_ref(f"runs/{service}/{cause}/result") is None:
                census.lost.append(f"{service} has no result for version {manifest.number}")
            cause = derived_id(cause, topic.event.__name__ if topic.event else "", "")
        if store.read_ref(decided_ref(domain, digest)) is None:
            census.lost.append(f"the judgement of version {manifest.number} was never taken")
    return census


class Said:
    """All messages, by topic and event; one event must always say the same."""

    def __init__(self, messages: list[Message], census: Census) -> None:
        self.messages = messages
        self._bodies: dict[str, dict[UUID, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        self._events: dict[str, dict[UUID, Event]] = defaultdict(dict)
        for message in messages:
            topic = TOPICS_BY_NAME.get(message.topic)
            if topic is None or topic.event is None:
                continue
            event = topic.event.model_validate_json(message.body)
            self._bodies[topic.name][event.event_id].add(message.body)
            self._events[topic.name][event.event_id] = event
        for topic in EVENT_TOPICS:
            for event_id, bodies in self._bodies[topic.name].items():
                # A run that goes on from a checkpoint tells of a step again, with the time of the second telling.
                if len(bodies) > 1 and topic is not TRAINING_PROGRESSED:
                    census.doubled.append(f"{topic.name} {event_id} was said in {len(bodies)} ways")
        census.counts["messages"] = len(messages)
        census.counts["events"] = sum(len(events) for events in self._events.values())

    def of(self, topic: Topic, kind: type[EventT]) -> list[EventT]:
        """Return a topic's events, each once."""
        return [event for event in self._events[topic.name].values() if isinstance(event, kind)]

    def caused_by(self, topic: Topic, cause: UUID) -> list[Event]:
        return [event for event in self._events[topic.name].values() if event.causation_id == cause]


def _batches(
    census: Census, store: ArtifactStore, acknowledged: Mapping[UUID, tuple[Document, ...]], domain: str
) -> dict[UUID, BatchCleaned]:
    kept = {UUID(name.rpartition("/")[2]) for name in store.ref_names(f"batches/{domain}")}
    census.lost += [f"batch {one} is not kept" for one in acknowledged.keys() - kept]
    cleaned: dict[UUID, BatchCleaned] = {}
    for batch_id in kept:
        data = store.read_ref(f"cleaned/{domain}/{batch_id}")
        if data is None:
            census.lost.append(f"batch {batch_id} was never cleaned")
            continue
        cleaned[batch_id] = event = BatchCleaned.model_validate_json(data)
        if batch_id in acknowledged and event.num_documents != len(acknowledged[batch_id]):
            census.lost.append(f"batch {batch_id} has {event.num_documents} documents")
    census.counts["batches acknowledged"] = len(acknowledged)
    census.counts["documents acknowledged"] = sum(map(len, acknowledged.values()))
    return cleaned


def _versions(
    census: Census, store: ArtifactStore, cleaned: Mapping[UUID, BatchCleaned], domain: str
) -> list[tuple[str, CorpusManifest]]:
    """Return the versions, first to last, and see that each batch is new in exactly one of them."""
    latest = store.read_ref(f"corpus/{domain}/latest")
    digest = CorpusVersioned.model_validate_json(latest).corpus_digest if latest else None
    versions: list[tuple[str, CorpusManifest]] = []
    while digest:
        versions.insert(0, (digest, read_manifest(store, digest)))
        digest = versions[0][1].parent_digest
    numbers = [manifest.number for _, manifest in versions]
    if numbers != list(range(1, len(versions) + 1)):
        census.doubled.append(f"corpus versions are numbered {numbers}")
    new_in = Counter(batch_id for _, manifest in versions for batch_id in manifest.new_batch_ids)
    census.doubled += [f"batch {one} is new in {count} versions" for one, count in new_in.items() if count > 1]
    with_news = {batch_id for batch_id, event in cleaned.items() if event.num_new_documents}
    census.lost += [f"batch {one} is in no version" for one in with_news - new_in.keys()]
    for _, manifest in versions:
        held = Counter(batch.batch_id for batch in manifest.batches)
        census.doubled += [f"version {manifest.number} holds batch {one} twice" for one in held if held[one] > 1]
    census.counts["corpus versions"] = len(versions)
    return versions


def _documents(
    census: Census,
    store: ArtifactStore,
    versions: list[tuple[str, CorpusManifest]],
    acknowledged: Mapping[UUID, tuple[Document, ...]],
    cleaned: Mapping[UUID, BatchCleaned],
) -> None:
    latest = versions[-1] if versions else None
    held = Counter(one.document_id for one in (read_documents(store, latest[0]) if latest else ()))
    census.doubled += [f"document {one} is {count} times in the corpus" for one, count in held.items() if count > 1]
    sent = {document.document_id for documents in acknowledged.values() for document in documents}
    lost_to_another = sum(latest[1].statistics.removed.values()) if latest else 0
    left_out = lost_to_another + sum(event.num_rejected_documents for event in cleaned.values())
    if len(sent - held.keys()) > left_out:
        census.lost.append(f"{len(sent - held.keys())} documents are not in the corpus, {left_out} were left out")
    census.counts["documents in the corpus"] = len(held)


def _stages(
    census: Census, store: ArtifactStore, said: Said, versions: list[tuple[str, CorpusManifest]]
) -> list[ModelEvaluated]:
    """See that each version has one tokenizer, one model and one judgement, each claimed and finished once."""
    announced_versions = {event.corpus_digest: event for event in said.of(CORPUS_VERSIONED, CorpusVersioned)}
    judged: list[ModelEvaluated] = []
    for digest, manifest in versions:
        event: Event | None = announced_versions.get(digest)
        for topic, service in STAGES:
            found = said.caused_by(topic, event.event_id) if event else []
            if len(found) != 1:
                wrong = census.doubled if found else census.lost
                wrong.append(f"version {manifest.number} has {len(found)} {topic.name}")
            if event and store.read_ref(f"runs/{service}/{event.event_id}/result") is None:
                census.lost.append(f"{service} has no result for version {manifest.number}")
            event = found[0] if found else None
        judged += [event] if isinstance(event, ModelEvaluated) else []
    census.doubled += [f"{name} is still held" for name in held_claims(store)]
    for topic in (BATCH_RECEIVED, BATCH_CLEANED, *(topic for topic, _ in STAGES)):
        census.counts[topic.name] = len(said.of(topic, Event))
    return judged


def held_claims(store: ArtifactStore) -> list[str]:
    """Return the claims of runs that were not given back, a killed process's among them."""
    claims = [name for name in store.ref_names("runs") if name.endswith("/claim")]
    return [name for name in claims if not Claim.model_validate_json(store.read_ref(name) or b"").released]


def _releases(census: Census, store: ArtifactStore, said: Said, judged: list[ModelEvaluated], domain: str) -> None:
    changes = said.of(RELEASE_CHANGED, ReleaseChanged)
    revisions = Counter(change.state.revision for change in changes)
    last = next((event.state.revision for event in announced(store) if event.domain == domain), 0)
    census.lost += [f"revision {number} was never said" for number in range(1, last + 1) if number not in revisions]
    census.doubled += [
        f"revision {number} was said by {count} events" for number, count in revisions.items() if count > 1
    ]
    decided = {change.bundle_digest for change in changes}
    census.lost += [
        f"bundle {one.bundle_digest} has no decision"
        for one in judged
        if one.passed and one.bundle_digest not in decided
    ]
    census.counts["judgements passed"] = sum(one.passed for one in judged)
    census.counts["release revisions"] = last


def _traffic(census: Census, said: Said) -> None:
    seconds = said.of(TRAFFIC_OBSERVED, TrafficObserved)
    seen = Counter((one.second, one.bundle_digest, one.domain) for one in seconds)
    census.doubled += [f"traffic of {place[0]} is counted {count} times" for place, count in seen.items() if count > 1]
    census.counts["answers counted"] = sum(one.num_answers + one.num_cache_hits for one in seconds)
