"""What is written to the store: all telemetry and every lifecycle event, from a consumer group that nothing else waits for.

A batch is done when all of it is stored, was stored before, or lies in a dead-letter topic; only then is it committed. While the
store is away a batch is tried again for as long as it takes, and nothing more is read: it waits at the broker.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord

from contracts.api import EventRecord
from contracts.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS, TOPICS_BY_NAME, Topic
from services.monitor.core import otlp
from services.monitor.core.events import record_of
from shared.errors import PermanentError, TransientError
from shared.messages import decode
from shared.telemetry import trace_id_of
from shared.telemetry_store.records import MetricPoint, StoreUnavailable, TelemetryStore

MAX_WRITE = 1_000
"""Records that go into one write, unless a single message holds more."""
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0
MAX_REFUSED_IN_A_ROW = 10
"""Messages that the store refuses one after the other: then the fault is the store's, and not in the messages."""
LATE_SHARE = 0.5
"""Of a topic's retention: what waits longer is soon lost, and that is an error."""
SAY_LATE_EVERY_S = 600.0

DeadLetter = Callable[[ConsumerRecord, Exception], Awaitable[None]]
Check = Callable[[ConsumerRecord], None]
Add = Callable[[Sequence[Any]], Awaitable[None]]

log = logging.getLogger(__name__)


class RecordsRefused(PermanentError):
    """The store will never take some records of a message; those that it took are kept."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a kept topic, decoded: the records that it holds."""

    source: ConsumerRecord
    records: tuple[Any, ...]


class Keeper:
    """Writes batches to the store.

    Attributes:
        late_since: Since when the store takes nothing, by the monotonic clock; None while it does.
    """

    def __init__(
        self,
        store: TelemetryStore,
        dead_letter: DeadLetter,
        *,
        check: Check = lambda _: None,
        on_kept: Callable[[Sequence[EventRecord], Sequence[MetricPoint]], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self._dead_letter = dead_letter
        self._check = check
        self._on_kept = on_kept
        self._num_refused_in_a_row = 0
        self._said_late_at = 0.0
        self.late_since: float | None = None
        # Lifecycle events first: the next start and `plumb why` ask for them.
        self._adds: Mapping[str, Add] = {
            "event": store.add_events,
            OTLP_SPANS.name: store.add_spans,
            OTLP_LOGS.name: store.add_logs,
            OTLP_METRICS.name: store.add_metrics,
        }

    async def keep(self, batch: Sequence[ConsumerRecord]) -> None:
        """Store a batch, however long that takes."""
        # In a thread: half a second of decoding would hold up the seconds that alerts are decided by.
        messages, undecodable = await asyncio.to_thread(_decoded, batch, self._check)
        for source, error in undecodable:
            await self._refuse(source, error)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._write(messages)
            except TransientError as error:
                self._say_late(batch, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
            else:
                break
        self._say_in_time()
        events = [record for message in messages if _kind(message) == "event" for record in message.records]
        points = [record for message in messages if _kind(message) == OTLP_METRICS.name for record in message.records]
        self._on_kept(events, points)

    async def _write(self, messages: Sequence[Message]) -> None:
        refused: list[Message] = []
        for kind, add in self._adds.items():
            for part in _parts([message for message in messages if _kind(message) == kind]):
                if not await self._is_taken(add, part):
                    refused += await self._refused_of(add, part)
        for message in refused:
            msg = "the telemetry store will never take some of its records; its errors in the log say why"
            await self._refuse(message.source, RecordsRefused(msg, next_step="correct them at their source"))

    async def _is_taken(self, add: Add, messages: Sequence[Message]) -> bool:
        """Store messages; return whether all of their records are stored."""
        num_refused = self._store.num_refused
        try:
            await add([record for message in messages for record in message.records])
        except TransientError:
            raise
        except Exception:
            if len(messages) == 1:
                log.exception("the telemetry store failed at a message", extra=_place(messages[0]))
            return False
        if self._store.num_refused > num_refused:
            return False
        self._num_refused_in_a_row = 0
        return True

    async def _refused_of(self, add: Add, messages: Sequence[Message]) -> list[Message]:
        """Store messages one by one, and return those of which something can never be stored."""
        refused = []
        for message in messages:
            if not await self._is_taken(add, [message]):
                self._num_refused_in_a_row += 1
                refused.append(message)
            if self._num_refused_in_a_row > MAX_REFUSED_IN_A_ROW:
                msg = f"the telemetry store refused more than {MAX_REFUSED_IN_A_ROW} messages in a row"
                raise StoreUnavailable(msg, next_step="see the store's own errors in the monitor's log")
        return refused

    async def _refuse(self, source: ConsumerRecord, error: Exception) -> None:
        if TOPICS_BY_NAME[source.topic].event is None or isinstance(error, RecordsRefused):
            await self._dead_letter(source, error)
        else:
            # Whoever works its topic off dead-letters it: once is enough.
            log.warning("event not kept", extra={"topic": source.topic, "offset": source.offset, "reason": str(error)})

    def _say_late(self, batch: Sequence[ConsumerRecord], error: TransientError) -> None:
        now = time.monotonic()
        if self.late_since is None:
            self.late_since = now
            log.warning("the telemetry store is late: what comes in waits at the broker", extra={"reason": str(error)})
        waited_s = time.time() - min(source.timestamp for source in batch) / 1000
        soonest_h = min(TOPICS_BY_NAME[source.topic].retention_h or float("inf") for source in batch)
        if waited_s > LATE_SHARE * soonest_h * 3600 and now - self._said_late_at > SAY_LATE_EVERY_S:
            self._said_late_at = now
            log.error(
                "telemetry will be lost: the broker keeps it no longer than its retention, and the store is still away",
                extra={"waited_h": round(waited_s / 3600, 1), "retention_h": soonest_h, "reason": str(error)},
            )

    def _say_in_time(self) -> None:
        if self.late_since is not None:
            late_s = round(time.monotonic() - self.late_since, 1)
            self.late_since = None
            log.warning("the telemetry store takes records again", extra={"late_s": late_s})


def _decoded(
    batch: Sequence[ConsumerRecord], check: Check
) -> tuple[list[Message], list[tuple[ConsumerRecord, Exception]]]:
    messages: list[Message] = []
    undecodable: list[tuple[ConsumerRecord, Exception]] = []
    for source in batch:
        try:
            check(source)
            messages.append(Message(source, _records_of(source)))
        except Exception as error:  # noqa: BLE001 (whatever a foreign message makes of the decoder, it is dead-lettered)
            undecodable.append((source, error))
    return messages, undecodable


def _records_of(source: ConsumerRecord) -> tuple[Any, ...]:
    topic = TOPICS_BY_NAME[source.topic]
    if topic is OTLP_SPANS:
        return otlp.spans_of(source.value or b"")
    if topic is OTLP_LOGS:
        return otlp.logs_of(source.value or b"")
    if topic is OTLP_METRICS:
        return otlp.metrics_of(source.value or b"")
    return (_event_record(topic, source),)


def _event_record(topic: Topic, source: ConsumerRecord) -> EventRecord:
    headers = {name: (value or b"").decode(errors="replace") for name, value in source.headers}
    event = decode(topic, source.value or b"", headers)
    return record_of(topic, event, trace_id_of(headers.get("traceparent")))


def _kind(message: Message) -> str:
    topic = TOPICS_BY_NAME[message.source.topic]
    return topic.name if topic.event is None else "event"


def _parts(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield messages in parts of about MAX_WRITE records."""
    part: list[Message] = []
    for message in messages:
        if part and sum(len(known.records) for known in part) + len(message.records) > MAX_WRITE:
            yield part
            part = []
        part.append(message)
    if part:
        yield part


def _place(message: Message) -> dict[str, object]:
    return {"topic": message.source.topic, "partition": message.source.partition, "offset": message.source.offset}
