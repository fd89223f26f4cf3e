"""Names of metrics and attributes, each defined before it is used; mypy refuses a name that is not here."""

from dataclasses import dataclass
from typing import Literal

LATENCY_LIMIT_MS = 300.0
"""The default limit of an answer's latency; the histogram has a boundary here, since an alert's rule counts answers beyond it."""

LATENCY_BOUNDS_MS: tuple[float, ...] = (
    2, 5, 10, 25, 50, 75, 100, 150, 200, 250, LATENCY_LIMIT_MS, 400, 500, 750, 1000, 2000, 5000,
)  # fmt: skip

MetricName = Literal[
    "plumbline.answer.latency",
    "plumbline.answer.cache_hits",
    "plumbline.answer.refused",
    "plumbline.message.duration",
    "plumbline.message.dead_letters",
    "plumbline.document.cleaned",
    "plumbline.document.received",
    "plumbline.batch.held",
    "plumbline.telemetry.dropped",
    "plumbline.training.loss",
    "plumbline.training.tokens_per_second",
    "plumbline.release.weight",
]

AttributeName = Literal[
    "plumbline.domain",
    "plumbline.bundle.digest",
    "plumbline.corpus.digest",
    "plumbline.batch.id",
    "plumbline.event.id",
    "plumbline.answer.id",
    "plumbline.answer.task",
    "plumbline.answer.outcome",
    "plumbline.answer.cached",
    "plumbline.outcome",
    "plumbline.signal",
    "messaging.destination.name",
    "messaging.operation.name",
    "messaging.system",
    "error.type",
]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: its name, kind, unit (UCUM), attributes and meaning."""

    name: MetricName
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    attributes: tuple[AttributeName, ...]
    meaning: str
    bounds: tuple[float, ...] = ()


ANSWER_LATENCY = Metric(
    name="plumbline.answer.latency",
    kind="histogram",
    unit="ms",
    attributes=("plumbline.domain", "plumbline.bundle.digest", "plumbline.answer.task", "plumbline.answer.outcome"),
    meaning="Time to an answer that the model made; of a stream, to its first token. Cache hits are not in it.",
    bounds=LATENCY_BOUNDS_MS,
)
ANSWER_CACHE_HITS = Metric(
    name="plumbline.answer.cache_hits",
    kind="counter",
    unit="{answer}",
    attributes=("plumbline.domain", "plumbline.bundle.digest"),
    meaning="Answers that came from the cache.",
)
ANSWER_REFUSED = Metric(
    name="plumbline.answer.refused",
    kind="counter",
    unit="{answer}",
    attributes=("plumbline.domain", "plumbline.bundle.digest"),
    meaning="Requests that were not answered since too many were under way; no model answered them, so no latency counts them.",
)
MESSAGE_DURATION = Metric(
    name="plumbline.message.duration",
    kind="histogram",
    unit="ms",
    attributes=("messaging.destination.name", "plumbline.outcome"),
    meaning="Time to handle a message, retries included.",
    bounds=(5, 10, 50, 100, 500, 1000, 5000, 10_000, 60_000, 600_000),
)
MESSAGE_DEAD_LETTERS = Metric(
    name="plumbline.message.dead_letters",
    kind="counter",
    unit="{message}",
    attributes=("messaging.destination.name", "error.type"),
    meaning="Messages that were moved to a dead-letter topic.",
)
DOCUMENT_CLEANED = Metric(
    name="plumbline.document.cleaned",
    kind="counter",
    unit="{document}",
    attributes=("plumbline.domain", "plumbline.outcome"),
    meaning="Documents that the cleaner judged: new, duplicate or rejected.",
)
DOCUMENT_RECEIVED = Metric(
    name="plumbline.document.received",
    kind="counter",
    unit="{document}",
    attributes=("plumbline.domain", "plumbline.outcome"),
    meaning="Records that ingest read: accepted, held or refused.",
)
BATCH_HELD = Metric(
    name="plumbline.batch.held",
    kind="counter",
    unit="{batch}",
    attributes=("plumbline.domain",),
    meaning="Batches that were held for a person, since they leave what the domain got so far.",
)
TELEMETRY_DROPPED = Metric(
    name="plumbline.telemetry.dropped",
    kind="counter",
    unit="{item}",
    attributes=("plumbline.signal",),
    meaning="Spans, log records or metric exports lost because the buffer was full or the broker refused them.",
)
TRAINING_LOSS = Metric(
    name="plumbline.training.loss",
    kind="gauge",
    unit="nat",
    attributes=("plumbline.domain",),
    meaning="Joint training loss, mean since the last report; lower is better.",
)
TRAINING_TOKENS_PER_SECOND = Metric(
    name="plumbline.training.tokens_per_second",
    kind="gauge",
    unit="{token}/s",
    attributes=("plumbline.domain",),
    meaning="Training speed since the last report.",
)
RELEASE_WEIGHT = Metric(
    name="plumbline.release.weight",
    kind="gauge",
    unit="%",
    attributes=("plumbline.domain", "plumbline.bundle.digest"),
    meaning="Share of the traffic that a gateway routes to a bundle.",
)

METRICS = (
    ANSWER_LATENCY, ANSWER_CACHE_HITS, ANSWER_REFUSED, MESSAGE_DURATION, MESSAGE_DEAD_LETTERS, DOCUMENT_CLEANED,
    DOCUMENT_RECEIVED, BATCH_HELD, TELEMETRY_DROPPED, TRAINING_LOSS, TRAINING_TOKENS_PER_SECOND, RELEASE_WEIGHT,
)  # fmt: skip
