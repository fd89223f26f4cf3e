"""Batches: what is only to be stored, read in a group of its own and committed once all of a batch is stored.

While the store is away nothing more is read: what comes in waits at the broker, and nothing else of the daemon waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

MAX_RECORDS = 50
"""OTLP messages hold up to 500 spans: a batch is 25,000 at most, some 50 MB of objects."""
MAX_PARTITION_FETCH_BYTES = 1 << 18
"""A larger message comes alone. With 68 partitions at most 17 MB, compressed, wait in the consumer."""
MAX_FETCH_BYTES = 4 << 20
POLL_MS = 1_000
PAUSE_S = 0.2
"""After a batch that was not full: a batch costs a commit, and so much may something take until it is found."""
RECONNECT_S = 2.0
STOP_S = 2.0

Store = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]
"""Returns once every record is stored, known already or dead-lettered; waits for as long as that takes."""

log = logging.getLogger(__name__)


class BatchConsumer:
    """A group's member that stores batches.

    Attributes:
        store: Where batches go.
    """

    def __init__(self, topics: Sequence[str], store: Store, **options: Any) -> None:  # noqa: ANN401 (the client's own)
        self.store = store
        self._topics = topics
        self._options = options

    async def run(self) -> None:
        """Read and store for ever."""
        while True:
            try:
                await self._consume()
            except (KafkaError, OSError) as error:
                log.warning("storing waits for the broker", extra={"error": repr(error)})
                await asyncio.sleep(RECONNECT_S)

    async def _consume(self) -> None:
        consumer = AIOKafkaConsumer(
            *self._topics,
            enable_auto_commit=False,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_bytes=MAX_FETCH_BYTES,
            **self._options,
        )
        try:
            await consumer.start()
            while True:
                await self._store_next(consumer)
        finally:
            await _stop(consumer)

    async def _store_next(self, consumer: AIOKafkaConsumer) -> None:
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        batch = [record for records in found.values() for record in records]
        if not batch:
            return
        await self.store(batch)
        try:
            await consumer.commit({place: records[-1].offset + 1 for place, records in found.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # Another member has these partitions by now, and stores them once more, which changes nothing.
            log.info("batch not committed", extra={"error": repr(error)})
        if len(batch) < MAX_RECORDS:
            await asyncio.sleep(PAUSE_S)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Leave the group, so that partitions move at once; not for long where the broker is away."""
    try:
        async with asyncio.timeout(STOP_S):
            await consumer.stop()
    except (TimeoutError, KafkaError, OSError):
        log.info("group not left", exc_info=True)
