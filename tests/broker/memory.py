"""The batch consumer of a bus on a broker in memory, which has no groups: a task of its own stores record by record."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faststream.kafka import KafkaBroker, KafkaMessage

from shared.bus import Bus


class MemoryBatches:
    """What a bus keeps, delivered from `broker`, which belongs into the same `TestKafkaBroker` as the bus's own."""

    def __init__(self, bus: Bus) -> None:
        self.broker = KafkaBroker()
        self._waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._batches = bus._batches
        if self._batches is not None:
            self._batches.run = asyncio.Event().wait
            for name in self._batches._topics:
                self.broker.subscriber(name, group_id="store")(self._take)

    async def _take(self, message: KafkaMessage) -> None:
        self._waiting.put_nowait(message.raw_message)

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[None]:
        """Store until the block ends."""
        task = asyncio.create_task(self._store_for_ever())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def give_up(self) -> None:
        """Forget what waits."""
        self._waiting = asyncio.Queue()

    async def stored(self) -> None:
        """Wait until nothing waits."""
        async with asyncio.timeout(10):
            await self._waiting.join()

    async def _store_for_ever(self) -> None:
        while self._batches is not None:
            waiting = self._waiting
            await self._batches.store([await waiting.get()])
            waiting.task_done()
