"""The bus: events over Kafka, at least once. The one place where Kafka options are chosen.

- A daemon has one group subscriber over all its work topics, as the topic table says, and group-less readers of state topics and
  followers of what is fresh. What is only to be stored is read in batches, in a group of its own (`shared.batches`).
- A handler returns: the offset is committed. It raises a transient error: the message is handled again, with growing pauses, for
  as long as it takes. It raises a permanent one: the message goes to the dead-letter topic with the reason. Any other exception
  is a defect: three attempts, then the dead-letter topic. Ten dead letters in a row stop the consumer, uncommitted, since then
  the fault is here and not in the messages.
- A message of a topic of commands is checked before its handler: signed, fresh, new (`shared.commands`).
- Headers carry CloudEvents attributes (binary mode) and the W3C trace context.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import MessageSizeTooLargeError
from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaBroker, KafkaMessage

from contracts.envelope import Domain, Event
from contracts.telemetry import MESSAGE_DEAD_LETTERS, MESSAGE_DURATION
from contracts.topics import (
    MAX_DEAD_LETTER_BYTES,
    MAX_MESSAGE_BYTES,
    TOPICS_BY_NAME,
    Topic,
    topics_consumed_by,
    topics_followed_by,
    topics_kept_by,
    topics_read_by,
)
from shared.batches import BatchConsumer, Store
from shared.clock import SystemClock
from shared.commands import CommandGuard, Place
from shared.consumer_records import (
    parsed,
    place_of,
    reason_headers,
    record_of,
    text_headers,
    truncation_headers,
    undecoded,
)
from shared.disk import is_full
from shared.errors import (
    NotTheWriter,
    PlumblineError,
    RunInterrupted,
    StorageUnavailable,
)
from shared.membership import Assignment, partition_in_turn, partition_of
from shared.messages import cloudevent_headers, decode
from shared.retrying import is_transient, is_worth_another_attempt, retrying
from shared.settings import KafkaSettings
from shared.telemetry import Telemetry
from shared.tracing import tracing

SESSION_TIMEOUT_MS = 6_000
"""A crashed member's partitions move after about 10 s; the client's default of 10 s makes it 16."""
HEARTBEAT_INTERVAL_MS = 2_000
MAX_POLL_INTERVAL_MS = 24 * 3600 * 1000
"""A handler may wait for a training; the heartbeat, not the poll, says that the member lives."""
FETCH_MAX_WAIT_MS = 200
"""Kafka answers a waiting fetch as soon as there is data. The embedded broker answers when the wait is over: with 100 a hop takes
55 ms, for a seventh of a core; with the default of 500 it takes 460 ms."""
MAX_DEAD_LETTERS_IN_A_ROW = 10
LASTING_ATTEMPTS = 3
"""A transient error that was met so often at one message is said by /readyz; one that is met once passes unsaid."""
LONG_WORK_S = 1.0
"""A message that is under way for so long is work that a pause of the mesh should not cut off."""
FOLLOWED_BACK_S = 30.0
"""How far back a follower begins, so that a restart misses nothing that still counts."""
TRUNCATED_BYTES = 65_536
"""Of a message that is too large for a dead letter so much is kept there, to be recognised by."""
STOP_TIMEOUT_S = 2.0
"""How long a stop waits for the message being handled; what is cut off then is delivered again. FastStream waits 15 s."""

Handler = Callable[[Any], Awaitable[None]]
"""Takes an event of the topic's class; on an OTLP topic, the raw bytes."""

log = logging.getLogger(__name__)


@dataclass
class Waits:
    """What a subscriber's message waits for while it is tried again.

    Attributes:
        reason: The transient error, once it is known to last; None: nothing.
    """

    reason: str | None = None
    _num_attempts: int = 0

    def after(self, error: Exception) -> None:
        """Note an attempt that failed; after an error that is not transient the message soon goes elsewhere."""
        if not is_transient(error):
            self.end()
            return
        self._num_attempts += 1
        is_lasting = isinstance(error, (StorageUnavailable, RunInterrupted)) or is_full(error)
        if is_lasting or self._num_attempts >= LASTING_ATTEMPTS:
            self.reason = f"{type(error).__name__}: {error}"

    def end(self) -> None:
        """Note that the message no longer waits."""
        self.reason, self._num_attempts = None, 0


class Bus:
    """A daemon's connection to the mesh.

    Attributes:
        broker: FastStream's broker; tests wrap it in `TestKafkaBroker`.
        service: The daemon's name, which is also its consumer group.
    """

    def __init__(
        self, service: str, settings: KafkaSettings, telemetry: Telemetry, *, guard: CommandGuard | None = None
    ) -> None:
        """Set the connection up; nothing is reached yet.

        Args:
            service: The daemon's name.
            settings: Where the broker is.
            telemetry: What it is observed with.
            guard: Signs and checks commands; without it there are none, in either direction.
        """
        self.service = service
        self._guard = guard or CommandGuard(clock=SystemClock(), max_age_s=0, keys=None, signer=None)
        self._group = f"{service}{settings.group_suffix}"
        self._telemetry = telemetry
        self._dead_letters_in_a_row = 0
        self._assignment = Assignment()
        self._member = uuid4().hex
        self._num_groups = 0
        self._subscriber: Any = None
        self._followers: list[Any] = []
        self._batches: BatchConsumer | None = None
        self._settings = settings
        self._leaving: asyncio.Task[None] | None = None
        self._stopped_because: str | None = None
        self._waits: dict[str, Waits] = {}
        self._under_way: dict[str, float] = {}
        self._turns: defaultdict[tuple[str, Domain], Iterator[int]] = defaultdict(count)
        self.broker = KafkaBroker(
            settings.bootstrap_servers.split(","),
            client_id=service,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            acks="all",
            # aiokafka's never recovers from an outage in which a message expired: OutOfOrderSequenceNumber, for ever. Derived
            # event ids absorb what is sent twice, and one batch of a partition at a time keeps the order without it.
            enable_idempotence=False,
            allow_auto_create_topics=False,
            max_request_size=MAX_DEAD_LETTER_BYTES,
            graceful_timeout=STOP_TIMEOUT_S,
            middlewares=(tracing(telemetry),),
            logger=logging.getLogger("faststream"),
            log_level=logging.DEBUG,
        )

    def consume(self, handlers: Mapping[Topic, Handler]) -> None:
        """Work off the daemon's topics in its group; one message at a time.

        Raises:
            ValueError: `handlers` are not those of the daemon's row in the topic table.
        """
        topics = _checked(handlers, topics_consumed_by(self.service), f"{self.service} consumes")
        subscriber = self.broker.subscriber(
            *(topic.name for topic in topics),
            group_id=self._group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=2 * MAX_MESSAGE_BYTES,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
            listener=self._assignment,
            parser=parsed,
            decoder=undecoded,
            no_reply=True,
            title=self.service,
        )
        self._num_groups += 1
        self._subscriber = subscriber

        @subscriber
        async def on_message(message: KafkaMessage) -> None:
            await self._deliver(message, handlers)

    def read(self, handlers: Mapping[Topic, Handler]) -> None:
        """Read state topics from their start, without a group, so that they never wait behind work.

        What cannot be read is logged and left: another member of the mesh dead-letters it.

        Raises:
            ValueError: `handlers` are not those of the daemon's row in the topic table.
        """
        topics = _checked(handlers, topics_read_by(self.service), f"{self.service} reads")
        self._without_group(topics, handlers, title=f"{self.service}-state")

    def follow(self, handlers: Mapping[Topic, Handler]) -> None:
        """Read what is fresh of topics, from FOLLOWED_BACK_S ago on and without a group: every member sees all of it.

        What cannot be read is logged and left: whoever keeps the topic dead-letters it.

        Raises:
            ValueError: `handlers` are not those of the daemon's row in the topic table.
        """
        topics = _checked(handlers, topics_followed_by(self.service), f"{self.service} follows")
        self._followers.append(self._without_group(topics, handlers, title=f"{self.service}-fresh"))

    def keep(self, store: Store) -> None:
        """Have the topics that the daemon keeps stored, in batches, from a group of its own; `keep_on` begins."""
        self._batches = BatchConsumer(
            [topic.name for topic in topics_kept_by(self.service)],
            store,
            bootstrap_servers=self._settings.bootstrap_servers.split(","),
            group_id=f"{self.service}-store{self._settings.group_suffix}",
            client_id=f"{self.service}-store",
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
        )

    async def keep_on(self) -> None:
        """Store for ever what `keep` named. Readiness does not wait for it, nor does any other work."""
        if self._batches is not None:
            await self._batches.run()

    def _without_group(self, topics: tuple[Topic, ...], handlers: Mapping[Topic, Handler], *, title: str) -> Any:  # noqa: ANN401
        subscriber = self.broker.subscriber(
            *(topic.name for topic in topics),
            group_id=None,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.ACK_FIRST,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            parser=parsed,
            decoder=undecoded,
            no_reply=True,
            title=title,
        )

        @subscriber
        async def on_state(message: KafkaMessage) -> None:
            try:
                await retrying(is_transient)(self._handle, message, handlers, title)
            except Exception:  # (FastStream would drop a defect without a word)
                log.exception("state message left unread", extra=place_of(record_of(message)))

        return subscriber

    async def publish(self, topic: Topic, event: Event, *, traceparent: str | None = None) -> None:
        """Send an event, keyed by its domain, and wait for the broker's word. What is spread goes to the next partition.

        Args:
            topic: Where it goes.
            event: What is said.
            traceparent: The trace that it continues, if that is not the current one.
        """
        headers = cloudevent_headers(topic, event, service=self.service)
        if traceparent:
            headers["traceparent"] = traceparent
        body = event.model_dump_json().encode()
        if topic.signed:
            headers |= self._guard.signed(topic, event.domain, body)
        turns = self._turns[topic.name, event.domain]
        partition = partition_in_turn(event.domain, next(turns)) if topic.spread else None
        await self.broker.publish(body, topic.name, key=event.domain.encode(), partition=partition, headers=headers)

    async def connect(self) -> None:
        """Reach the broker, however long that takes; from here on events can be published."""
        await retrying(is_transient)(self.broker.connect)

    async def start(self) -> None:
        """Begin to consume and to read."""
        await retrying(is_transient)(self.broker.start)
        for follower in self._followers:
            # (a broker in memory has no consumer)
            if isinstance(follower.consumer, AIOKafkaConsumer):
                await retrying(is_transient)(_begin_lately, follower.consumer)

    @property
    def unready_because(self) -> str | None:
        """Why messages are not handled at present, or None."""
        waits_for = next((waits.reason for waits in self._waits.values() if waits.reason), None)
        if self._stopped_because or waits_for:
            return self._stopped_because or waits_for
        if self._num_groups and not self._assignment.joined:
            return "the consumer group has not been joined yet"
        return None

    @property
    def busy_with(self) -> str | None:
        """The topic of a message that has been under way for long, such as a training's, or None."""
        now = time.perf_counter()
        return next((topic for topic, since in self._under_way.items() if now - since >= LONG_WORK_S), None)

    async def until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work, again after transient errors and for as long as it takes."""

        async def attempt() -> None:
            await work()

        await retrying(is_transient)(attempt)

    @property
    def num_assignments(self) -> int:
        """How often the group has said which domains this member has; with each, some may be new to it."""
        return self._assignment.num_assignments

    def owns(self, domain: Domain) -> bool:
        """Whether this member of the group has a domain at present; a standby does not."""
        return partition_of(domain) in self._assignment.partitions

    @property
    def membership(self) -> str:
        """Names what this member was given by the group's last assignment; no other assignment has the same name.

        Raises:
            NotTheWriter: The group is being rearranged, and who has what is not settled.
        """
        if not self._assignment.is_settled:
            raise NotTheWriter("the consumer group is being rearranged")
        return f"{self._member}/{self._assignment.num_assignments}"

    async def _deliver(self, message: KafkaMessage, handlers: Mapping[Topic, Handler]) -> None:
        started = time.perf_counter()
        topic_name = record_of(message).topic
        self._under_way[topic_name] = started
        outcome = "handled"
        try:
            await retrying(is_worth_another_attempt)(self._handle, message, handlers, self.service)
            self._dead_letters_in_a_row = 0
        except Exception as error:  # noqa: BLE001 (the one place where any failure ends in a dead letter, never in silence)
            outcome = "dead-lettered"
            await retrying(is_transient)(self._dead_letter, message, error)
        finally:
            self._under_way.pop(topic_name, None)
            self._telemetry.record(
                MESSAGE_DURATION,
                (time.perf_counter() - started) * 1000,
                {"messaging.destination.name": topic_name, "plumbline.outcome": outcome},
            )

    async def _handle(self, message: KafkaMessage, handlers: Mapping[Topic, Handler], title: str) -> None:
        # Of each subscriber by itself: what a reader could read does not mean that the group goes on.
        waits = self._waits.setdefault(title, Waits())
        try:
            await self._call(message, handlers)
        except Exception as error:
            waits.after(error)
            raise
        waits.end()

    async def _call(self, message: KafkaMessage, handlers: Mapping[Topic, Handler]) -> None:
        topic = TOPICS_BY_NAME[record_of(message).topic]
        if topic.event is None:
            await handlers[topic](message.body)
            return
        event = decode(topic, message.body, message.headers)
        if topic.signed:
            await self._obey(topic, event, message, handlers[topic])
        else:
            await handlers[topic](event)

    async def _obey(self, topic: Topic, event: Event, message: KafkaMessage, handler: Handler) -> None:
        """Handle a command that is signed, fresh and new."""
        raw = record_of(message)
        key, place = (raw.key or b"").decode(errors="replace"), Place(raw.partition, raw.offset)
        self._guard.check(topic, event, key=key, body=message.body, headers=message.headers, place=place)
        await handler(event)
        self._guard.remember(event, place)

    async def _dead_letter(self, message: KafkaMessage, error: Exception) -> None:
        if self._dead_letters_in_a_row >= MAX_DEAD_LETTERS_IN_A_ROW:
            self._stopped_because = (
                f"{MAX_DEAD_LETTERS_IN_A_ROW} messages in a row were dead-lettered, the last one for: {error}; "
                "nothing more is consumed until a restart"
            )
            log.error("consumer stopped", extra={"reason": self._stopped_because, **place_of(record_of(message))})
            # From a task of its own: FastStream's StopConsume would cancel the very task that closes the consumer, which would
            # then keep its partitions. The message is put back, for whoever reads on.
            self._leaving = asyncio.create_task(self._subscriber.stop(), name="leave")
            raise NackMessage
        await self.dead_letter(record_of(message), error)
        self._dead_letters_in_a_row += 1

    def check_signature(self, record: ConsumerRecord) -> None:
        """Let a record pass that is to be kept: one of a signed topic must be signed, or nobody said it.

        Raises:
            SignatureRefused: It is not.
        """
        topic = TOPICS_BY_NAME[record.topic]
        if topic.signed:
            key = (record.key or b"").decode(errors="replace")
            self._guard.check_signature(topic, key=key, body=record.value or b"", headers=text_headers(record))

    async def dead_letter(self, record: ConsumerRecord, error: Exception) -> None:
        """Send a record to its dead-letter topic as it came, with the reason."""
        expected = isinstance(error, PlumblineError)
        log.error(
            "dead-lettered", extra={"reason": str(error), **place_of(record)}, exc_info=None if expected else error
        )
        topic_name = TOPICS_BY_NAME[record.topic].dead_letter_name
        reason = reason_headers(record, error, self.service)
        headers = {**text_headers(record), **reason}
        try:
            await self.broker.publish(record.value or b"", topic_name, key=record.key, headers=headers)
        except MessageSizeTooLargeError:
            await self._dead_letter_truncated(record, topic_name, reason)
        self._telemetry.add(
            MESSAGE_DEAD_LETTERS, 1, {"messaging.destination.name": record.topic, "error.type": type(error).__name__}
        )

    async def _dead_letter_truncated(self, record: ConsumerRecord, topic_name: str, reason: dict[str, str]) -> None:
        """Send the beginning of a record that is too large: its partition would be blocked for ever otherwise.

        What was compressed may be that large. The whole of it lies at its origin, for as long as its topic keeps it.
        """
        body = record.value or b""
        log.error("dead letter truncated: the message is too large", extra={"bytes": len(body), **place_of(record)})
        await self.broker.publish(
            body[:TRUNCATED_BYTES],
            topic_name,
            key=record.key and record.key[:TRUNCATED_BYTES],
            headers=truncation_headers(record, reason),
        )


async def _begin_lately(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer without a group begin FOLLOWED_BACK_S ago."""
    since_ms = int((time.time() - FOLLOWED_BACK_S) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), since_ms))
    for place, offset in found.items():
        if offset is None:
            # Nothing is that young; an end that lags behind, as Tansu's may, only lets some of it come that is older.
            await consumer.seek_to_end(place)
        else:
            consumer.seek(place, offset.offset)


def _checked(handlers: Mapping[Topic, Handler], table: tuple[Topic, ...], verb: str) -> tuple[Topic, ...]:
    if set(handlers) != set(table):
        msg = f"{verb} {sorted(t.name for t in table)} by the topic table, handlers are for {sorted(t.name for t in handlers)}"
        raise ValueError(msg)
    return table
