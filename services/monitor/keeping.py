"""What waits for the store. It may be slow, locked or full: counting and alerting go on, and what waited is kept afterwards."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from contracts.api import EventRecord
from shared.errors import TransientError
from shared.telemetry_store.records import LogRecord, MetricPoint, Span, TelemetryStore

MAX_WAITING = 50_000
"""Records of one kind that wait, some minutes of them; beyond it the oldest are dropped, and counted."""
MAX_WRITE = 1_000
"""Records that go into one transaction."""
EVENT_WITHIN_S = 0.5
"""So long does a lifecycle event's offset wait for the store, while nothing speaks against the store."""
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0
CLOSE_WITHIN_S = 2.0

RecordT = TypeVar("RecordT")

log = logging.getLogger(__name__)


class Keeper:
    """Writes records to the store behind everyone's back, lifecycle events first."""

    def __init__(self, store: TelemetryStore) -> None:
        self._events: _Backlog[EventRecord] = _Backlog("events", store.add_events)
        self._spans: _Backlog[Span] = _Backlog("spans", store.add_spans)
        self._logs: _Backlog[LogRecord] = _Backlog("logs", store.add_logs)
        self._metrics: _Backlog[MetricPoint] = _Backlog("metrics", store.add_metrics)
        self._backlogs = (self._events, self._spans, self._logs, self._metrics)
        self._something_waits = asyncio.Event()
        self._is_late = False

    async def keep_event(self, record: EventRecord) -> None:
        """Keep a lifecycle event; return once it is kept, or soon where the store is late."""
        self.put_events([record])
        if self._is_late:
            return
        try:
            async with asyncio.timeout(EVENT_WITHIN_S):
                await self._events.emptied.wait()
        except TimeoutError:
            self._is_late = True
            log.warning("the telemetry store is late: what comes in waits in memory")

    def put_events(self, records: Sequence[EventRecord]) -> None:
        """Keep lifecycle events soon."""
        self._events.put(records)
        self._something_waits.set()

    def put_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans soon."""
        self._spans.put(spans)
        self._something_waits.set()

    def put_logs(self, records: Sequence[LogRecord]) -> None:
        """Keep log records soon."""
        self._logs.put(records)
        self._something_waits.set()

    def put_metrics(self, points: Sequence[MetricPoint]) -> None:
        """Keep metric points soon."""
        self._metrics.put(points)
        self._something_waits.set()

    async def run(self) -> None:
        """Write for ever what is put; after a transient error the same again, with growing pauses."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._something_waits.wait()
            self._something_waits.clear()
            try:
                await self._write_all()
            except TransientError as error:
                self._is_late = True
                self._something_waits.set()
                log.warning("telemetry waits", extra={**self._census(), "error": repr(error)})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S

    async def drained(self) -> None:
        """Wait until nothing waits."""
        for backlog in self._backlogs:
            await backlog.emptied.wait()

    async def aclose(self) -> None:
        """Write what still waits, if the store takes it now."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._write_all()
        except (TransientError, TimeoutError):
            log.exception("telemetry lost at the stop", extra=self._census())

    async def _write_all(self) -> None:
        while backlog := next((one for one in self._backlogs if not one.emptied.is_set()), None):
            await backlog.write()
            self._is_late = False

    def _census(self) -> dict[str, int]:
        waiting = {f"num_{backlog.kind}_waiting": backlog.num_waiting for backlog in self._backlogs}
        return waiting | {f"num_{backlog.kind}_dropped": backlog.num_dropped for backlog in self._backlogs}


class _Backlog(Generic[RecordT]):
    """Records of one kind that wait; the oldest give way.

    Attributes:
        emptied: Set while none waits.
        num_dropped: Records that gave way or that the store refused, since the start.
    """

    def __init__(self, kind: str, add: Callable[[Sequence[RecordT]], Awaitable[None]]) -> None:
        self.kind = kind
        self.emptied = asyncio.Event()
        self.emptied.set()
        self.num_dropped = 0
        self._add = add
        self._waiting: deque[RecordT] = deque()
        self._in_hand: tuple[RecordT, ...] = ()

    @property
    def num_waiting(self) -> int:
        """How many wait."""
        return len(self._in_hand) + len(self._waiting)

    def put(self, records: Sequence[RecordT]) -> None:
        """Append records."""
        if not records:
            return
        self.emptied.clear()
        self._waiting.extend(records)
        excess = len(self._waiting) - MAX_WAITING
        if excess > 0:
            self._drop(excess)

    async def write(self) -> None:
        """Hand the oldest to the store. They stay in hand until it has them, whether it fails or is cancelled meanwhile."""
        if not self._in_hand:
            self._in_hand = tuple(self._waiting.popleft() for _ in range(min(MAX_WRITE, len(self._waiting))))
        try:
            await self._add(self._in_hand)
        except TransientError:
            raise
        except Exception:  # (a defect must end neither the writer nor what the other records tell)
            self.num_dropped += len(self._in_hand)
            log.exception("records not kept", extra={"kind": self.kind, "num_records": len(self._in_hand)})
        self._in_hand = ()
        if not self._waiting:
            self.emptied.set()

    def _drop(self, num_records: int) -> None:
        if not self.num_dropped:
            # Each drop would be a record more; the counts follow with every failed attempt.
            log.error("the oldest telemetry is dropped: too much waits for the store", extra={"kind": self.kind})
        for _ in range(num_records):
            self._waiting.popleft()
        self.num_dropped += num_records
