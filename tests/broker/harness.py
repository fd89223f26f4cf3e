"""Members of consumer groups, on a real broker, and looks at what the broker holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from contracts.topics import NUM_PARTITIONS, Topic, topics_consumed_by, topics_read_by
from shared.bus import Bus, Handler
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.keys import command_guard

PATIENCE_S = 20.0


class KeptSink:
    """Takes OTLP messages and keeps them."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.refusing = False

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        if not self.refusing:
            self.messages += messages
        return not self.refusing

    def close(self) -> None:
        pass

    def payloads(self, topic: Topic) -> list[bytes]:
        return [payload for name, payload in self.messages if name == topic.name]


class Inbox:
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._queue.put_nowait(event)

    async def next(self, *, within_s: float = PATIENCE_S) -> Any:
        return await asyncio.wait_for(self._queue.get(), within_s)


async def ignore(_: Any) -> None:
    """Handle nothing."""


def make_bus(
    service: str,
    kafka: KafkaSettings,
    handlers: Mapping[Topic, Handler] | None = None,
    *,
    readers: Mapping[Topic, Handler] | None = None,
    telemetry: Telemetry | None = None,
) -> Bus:
    """Return a daemon's bus; topics of its row without a handler here are ignored, state is read only where asked."""
    bus = Bus(service, kafka, telemetry or Telemetry(service, TelemetrySettings(), KeptSink()), guard=command_guard())
    if topics_consumed_by(service):
        bus.consume({topic: (handlers or {}).get(topic, ignore) for topic in topics_consumed_by(service)})
    if readers:
        bus.read({topic: readers.get(topic, ignore) for topic in topics_read_by(service)})
    return bus


@asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[Bus]:
    """Run a bus from the moment it takes part in its group until the block ends."""
    try:
        await bus.connect()
        await bus.start()
        await until(lambda: bus.unready_because is None)
        yield bus
    finally:
        await bus.broker.stop()
        await asyncio.to_thread(bus._telemetry.close)


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = PATIENCE_S, every_s: float = 0.02
) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_s
    while True:
        holds = condition()
        if await holds if isinstance(holds, Awaitable) else holds:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(every_s)


async def records(kafka: KafkaSettings, name: str, count: int) -> list[ConsumerRecord]:
    """Return the first `count` records of a topic."""
    consumer = AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    finally:
        await consumer.stop()


async def send_raw(
    kafka: KafkaSettings,
    topic: Topic,
    body: bytes | None,
    *,
    headers: Mapping[str, str | bytes | None] | None = None,
    key: str = "law",
    compression: str | None = None,
) -> None:
    """Produce bytes as a foreign system would."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_request_size=4 << 20, compression_type=compression
    )
    await producer.start()
    try:
        given = (headers or {}).items()
        pairs = [(name, value.encode() if isinstance(value, str) else value) for name, value in given]
        await producer.send_and_wait(topic.name, body, key=key.encode(), headers=pairs)
    finally:
        await producer.stop()


async def num_committed(kafka: KafkaSettings, service: str, topic: Topic) -> int:
    """Return how many records of a topic a daemon's group has committed since it was last emptied, over all partitions."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=f"{service}{kafka.group_suffix}", enable_auto_commit=False
    )
    partitions = [TopicPartition(topic.name, number) for number in range(NUM_PARTITIONS)]
    consumer.assign(partitions)
    await consumer.start()
    try:
        begins = await consumer.beginning_offsets(partitions)
        committed = {partition: await consumer.committed(partition) for partition in partitions}
        return sum(offset - begins[partition] for partition, offset in committed.items() if offset is not None)
    finally:
        await consumer.stop()


def header(record: ConsumerRecord, name: str) -> str | None:
    """Return a header of a record as text."""
    values = [value.decode() for key, value in record.headers if key == name]
    return values[0] if values else None
