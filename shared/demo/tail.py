"""Every event of one domain as it comes, read from Kafka without a group: what the demo shows, waits for and proves things by."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from contracts.envelope import Domain, Event
from contracts.topics import EVENT_TOPICS, TOPICS_BY_NAME, Topic
from shared.errors import MeshError
from shared.messages import decode
from shared.telemetry import trace_id_of

SomeEvent = TypeVar("SomeEvent", bound=Event)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An event, and when it reached the demo."""

    topic: Topic
    event: Event
    received_at: datetime
    trace_id: str | None


class EventTail:
    """Reads all event topics from their start, and their dead letters; what belongs to other domains is passed over.

    Attributes:
        seen: What came so far, in order of arrival.
    """

    def __init__(self, bootstrap_servers: str, domain: Domain, *, on_seen: Callable[[Seen], None]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._key = domain.encode()
        self._on_seen = on_seen
        self._arrived = asyncio.Condition()
        self._dead_letter: str | None = None
        self.seen: list[Seen] = []

    async def run(self) -> None:
        """Read for ever."""
        topics = [name for topic in EVENT_TOPICS for name in (topic.name, *_dead_letters(topic))]
        consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=self._bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        await consumer.start()
        try:
            async for record in consumer:
                async with self._arrived:
                    self.take(record)
                    self._arrived.notify_all()
        finally:
            await consumer.stop()

    async def wait_for(
        self,
        kind: type[SomeEvent],
        is_wanted: Callable[[SomeEvent], bool] = lambda _: True,
        *,
        within_s: float,
        start: int = 0,
    ) -> Seen:
        """Return the first event of a kind that is wanted, from the `start`-th on.

        Raises:
            MeshError: It did not come in time, or a message was dead-lettered meanwhile.
        """
        try:
            async with asyncio.timeout(within_s), self._arrived:
                while True:
                    for seen in self.seen[start:]:
                        if isinstance(seen.event, kind) and is_wanted(seen.event):
                            return seen
                    self._fail_on_dead_letter()
                    await self._arrived.wait()
        except TimeoutError:
            msg = f"no {kind.__name__} that fits came within {within_s:.0f} s"
            raise MeshError(msg, next_step="read the daemons' logs") from None

    def all_of(self, kind: type[SomeEvent], *, start: int = 0) -> list[SomeEvent]:
        """Return the events of a kind that came so far, each once."""
        found = {seen.event.event_id: seen.event for seen in self.seen[start:] if isinstance(seen.event, kind)}
        return list(found.values())

    def named(self, event_id: UUID | None) -> list[Seen]:
        """Return the event of this id, once, if it came."""
        return [seen for seen in self.seen if seen.event.event_id == event_id][:1]

    def take(self, record: ConsumerRecord) -> None:
        """Note a record, if it is of the domain."""
        if record.key != self._key:
            return
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        topic = TOPICS_BY_NAME.get(record.topic)
        if topic is None:
            self._dead_letter = f"{record.topic}: {headers.get('plumbline_error')}"
            return
        event = decode(topic, record.value, headers)
        seen = Seen(
            topic=topic,
            event=event,
            received_at=datetime.now(UTC),
            trace_id=trace_id_of(headers.get("traceparent")),
        )
        self.seen.append(seen)
        self._on_seen(seen)

    def _fail_on_dead_letter(self) -> None:
        if self._dead_letter:
            msg = f"a message was dead-lettered: {self._dead_letter}"
            raise MeshError(msg, next_step="read the daemon's log")


def _dead_letters(topic: Topic) -> tuple[str, ...]:
    return (topic.dead_letter_name,) if topic.has_dead_letters else ()
