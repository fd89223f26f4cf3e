"""A store that is slow, locked or full: alerts go on, and what waited is kept afterwards."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from contracts import topics
from contracts.monitoring import AlertState
from services.monitor import keeping
from services.monitor.core.events import record_of
from services.monitor.keeping import Keeper
from shared.telemetry_store.records import StoreUnavailable
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor import samples
from tests.unit.monitor.harness import Daemon, answers
from tests.unit.monitor.samples import A, Observed, at
from tests.unit.monitor.store_contract import span


class Outage:
    """What a store does instead of writing anything."""

    def __init__(
        self, store: SqliteTelemetryStore, monkeypatch: pytest.MonkeyPatch, instead: Callable[[], Any]
    ) -> None:
        self.is_on = True
        self.num_failures = 0
        self._instead = instead
        self._write = store._write
        monkeypatch.setattr(store, "_write", self.write)

    async def write(self, *batches: Any) -> int:
        if not self.is_on:
            return await self._write(*batches)
        self.num_failures += 1
        await self._instead()
        return 0


async def refuse() -> None:
    raise StoreUnavailable("disk full")


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


@contextmanager
def outage(store: SqliteTelemetryStore, instead: Callable[[], Any]) -> Iterator[Outage]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Outage(store, monkeypatch, instead)


@pytest.mark.parametrize("instead", [refuse, hang])
async def test_alerts_fire_in_time_while_the_store_is_down(daemon: Daemon, instead: Callable[[], Any]):
    with outage(daemon.store, instead) as broken:
        async with asyncio.timeout(4):
            await daemon.hears(topics.BATCH_RECEIVED, samples.received(uuid4()))
            for second in range(3):
                await daemon.others.broker.publish(answers(second, slow=True), topics.OTLP_METRICS.name)
                daemon.clock.set(at(second + 2))
                await daemon.monitor.tick()
        assert [getattr(event, "state", None) for event in daemon.said][-1] is AlertState.FIRING
        assert daemon.monitor.status().domains[0].stages[0].event == "batch-received"
        assert broken.num_failures


async def test_what_waited_for_the_store_is_kept_once_it_is_back(daemon: Daemon):
    service = Observed("trainer")
    with service.telemetry.tracer.start_as_current_span("train"):
        service.log("hello")
    with outage(daemon.store, refuse) as broken:
        received = samples.received(uuid4())
        await daemon.hears(topics.BATCH_RECEIVED, received)
        await daemon.hears_telemetry(service)
        await daemon.watches(3, slow=True)
        assert await daemon.store.events() == ()
        broken.is_on = False
        store = await daemon.kept()
    assert [record.event_id for record in await store.events()] == [
        received.event_id, *(event.event_id for event in daemon.said)
    ]  # fmt: skip
    assert [record.body for record in await store.logs()] == ["hello"]
    assert len(await store.spans_with_attribute("plumbline.bundle.digest", A)) == 0
    assert len(await store.metrics("plumbline.answer.latency")) == 3


async def test_a_lifecycle_event_is_kept_before_its_handler_returns(daemon: Daemon):
    received = samples.received(uuid4())
    await daemon.hears(topics.BATCH_RECEIVED, received)
    assert [record.event_id for record in await daemon.store.events()] == [received.event_id]


async def test_only_the_first_event_waits_for_a_late_store(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "EVENT_WITHIN_S", 0.05)
    with outage(daemon.store, hang):
        async with asyncio.timeout(1):
            for _ in range(60):
                await daemon.hears(topics.BATCH_RECEIVED, samples.received(uuid4()))


async def test_the_oldest_give_way_and_are_counted(
    store: SqliteTelemetryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(keeping, "MAX_WAITING", 10)
    keeper = Keeper(store)
    for number in range(13):
        keeper.put_spans([span("a", number)])
    await keeper.aclose()
    assert [found.span_id for found in await store.spans_of_trace("a" * 32)] == [f"{n:016x}" for n in range(3, 13)]
    assert keeper._spans.num_dropped == 3
    assert [record.message for record in caplog.records] == [
        "the oldest telemetry is dropped: too much waits for the store"
    ]


async def test_records_that_the_store_chokes_on_do_not_stop_the_others(
    store: SqliteTelemetryStore, caplog: pytest.LogCaptureFixture
):
    async def choke() -> None:
        raise OverflowError

    with outage(store, choke) as broken:
        keeper = Keeper(store)
        keeper.put_spans([span("a", 1)])
        await keeper.aclose()
        broken.is_on = False
        keeper.put_events([record_of(topics.BATCH_RECEIVED, samples.received(uuid4()), None)])
        await keeper.aclose()
    assert len(await store.events()) == 1
    assert [record.message for record in caplog.records] == ["records not kept"]
