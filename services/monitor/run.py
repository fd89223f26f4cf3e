"""The monitor at work: keeps what comes in, and says once a second what follows from it."""

import logging
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from uuid import UUID

from aiokafka.errors import KafkaError

from contracts.api import EventRecord, MeshStatus
from contracts.envelope import Event
from contracts.monitoring import AlertChanged, AlertState
from contracts.topics import ALERT_CHANGED, MODEL_EVALUATED, TRAFFIC_OBSERVED, Topic
from services.monitor.core import otlp, status
from services.monitor.core.events import event_of, record_of
from services.monitor.core.traffic import answers_of
from services.monitor.core.watch import Terms, Watch, observe, start, tick
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Telemetry, current_trace_id
from shared.telemetry_store.records import TelemetryStore

MAX_UNSAID = 1_000
"""Events that wait while the broker is away, a few minutes of traffic; beyond it the oldest are dropped."""
ALERT_MEMORY = timedelta(days=7)
"""Changes of alerts that are older are not restored."""

log = logging.getLogger(__name__)


class Monitor:
    """What the monitor knows, in memory and in its store.

    Decisions come from memory alone: the store only keeps, for people and for the next start.
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
        self._unkept: deque[EventRecord] = deque(maxlen=MAX_UNSAID)

    async def restore(self) -> None:
        """Remember from the event log what was known before the last stop, whether or not the broker remembers."""
        week_ago = self._clock.now() - ALERT_MEMORY
        records = [
            *await self._store.latest_events(),
            *await self._all_events(MODEL_EVALUATED, None),
            *await self._all_events(ALERT_CHANGED, week_ago),
        ]
        for event in map(event_of, records):
            self._view = status.fold(self._view, event) if event else self._view
        changes = [change for domain in self._view.values() for change in domain.alerts.values()]
        self._watch = start(self._clock.now(), self._terms, changes)

    async def _all_events(self, topic: Topic, after: datetime | UUID | None) -> list[EventRecord]:
        records: list[EventRecord] = []
        while page := await self._store.events(topic=topic.name, after=after):
            records += page
            after = page[-1].event_id
        return records

    # ---- what comes in

    async def take_event(self, topic: Topic, event: Event) -> None:
        """Keep a lifecycle event."""
        await self._store.add_events([record_of(topic, event, current_trace_id())])
        self._view = status.fold(self._view, event)

    async def take_metrics(self, payload: bytes) -> None:
        """Count answers, then keep all points."""
        points = otlp.metrics_of(payload)
        answers = answers_of(points, self._terms.latency_limit_ms)
        self._watch = observe(self._watch, answers.points, self._clock.now())
        if answers.refused:
            log.warning("answers not counted", extra={"reasons": sorted(set(answers.refused))})
        await self._store.add_metrics(points)

    async def take_spans(self, payload: bytes) -> None:
        """Keep spans."""
        await self._store.add_spans(otlp.spans_of(payload))

    async def take_logs(self, payload: bytes) -> None:
        """Keep log records."""
        await self._store.add_logs(otlp.logs_of(payload))

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
            await self._keep_said()
        except (TransientError, KafkaError, OSError):
            log.warning("put off", extra={"unsaid": len(self._unsaid), "unkept": len(self._unkept)}, exc_info=True)

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
        return status.mesh_status(self._view, self._watch.windows, self._clock.now())

    async def _say(self, topic: Topic, event: Event) -> None:
        with self._span(event) if isinstance(event, AlertChanged) else nullcontext():
            await self._bus.publish(topic, event)
            self._unkept.append(record_of(topic, event, current_trace_id()))
        self._view = status.fold(self._view, event)

    async def _keep_said(self) -> None:
        """Keep what was said, in one transaction and after all of it was said: an alert never waits for the store."""
        kept = list(self._unkept)
        if kept:
            await self._store.add_events(kept)
            self._unkept.clear()

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
