"""The dead-letter topics on a broker: read whole, one record at a place, and the way back to where a message came from."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.topics import MAX_DEAD_LETTER_BYTES, Topic
from shared.cli.dlq_letters import (
    TOPICS_WITH_LETTERS,
    DeadLetter,
    Place,
    Record,
    check_whole,
    letter_of,
    mark_of,
    marked,
    original_headers,
    with_marks,
)
from shared.cli.errors import BrokerUnreachable, UnknownLetter

QUIET_S = 1.0
"""Nothing came for so long, and the ends that the broker named are passed: all was read. The embedded broker may name ends that
are too early, never ones that are too late, so they tell only what must come at least."""
WITHIN_S = 60.0
FETCH_WAIT_MS = 100
RECORD_WITHIN_S = 5.0


class DeadLetterTopics:
    """The dead-letter topics of one broker."""

    def __init__(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, bootstrap_servers: str) -> None:
        self._consumer = consumer
        self._producer = producer
        self._bootstrap_servers = bootstrap_servers

    async def letters(self, topic: Topic | None = None) -> tuple[DeadLetter, ...]:
        """Return the letters of one or of all topics, oldest first, without their bodies.

        Raises:
            BrokerUnreachable: The broker went away.
        """
        letters: list[DeadLetter] = []
        replayed_at: dict[str, datetime] = {}
        async for record in self._all(await self._partitions(topic)):
            if (letter_id := marked(record)) is not None:
                replayed_at[letter_id] = record.at
            else:
                letters.append(letter_of(record))
        return with_marks(letters, replayed_at)

    async def record(self, place: Place) -> Record:
        """Return the record at a place.

        Raises:
            UnknownLetter: No letter lies there.
            BrokerUnreachable: The broker went away.
        """
        unknown = UnknownLetter(
            f"No dead letter lies at {place}.",
            next_step="`plumb dlq list --all` shows what there is; letters are kept for 30 days.",
        )
        partition = TopicPartition(place.name, place.partition)
        if partition not in await self._partitions(TOPICS_WITH_LETTERS[place.name]):
            raise unknown
        with _reachable(self._bootstrap_servers):
            self._consumer.assign([partition])
            self._consumer.seek(partition, place.offset)
            try:
                found = _record(await asyncio.wait_for(self._consumer.getone(partition), RECORD_WITHIN_S))
            except TimeoutError:
                raise unknown from None
        # A record that is no longer kept makes the broker begin at a later one.
        if found.place != place or marked(found) is not None:
            raise unknown
        return found

    async def replay(self, record: Record, letters: Collection[DeadLetter]) -> None:
        """Send a message to its topic again as it was, then mark its letters.

        In this order a crash in between may send it twice, which derived event ids absorb, and never loses it.

        Args:
            record: One of the message's letters.
            letters: All of them.

        Raises:
            LetterTruncated: The letter does not hold all of it.
            BrokerUnreachable: The broker did not confirm.
        """
        check_whole(record)
        topic = TOPICS_WITH_LETTERS[record.place.name]
        with _reachable(self._bootstrap_servers):
            await self._producer.send_and_wait(
                topic.name, record.body, key=record.key, headers=list(original_headers(record))
            )
            for letter in letters:
                place = letter.place
                await self._producer.send_and_wait(
                    place.name, None, key=record.key, headers=list(mark_of(place)), partition=place.partition
                )

    async def _partitions(self, topic: Topic | None) -> list[TopicPartition]:
        wanted = [topic.dead_letter_name] if topic else list(TOPICS_WITH_LETTERS)
        with _reachable(self._bootstrap_servers):
            # Asked for by name, a topic that is missing would be created.
            there = await self._consumer.topics()
            return [
                TopicPartition(name, number)
                for name in wanted
                if name in there
                for number in sorted(await self._producer.partitions_for(name))
            ]

    async def _all(self, partitions: list[TopicPartition]) -> AsyncIterator[Record]:
        if not partitions:
            return
        with _reachable(self._bootstrap_servers):
            self._consumer.assign(partitions)
            await self._consumer.seek_to_beginning(*partitions)
            ends = await self._consumer.end_offsets(partitions)
            deadline, last_at = monotonic() + WITHIN_S, monotonic()
            while monotonic() < deadline:
                fetched = await self._consumer.getmany(timeout_ms=FETCH_WAIT_MS)
                for records in fetched.values():
                    last_at = monotonic()
                    for record in records:
                        yield _record(record)
                if monotonic() - last_at >= QUIET_S and await self._passed(ends):
                    return
            msg = f"{WITHIN_S:.0f} s were not enough to read the dead letters"
            raise TimeoutError(msg)

    async def _passed(self, ends: dict[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(partition) >= end for partition, end in ends.items()])


@asynccontextmanager
async def dead_letter_topics(bootstrap_servers: str) -> AsyncIterator[DeadLetterTopics]:
    """Open the dead-letter topics of a broker.

    Raises:
        BrokerUnreachable: It does not answer.
    """
    # The clients' own words about a broker that is away would come before ours, one line a second.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    servers = bootstrap_servers.split(",")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, client_id="plumb-dlq", group_id=None, auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_max_wait_ms=FETCH_WAIT_MS, max_partition_fetch_bytes=2 * MAX_DEAD_LETTER_BYTES,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, client_id="plumb-dlq", acks="all", max_request_size=MAX_DEAD_LETTER_BYTES
    )
    try:
        with _reachable(bootstrap_servers):
            await consumer.start()
            await producer.start()
        yield DeadLetterTopics(consumer, producer, bootstrap_servers)
    finally:
        await producer.stop()
        await consumer.stop()


@contextmanager
def _reachable(bootstrap_servers: str) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnreachable(
            f"The broker does not answer at {bootstrap_servers} ({error!r}).",
            next_step="Look at `plumb status`; a crashed broker is back within seconds.",
        ) from error


def _record(found: Any) -> Record:  # noqa: ANN401 (aiokafka is untyped)
    return Record(
        place=Place(found.topic, found.partition, found.offset),
        at=datetime.fromtimestamp(found.timestamp / 1000, UTC),
        key=found.key,
        headers=tuple(found.headers),
        body=found.value,
    )
