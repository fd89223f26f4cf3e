"""`plumb why`: from an answer, a trace or a bundle back to the batches that the bundle was trained on.

Events say what was made of what; traces say how. A batch's trace ends where the trace of a corpus version begins: that one links
to it, since one version has many causes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from contracts.api import EventRecord, Why, WhySpan, WhyStep
from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned
from contracts.envelope import Digest, Event
from contracts.evaluation import ModelEvaluated
from contracts.release import ReleaseChanged
from contracts.training import ModelTrained, TokenizerReady
from services.monitor.core.events import event_of
from services.monitor.core.traffic import NS_PER_S
from shared.summary import short, summary
from shared.telemetry_store.records import Span, TelemetryStore

Kind = Literal["answer", "release", "evaluation", "bundle", "tokenizer", "corpus-version", "batch"]
EventT = TypeVar("EventT", bound=Event)

_DIGEST = re.compile(r"[0-9a-f]{64}")  # SHA-256
_TRACE_ID = re.compile(r"[0-9a-f]{32}")  # W3C trace context


class Told(NamedTuple, Generic[EventT]):
    """An event, and the trace in which it was published."""

    event: EventT
    trace_id: str | None


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a walk begins: at an answer, at a bundle, or at data that no bundle has learned from yet."""

    answer: Span | None = None
    bundle_digest: Digest | None = None
    batch_ids: tuple[UUID, ...] = ()


async def why(subject: str, store: TelemetryStore) -> Why | None:
    """Return the walk, or None: nothing is known of `subject`.

    Args:
        subject: An answer's id, a trace id or a bundle digest.
        store: Holds the spans and the lifecycle events.
    """
    start = await _start(subject, store)
    if start is None:
        return None
    return Why(subject=subject, steps=tuple(await _Walk(store).steps(start)))


def why_span(span: Span) -> WhySpan:
    """Return a span as the API shows it."""
    return WhySpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        service=span.service,
        name=span.name,
        started_at=datetime.fromtimestamp(span.start_ns / NS_PER_S, UTC),
        duration_ms=span.duration_ms,
        linked_trace_ids=tuple(dict.fromkeys(link.trace_id for link in span.links)),
    )


async def _start(subject: str, store: TelemetryStore) -> Start | None:
    if _DIGEST.fullmatch(subject):
        told = _told(await store.events_by_digest(subject))
        is_bundle = any(getattr(found.event, "bundle_digest", None) == subject for found in told)
        return Start(bundle_digest=subject) if is_bundle else None
    if answers := await store.spans_with_attribute("plumbline.answer.id", subject):
        return _from_answer(answers)
    return await _from_trace(subject, store) if _TRACE_ID.fullmatch(subject) else None


def _from_answer(spans: Iterable[Span]) -> Start:
    # Several spans of an answer may carry its id; the one that knows the bundle says most.
    span = max(spans, key=lambda span: bool(span.attributes.get("plumbline.bundle.digest")))
    digest = span.attributes.get("plumbline.bundle.digest")
    return Start(answer=span, bundle_digest=str(digest) if digest else None)


async def _from_trace(trace_id: str, store: TelemetryStore) -> Start | None:
    spans = await store.spans_of_trace(trace_id)
    if answers := [span for span in spans if "plumbline.answer.id" in span.attributes]:
        return _from_answer(answers)
    told = _told(await store.events_of_trace(trace_id))
    learned_in = [trace_id, *(span.trace_id for span in await store.spans_linked_to(trace_id))]
    digest = await _trained_in(learned_in, store) or _bundle_named(told, spans)
    batch_ids = () if digest else tuple(found.event.batch_id for found in _all(told, BatchReceived))
    return Start(bundle_digest=digest, batch_ids=batch_ids) if digest or batch_ids else None


async def _trained_in(trace_ids: Iterable[str], store: TelemetryStore) -> Digest | None:
    """Return the bundle whose training was announced in one of the traces."""
    for trace_id in dict.fromkeys(trace_ids):
        if trained := _last(_told(await store.events_of_trace(trace_id)), ModelTrained):
            return trained.event.bundle_digest
    return None


def _bundle_named(told: Iterable[Told[Event]], spans: Iterable[Span]) -> Digest | None:
    """Return the bundle that a trace is about although it was trained in another one, e.g. an operator's rollback."""
    named = (getattr(found.event, "bundle_digest", None) for found in told)
    seen = (span.attributes.get("plumbline.bundle.digest") for span in spans)
    return next((str(digest) for digest in (*named, *seen) if digest), None)


class _Walk:
    """One walk back; remembers the traces and batches that it has been to."""

    def __init__(self, store: TelemetryStore) -> None:
        self._store = store
        self._spans: dict[str, tuple[WhySpan, ...]] = {}
        self._batches: set[str] = set()
        self._batch_traces: set[str] = set()

    async def steps(self, start: Start) -> list[WhyStep]:
        """Return the steps, nearest first."""
        steps = [await self._answer(start.answer)] if start.answer else []
        if start.bundle_digest:
            steps += await self._bundle(start.bundle_digest, start.answer)
        return steps + await self._batches_of(start.batch_ids)

    async def _answer(self, span: Span) -> WhyStep:
        answer_id = str(span.attributes.get("plumbline.answer.id", ""))
        return await self._step("answer", answer_id, _answered(span), None, span.trace_id)

    async def _bundle(self, digest: Digest, answer: Span | None) -> list[WhyStep]:
        told = _told(await self._store.events_by_digest(digest))
        released = _release_before(_all(told, ReleaseChanged, bundle_digest=digest), answer)
        evaluated = _last(told, ModelEvaluated, bundle_digest=digest)
        steps = [await self._announced("release", digest, released)] if released else []
        steps += [await self._announced("evaluation", digest, evaluated)] if evaluated else []
        trained = _last(told, ModelTrained, bundle_digest=digest)
        if trained is None:
            unknown = f"no event tells how {short(digest)} was trained"
            return [*steps, await self._step("bundle", digest, unknown, None, None)]
        return [*steps, await self._announced("bundle", digest, trained), *await self._learned_from(trained.event)]

    async def _learned_from(self, trained: ModelTrained) -> list[WhyStep]:
        told = _told(await self._store.events_by_digest(trained.corpus_digest))
        fitted = _last(told, TokenizerReady, tokenizer_digest=trained.tokenizer_digest)
        steps = [await self._announced("tokenizer", trained.tokenizer_digest, fitted)] if fitted else []
        return steps + await self._versions(trained.corpus_digest)

    async def _versions(self, newest: Digest) -> list[WhyStep]:
        """Return the steps of a corpus version and of all that it grew from, each followed by its batches."""
        steps: list[WhyStep] = []
        digest: Digest | None = newest
        passed: set[Digest] = set()
        while digest and digest not in passed:
            passed.add(digest)
            version = _last(_told(await self._store.events_by_digest(digest)), CorpusVersioned, corpus_digest=digest)
            if version is None:
                unknown = f"no event tells how corpus version {short(digest)} was cut"
                return [*steps, await self._step("corpus-version", digest, unknown, None, None)]
            step = await self._announced("corpus-version", digest, version)
            steps += [step, *await self._batches_of(version.event.batch_ids), *await self._linked_batches(step)]
            digest = version.event.parent_corpus_digest
        return steps

    async def _batches_of(self, batch_ids: Iterable[UUID]) -> list[WhyStep]:
        new = [batch_id for batch_id in batch_ids if str(batch_id) not in self._batches]
        return [await self._batch(batch_id) for batch_id in new]

    async def _batch(self, batch_id: UUID) -> WhyStep:
        told = _told(await self._store.events_by_batch(batch_id))
        received, cleaned = _last(told, BatchReceived), _last(told, BatchCleaned)
        self._batches.add(str(batch_id))
        self._batch_traces.update(found.trace_id for found in told if found.trace_id)
        first = received or cleaned
        if first is None:
            return await self._step("batch", str(batch_id), "no event tells of this batch", None, None)
        detail = "; ".join(summary(found.event) for found in (received, cleaned) if found)
        return await self._step("batch", str(batch_id), detail, first.event.event_id, first.trace_id)

    async def _linked_batches(self, version: WhyStep) -> list[WhyStep]:
        """Return the batches that only the version's span links know, e.g. since their events came before this store."""
        linked = (trace_id for span in version.spans for trace_id in span.linked_trace_ids)
        steps = []
        for trace_id in dict.fromkeys(linked):
            for batch_id in await self._batches_in(trace_id):
                self._batches.add(batch_id)
                steps.append(await self._step("batch", batch_id, "known from its trace only", None, trace_id))
        return steps

    async def _batches_in(self, trace_id: str) -> list[str]:
        if trace_id in self._batch_traces:
            return []
        self._batch_traces.add(trace_id)
        spans = await self._store.spans_of_trace(trace_id)
        named = dict.fromkeys(str(span.attributes.get("plumbline.batch.id", "")) for span in spans)
        return [batch_id for batch_id in named if batch_id and batch_id not in self._batches]

    async def _announced(self, kind: Kind, subject: str, told: Told[Any]) -> WhyStep:
        return await self._step(kind, subject, summary(told.event), told.event.event_id, told.trace_id)

    async def _step(
        self, kind: Kind, subject: str, detail: str, event_id: UUID | None, trace_id: str | None
    ) -> WhyStep:
        spans = await self._spans_of(trace_id) if trace_id else ()
        return WhyStep(kind=kind, id=subject, event_id=event_id, detail=detail, trace_id=trace_id, spans=spans)

    async def _spans_of(self, trace_id: str) -> tuple[WhySpan, ...]:
        if trace_id not in self._spans:
            self._spans[trace_id] = tuple(why_span(span) for span in await self._store.spans_of_trace(trace_id))
        return self._spans[trace_id]


def _answered(span: Span) -> str:
    attributes = span.attributes
    task = attributes.get("plumbline.answer.task") or "answer"
    source = "the cache" if attributes.get("plumbline.answer.cached") else "the model"
    return f"{task} by {short(str(attributes.get('plumbline.bundle.digest', '')))} from {source}, {span.duration_ms:.0f} ms"


def _release_before(released: Sequence[Told[ReleaseChanged]], answer: Span | None) -> Told[ReleaseChanged] | None:
    """Return the last word on a bundle's release; of an answer, the last one before it."""
    if answer is not None:
        before = [found for found in released if found.event.occurred_at.timestamp() * NS_PER_S <= answer.end_ns]
        released = before or released
    return max(released, key=lambda found: found.event.state.revision, default=None)


def _told(records: Iterable[EventRecord]) -> tuple[Told[Event], ...]:
    found = ((event_of(record), record.trace_id) for record in records)
    return tuple(Told(event, trace_id) for event, trace_id in found if event is not None)


def _all(told: Iterable[Told[Event]], kind: type[EventT], **fields: object) -> list[Told[EventT]]:
    return [
        Told(found.event, found.trace_id)
        for found in told
        if isinstance(found.event, kind) and all(getattr(found.event, name) == value for name, value in fields.items())
    ]


def _last(told: Iterable[Told[Event]], kind: type[EventT], **fields: object) -> Told[EventT] | None:
    return max(_all(told, kind, **fields), key=lambda found: found.event.occurred_at, default=None)
