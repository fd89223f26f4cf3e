"""What a telemetry store holds: small frozen values, each with an identity that a repetition shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from contracts.api import EventRecord
from contracts.envelope import Digest
from contracts.telemetry import AttributeName
from contracts.topics import TRAFFIC_OBSERVED, TRAINING_PROGRESSED
from shared.errors import TransientError

AttributeValue = str | int | float | bool | list["AttributeValue"] | dict[str, "AttributeValue"] | None
Attributes = Mapping[str, AttributeValue]

SEARCHABLE_ATTRIBUTES: frozenset[AttributeName] = frozenset(
    {
        "plumbline.answer.id",
        "plumbline.batch.id",
        "plumbline.bundle.digest",
        "plumbline.corpus.digest",
    }
)
"""Attributes of spans by which spans are found; each is the identity of something."""

FLEETING_TOPICS = (TRAFFIC_OBSERVED.name, TRAINING_PROGRESSED.name)
"""Events of every second; they go as early as metrics do. All others are kept, since `plumb why` asks for them."""
FIRST_US, LAST_US = -1, (2**63 - 1) // 1000
"""Of a time in Unix microseconds: what is outside fits no store's 64-bit nanoseconds (1970 to 2262), and counts as the edge."""
METRICS_RETENTION = timedelta(hours=48)
DEFAULT_RETENTION = timedelta(days=90)
"""Of traces and logs."""
MAX_FOUND = 10_000
"""Records that one question returns at most."""


class StoreUnavailable(TransientError):
    """The store cannot take or give anything at present, e.g. since the disk is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLink:
    """What a span points at in another trace."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished span; `trace_id` (32 hexadecimal digits) and `span_id` (16) are its identity.

    Attributes:
        start_ns: Unix time in nanoseconds, as is `end_ns`.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    start_ns: int
    end_ns: int
    status: Literal["unset", "ok", "error"]
    attributes: Attributes
    links: tuple[SpanLink, ...]

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One log record; `uid` is its identity: the attribute `log.record.uid`, or a hash of the record."""

    uid: str
    time_ns: int
    service: str
    severity: str
    body: str
    trace_id: str | None
    span_id: str | None
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One point of a metric series; `series` and `time_ns` are its identity.

    Attributes:
        series: Hash of service instance, name and attributes.
        is_delta: Whether it counts what happened since the point before, and not since the start.
        value: Of a sum or a gauge; of a histogram, the sum of what it counted.
        bounds: Upper bounds of a histogram's buckets; `counts` has one more. Both empty for other kinds.
    """

    series: str
    service: str
    name: str
    kind: Literal["sum", "gauge", "histogram"]
    is_delta: bool
    time_ns: int
    value: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    attributes: Attributes


def subjects_of(record: EventRecord) -> list[str]:
    """Return the artifacts and the batch that an event names in a field of its own; of traffic, none."""
    if record.topic == TRAFFIC_OBSERVED.name:
        return []
    named = (value for name, value in record.event.items() if name.endswith("_digest") or name == "batch_id")
    return sorted({str(value) for value in named if value})


def microseconds(moment: datetime) -> int:
    """Return a time as Unix microseconds, between FIRST_US and LAST_US."""
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return min(max(exact, FIRST_US), LAST_US)


def to_the_millisecond(time_ns: int) -> datetime:
    """Return a time, rounded down."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ns // 1_000_000)


def check_searchable(name: AttributeName) -> None:
    """Let an attribute pass by which spans are found.

    Raises:
        ValueError: It is none.
    """
    if name not in SEARCHABLE_ATTRIBUTES:
        msg = f"spans are not found by {name}, only by {', '.join(sorted(SEARCHABLE_ATTRIBUTES))}"
        raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which log records are asked for; what is not said does not matter.

    Attributes:
        words: All of them must occur, in the message or an attribute; see `shared.telemetry_store.words`.
        min_level: OpenTelemetry's number, e.g. 13 for warnings and worse.
        after: Only later ones; `before`: only earlier ones.
        limit: At most so many records or patterns, MAX_FOUND at most.
    """

    words: str = ""
    service: str | None = None
    min_level: int = 0
    trace_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    limit: int = 100

    @property
    def has_words(self) -> bool:
        """Whether words are asked for; those that could match nothing, e.g. `!`, match nothing."""
        return bool(self.words.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPattern:
    """Log records of one service whose messages differ only in what changes.

    Attributes:
        pattern: The message with placeholders.
        first_seen: To the millisecond, as is `last_seen`.
        example: The newest of them.
    """

    service: str
    pattern: str
    count: int
    first_seen: datetime
    last_seen: datetime
    example: LogRecord


class TelemetryStore(Protocol):
    """Keeps and finds telemetry. Every `add_*` may be repeated; what is there already stays as it is.

    When an `add_*` returns, everything is kept or was there already, but for what can never be kept: that is counted in
    `num_refused` and logged with its reason. What was added here is found by the next question here.

    Raises:
        StoreUnavailable: Any method, within seconds: try again later.
    """

    @property
    def num_refused(self) -> int:
        """Records that could not be kept, since the start."""
        ...

    async def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans."""
        ...

    async def add_logs(self, records: Sequence[LogRecord]) -> None:
        """Keep log records."""
        ...

    async def add_metrics(self, points: Sequence[MetricPoint]) -> None:
        """Keep metric points."""
        ...

    async def add_events(self, events: Sequence[EventRecord]) -> None:
        """Keep lifecycle events."""
        ...

    async def spans_of_trace(self, trace_id: str, *, limit: int = 1000) -> tuple[Span, ...]:
        """Return a trace's spans, earliest first."""
        ...

    async def spans_with_attribute(self, name: AttributeName, value: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans that carry one of SEARCHABLE_ATTRIBUTES with this value, newest first.

        Raises:
            ValueError: The attribute is not one of them.
        """
        ...

    async def spans_linked_to(self, trace_id: str, *, limit: int = 100) -> tuple[Span, ...]:
        """Return the spans of other traces that link to this trace, earliest first."""
        ...

    async def logs(
        self,
        *,
        trace_id: str | None = None,
        service: str | None = None,
        after: datetime | None = None,
        limit: int = 100,
    ) -> tuple[LogRecord, ...]:
        """Return log records, earliest first."""
        ...

    async def search_logs(self, query: LogQuery) -> tuple[LogRecord, ...]:
        """Return the newest log records that a query asks for, newest first."""
        ...

    async def log_patterns(self, query: LogQuery) -> tuple[LogPattern, ...]:
        """Return the patterns of all log records that a query asks for, the most frequent first."""
        ...

    async def metrics(self, name: str, *, after: datetime | None = None, limit: int = 1000) -> tuple[MetricPoint, ...]:
        """Return the points of a metric, earliest first."""
        ...

    async def event(self, event_id: UUID) -> EventRecord | None:
        """Return one event."""
        ...

    async def events(
        self,
        *,
        domain: str | None = None,
        topic: str | None = None,
        after: datetime | UUID | None = None,
        limit: int = 1000,
    ) -> tuple[EventRecord, ...]:
        """Return events in the order in which they came in.

        Args:
            domain: Only this domain's.
            topic: Only this topic's.
            after: Those that occurred after a time, or that came in after an event; an event that is not there: none.
            limit: At most so many.
        """
        ...

    async def events_of_trace(self, trace_id: str) -> tuple[EventRecord, ...]:
        """Return the events that were published within a trace, in the order of coming in."""
        ...

    async def events_by_digest(self, digest: Digest) -> tuple[EventRecord, ...]:
        """Return the events that name an artifact in a field of their own, in the order of coming in; not traffic."""
        ...

    async def events_by_batch(self, batch_id: UUID) -> tuple[EventRecord, ...]:
        """Return the events about one batch, in the order of coming in."""
        ...

    async def latest_events(self) -> tuple[EventRecord, ...]:
        """Return the latest event of every domain and topic."""
        ...

    async def delete_expired(self, now: datetime) -> int:
        """Delete what is older than its retention, at the latest a day later; return how many records went."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections."""
        ...
