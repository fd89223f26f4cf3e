"""A store that is slow, locked or full: alerts go on, what waits is kept afterwards, and what it refuses is said."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from contracts import topics
from contracts.monitoring import AlertState
from services.monitor import keeping
from services.monitor.core import otlp
from services.monitor.keeping import Keeper
from shared.telemetry_store.records import Span, StoreUnavailable
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.broker.harness import until
from tests.contracts.payloads import example
from tests.unit.monitor import samples
from tests.unit.monitor.harness import Daemon, answers, running
from tests.unit.monitor.samples import A, Observed, at


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
            await until(lambda: broken.num_failures > 0)
        assert [getattr(event, "state", None) for event in daemon.said][-1] is AlertState.FIRING
        assert daemon.monitor.status().domains[0].stages[0].event == "batch-received"
        daemon.batches.give_up()


async def test_what_waited_for_the_store_is_kept_once_it_is_back(daemon: Daemon, caplog: pytest.LogCaptureFixture):
    service = Observed("trainer")
    with service.telemetry.tracer.start_as_current_span("train"):
        service.log("hello")
    with outage(daemon.store, refuse) as broken:
        received = samples.received(uuid4())
        await daemon.hears(topics.BATCH_RECEIVED, received)
        await daemon.hears_telemetry(service)
        await daemon.watches(3, slow=True)
        await until(lambda: broken.num_failures > 2)
        assert await daemon.store.events() == ()
        broken.is_on = False
        store = await daemon.kept()
    assert [record.event_id for record in await store.events()] == [
        received.event_id, *(event.event_id for event in daemon.said)
    ]  # fmt: skip
    assert [record.body for record in await store.logs()] == ["hello"]
    assert len(await store.spans_with_attribute("plumbline.bundle.digest", A)) == 0
    assert len(await store.metrics("plumbline.answer.latency")) == 3
    said = [record.message for record in caplog.records if "telemetry store" in record.message]
    # Once each, however often it was tried: what the monitor logs is telemetry too.
    assert said == [
        "the telemetry store is late: what comes in waits at the broker", "the telemetry store takes records again"
    ]  # fmt: skip


async def test_what_is_soon_lost_at_the_broker_is_an_error(
    store: SqliteTelemetryStore, caplog: pytest.LogCaptureFixture
):
    old = source(topics.OTLP_SPANS, spans(1), age_h=4 * 24)
    with outage(store, refuse) as broken:
        keeping_on = asyncio.create_task(Keeper(store, unexpected).keep([old]))
        await until(lambda: broken.num_failures > 2)
        broken.is_on = False
        await keeping_on
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [(record.waited_h, record.retention_h) for record in errors] == [(96.0, 168)]


async def test_a_batch_is_written_in_parts_and_twice_is_once(store: SqliteTelemetryStore):
    batch = [source(topics.OTLP_SPANS, spans(500, prefix=f"{n}-")) for n in range(5)]
    for _ in range(2):
        await Keeper(store, unexpected).keep(batch)
    assert await num_spans(store, batch) == 2_500


async def test_bytes_that_are_no_telemetry_are_dead_lettered_and_the_rest_is_kept(store: SqliteTelemetryStore):
    refused: list[tuple[ConsumerRecord, Exception]] = []

    async def dead_letter(record: ConsumerRecord, error: Exception) -> None:
        refused.append((record, error))

    good = source(topics.OTLP_SPANS, spans(3))
    bad = [source(topic, b"not protobuf") for topic in topics.OTLP_TOPICS]
    # Whoever works off an event's topic dead-letters it: once is enough.
    await Keeper(store, dead_letter).keep([*bad, source(topics.BATCH_RECEIVED, b"{}"), good])
    assert [record for record, _ in refused] == bad
    assert {type(error).__name__ for _, error in refused} == {"MalformedOtlp"}
    assert await num_spans(store, [good]) == 3


async def test_a_command_that_nobody_signed_is_not_kept(daemon: Daemon, caplog: pytest.LogCaptureFixture):
    forged = example(topics.TRAINING_REQUESTED).model_dump_json().encode()
    await daemon.broker.publish(forged, topics.TRAINING_REQUESTED.name, key=b"law")
    signed = example(topics.TRAINING_REQUESTED)
    await daemon.others.publish(topics.TRAINING_REQUESTED, signed)
    assert [record.event_id for record in await (await daemon.kept()).events()] == [signed.event_id]
    assert "event not kept" in {record.message for record in caplog.records}


@pytest.mark.parametrize("how", ["fails", "counts"])
async def test_what_the_store_refuses_for_good_is_dead_lettered_and_the_rest_is_kept(
    store: SqliteTelemetryStore, how: str, monkeypatch: pytest.MonkeyPatch
):
    refused: list[tuple[ConsumerRecord, Exception]] = []
    add_spans = store.add_spans

    async def choosy(found: Sequence[Span]) -> None:
        poisoned = [span for span in found if span.name.startswith("poison")]
        if poisoned and how == "fails":
            raise OverflowError
        await add_spans([span for span in found if span not in poisoned])
        store.num_refused += len(poisoned)

    async def dead_letter(record: ConsumerRecord, error: Exception) -> None:
        refused.append((record, error))

    monkeypatch.setattr(store, "add_spans", choosy)
    batch = [source(topics.OTLP_SPANS, spans(10, prefix=f"{'poison' if n == 3 else 'good'}-{n}-")) for n in range(6)]
    await Keeper(store, dead_letter).keep(batch)
    assert [record for record, _ in refused] == [batch[3]]
    assert type(refused[0][1]).__name__ == "RecordsRefused"
    assert await num_spans(store, batch) == 50


async def test_a_store_that_refuses_everything_stops_the_storing_instead_of_emptying_the_topic(
    store: SqliteTelemetryStore, monkeypatch: pytest.MonkeyPatch
):
    num_tries = 0
    is_sound = False
    add = store.add_spans

    async def add_spans(found: Sequence[Span]) -> None:
        nonlocal num_tries
        num_tries += 1
        if is_sound:
            await add(found)
        else:
            store.num_refused += len(found)

    monkeypatch.setattr(store, "add_spans", add_spans)
    monkeypatch.setattr(keeping, "MAX_PAUSE_S", 0.1)
    keeper = Keeper(store, unexpected)
    batch = [source(topics.OTLP_SPANS, spans(2)) for _ in range(20)]
    keeping_on = asyncio.create_task(keeper.keep(batch))
    await until(lambda: num_tries > 30)
    assert keeper.late_since is not None
    is_sound = True
    await asyncio.wait_for(keeping_on, 10)
    assert await num_spans(store, batch) == 40


async def test_a_start_waits_for_no_store_and_remembers_once_it_answers(tmp_path: Path):
    path = tmp_path / "t.db"
    async with running(path) as first:
        await first.hears(topics.MODEL_EVALUATED, samples.evaluated(A, "c" * 64))
        await first.watches(3, slow=True)
    store = SqliteTelemetryStore(path)
    second = Daemon(store)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(store, "_read", refused_read)
        await second.monitor.restore_soon()
        assert second.monitor.status().domains == ()
        await second.monitor.restore_later()
    await second.monitor.restore_later()
    [domain] = second.monitor.status().domains
    assert [alert.state for alert in domain.alerts] == ["firing"]
    await second.http.aclose()
    await store.aclose()
    second.telemetry.close()


async def refused_read(*_: object) -> None:
    raise StoreUnavailable("locked")


async def unexpected(record: ConsumerRecord, error: Exception) -> None:
    pytest.fail(f"dead-lettered: {record.topic} for {error}")


def source(topic: topics.Topic, value: bytes, *, age_h: float = 0) -> ConsumerRecord:
    timestamp = int((time.time() - age_h * 3600) * 1000)
    return ConsumerRecord(topic.name, 0, 0, timestamp, 0, b"trainer", value, None, 7, len(value), ())


def spans(count: int, *, prefix: str = "span-") -> bytes:
    service = Observed("trainer")
    for number in range(count):
        service.telemetry.tracer.start_span(f"{prefix}{number}").end()
    [payload] = service.close().payloads(topics.OTLP_SPANS)
    return payload


async def num_spans(store: SqliteTelemetryStore, batch: Sequence[ConsumerRecord]) -> int:
    sent = [span for record in batch for span in otlp.spans_of(record.value)]
    found = [await store.spans_of_trace(span.trace_id) for span in sent]
    return sum(map(len, found))
