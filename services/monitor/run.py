"""The monitor at work: keeps what comes in, and says once a second what follows from it."""

import logging
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from uuid import UUID

from aiokafka.errors import KafkaError

from contracts.api import EventRecord, MeshStatus
from contracts.envelope import Domain, Event
from contracts.monitoring import AlertChanged, AlertState
from contracts.telemetry import MESSAGE_DEAD_LETTERS
from contracts.topics import (
    ALERT_CHANGED,
    BATCH_CLEANED,
    BATCH_RECEIVED,
    BUNDLE_REJECTED,
    MODEL_EVALUATED,
    TRAFFIC_OBSERVED,
    Topic,
)
from services.monitor.core import dead_letters, otlp, status
from services.monitor.core.events import event_of, record_of
from services.monitor.core.status import DomainView
from services.monitor.core.traffic import answers_of
from services.monitor.core.watch import Terms, Watch, observe, start, tick
from services.monitor.keeping import Keeper
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Telemetry, current_trace_id
from shared.telemetry_store.records import MetricPoint, TelemetryStore

MAX_UNSAID = 1_000
"""Events that wait while the broker is away, a few minutes of traffic; beyond it the oldest are dropped."""
MEMORY = timedelta(days=7)
"""Changes of alerts, and batches, that are older are not restored."""
MAX_RESTORED_POINTS = 10_000
MISDATED_EVERY = timedelta(minutes=1)
"""Points whose time is wrong are spoken of so often: a clock that is off would fill the log."""

log = logging.getLogger(__name__)


class Monitor:
    """What the monitor knows, in memory and in its store.

    Decisions come from memory alone: the store only keeps, for people and for the next start.

    Attributes:
        keeper: What waits for the store.
    """

    def __init__(self, bus: Bus, store: TelemetryStore, telemetry: Telemetry, *, clock: Clock, terms: Terms) -> None:
        self._bus = bus
        self._store = store
        self._telemetry = telemetry
        self._clock = clock
        self._terms = terms
        self._watch: Watch = start(clock.now(), terms, [])
        self._view: status.View = {}
        self._unsaid: deque[tuple[Topic, Event]] = deque(maxlen=MAX_UNSAID)
        self._dead_letters = dead_letters.DeadLetters()
        self._num_misdated_said = 0
        self._misdated_said_at = clock.now() - MISDATED_EVERY
        self.keeper = Keeper(store)

    async def restore(self) -> None:
        """Remember from the event log what was known before the last stop, whether or not the broker remembers."""
        week_ago = self._clock.now() - MEMORY
        records = [
            *await self._store.latest_events(),
            *await self._all_events(MODEL_EVALUATED, None),
            *await self._all_events(ALERT_CHANGED, week_ago),
            *await self._all_events(BUNDLE_REJECTED, week_ago),
            *await self._all_events(BATCH_CLEANED, week_ago),
            *await self._all_events(BATCH_RECEIVED, week_ago),
        ]
        for event in map(event_of, records):
            self._view = status.fold(self._view, event) if event else self._view
        changes = [change for domain in self._view.values() for change in domain.alerts.values()]
        self._watch = start(self._clock.now(), self._terms, changes)
        points = await self._store.metrics(MESSAGE_DEAD_LETTERS.name, limit=MAX_RESTORED_POINTS)
        self._dead_letters = dead_letters.count(dead_letters.DeadLetters(), points)

    async def _all_events(self, topic: Topic, after: datetime | UUID | None) -> list[EventRecord]:
        records: list[EventRecord] = []
        while page := await self._store.events(topic=topic.name, after=after):
            records += page
            after = page[-1].event_id
        return records

    # ---- what comes in

    async def take_event(self, topic: Topic, event: Event) -> None:
        """Keep a lifecycle event."""
        self._view = status.fold(self._view, event)
        await self.keeper.keep_event(record_of(topic, event, current_trace_id()))

    async def take_metrics(self, payload: bytes) -> None:
        """Count answers and dead letters; the store takes all points in its own time."""
        points = otlp.metrics_of(payload)
        self._count(points)
        self.keeper.put_metrics(points)

    def _count(self, points: tuple[MetricPoint, ...]) -> None:
        answers = answers_of(points, self._terms.latency_limit_ms)
        self._watch = observe(self._watch, answers.points, self._clock.now())
        if answers.refused:
            log.warning("answers not counted", extra={"reasons": sorted(set(answers.refused))})
        self._dead_letters = dead_letters.count(self._dead_letters, points)
        self._say_misdated()

    def _say_misdated(self) -> None:
        now, num_misdated = self._clock.now(), self._watch.windows.num_misdated
        if num_misdated > self._num_misdated_said and now - self._misdated_said_at >= MISDATED_EVERY:
            log.warning(
                "answers not counted: their time is too far from the present, see that the clocks agree",
                extra={"num_points": num_misdated - self._num_misdated_said},
            )
            self._num_misdated_said, self._misdated_said_at = num_misdated, now

    async def take_spans(self, payload: bytes) -> None:
        """Keep spans."""
        self.keeper.put_spans(otlp.spans_of(payload))

    async def take_logs(self, payload: bytes) -> None:
        """Keep log records."""
        self.keeper.put_logs(otlp.logs_of(payload))

    # ---- what is said

    async def tick(self) -> None:
        """Evaluate the seconds that are over, and say what follows. What cannot be said now is said at a later tick."""
        self._watch, said = tick(self._watch, self._terms, self._clock.now())
        self._unsaid.extend((TRAFFIC_OBSERVED, event) for event in said.traffic)
        self._unsaid.extend((ALERT_CHANGED, event) for event in said.changes)
        try:
            while self._unsaid:
                await self._say(*self._unsaid[0])
                self._unsaid.popleft()
        except (TransientError, KafkaError, OSError):
            log.warning("put off", extra={"unsaid": len(self._unsaid)}, exc_info=True)

    async def clean_up(self) -> None:
        """Delete expired telemetry."""
        try:
            deleted = await self._store.delete_expired(self._clock.now())
        except TransientError:
            log.warning("expired telemetry not deleted", exc_info=True)
        else:
            log.info("expired telemetry deleted", extra={"records": deleted})

    def status(self) -> MeshStatus:
        """Return what is known of all domains."""
        known_dead = dead_letters.rows(self._dead_letters)
        return status.mesh_status(self._view, self._watch.windows, self._clock.now(), known_dead)

    def domain(self, name: Domain) -> DomainView:
        """Return what lifecycle events have said of a domain."""
        return self._view.get(name, DomainView())

    async def _say(self, topic: Topic, event: Event) -> None:
        with self._span(event) if isinstance(event, AlertChanged) else nullcontext():
            await self._bus.publish(topic, event)
            self.keeper.put_events([record_of(topic, event, current_trace_id())])
        self._view = status.fold(self._view, event)

    def _span(self, change: AlertChanged) -> AbstractContextManager[object]:
        """Return the span of an alert's change, which a rollback's trace continues."""
        level = logging.WARNING if change.state is AlertState.FIRING else logging.INFO
        log.log(level, "alert changed", extra=_fields(change))
        return self._telemetry.tracer.start_as_current_span(
            f"alert {change.state}",
            attributes={"plumbline.domain": change.domain, "plumbline.bundle.digest": change.bundle_digest},
        )


def _fields(change: AlertChanged) -> dict[str, object]:
    return {
        "rule": change.rule, "state": change.state.value, "bundle_digest": change.bundle_digest, "reason": change.reason
    }  # fmt: skip
