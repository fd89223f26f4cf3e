"""The store on a real Elasticsearch: the same contract, and what only a server can do to it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from uuid import uuid4

import pytest
from elasticsearch import ApiError

from contracts import topics
from services.monitor.core.events import record_of
from shared.clock import FakeClock
from shared.telemetry_store.elastic import ElasticsearchTelemetryStore
from shared.telemetry_store.records import StoreUnavailable
from tests.unit.monitor.bulk_faults import faulty_server
from tests.unit.monitor.elastic import store_at
from tests.unit.monitor.samples import at, received
from tests.unit.monitor.store_contract import TelemetryStoreContract, log, span

pytestmark = pytest.mark.engine

DAY_S = 86_400


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(at(0))


@pytest.fixture
async def store(real_elasticsearch: str, prefix: str, clock: FakeClock) -> AsyncIterator[ElasticsearchTelemetryStore]:
    async with aclosing(store_at(real_elasticsearch, prefix, clock)) as opened:
        yield opened
        await remove(opened)


async def remove(store: ElasticsearchTelemetryStore) -> None:
    """Remove what a test made; a server without the module for data streams keeps them, empty."""
    for stream in await store._api.streams(f"{store._prefix}-*"):
        await store._api.delete_stream(stream, is_empty=False)
    with suppress(ApiError):
        await store._api._client.indices.delete_index_template(name=f"{store._prefix}-*")


class TestElasticsearchTelemetryStore(TelemetryStoreContract):
    """The store of compose and Kubernetes."""


async def test_what_is_repeated_after_a_restart_or_days_later_is_not_doubled(
    store: ElasticsearchTelemetryStore, real_elasticsearch: str, clock: FakeClock
):
    midnight_s = 12 * 3600
    spans = [span("a", number, second=midnight_s + number - 5) for number in range(10)]
    clock.set(at(midnight_s))
    await store.add_spans(spans)
    clock.set(at(3 * DAY_S))
    async with aclosing(store_at(real_elasticsearch, store._prefix, clock)) as restarted:
        await restarted.add_spans(spans)
        assert len(await restarted.spans_of_trace("a" * 32)) == 10
        assert len(await restarted._api.streams(f"{store._prefix}-traces-*")) == 2


async def test_events_keep_their_order_when_the_clock_is_set_back(
    store: ElasticsearchTelemetryStore, real_elasticsearch: str, clock: FakeClock
):
    first, second = (record_of(topics.BATCH_RECEIVED, received(uuid4()), None) for _ in range(2))
    await store.add_events([first])
    clock.set(at(-3600))
    async with aclosing(store_at(real_elasticsearch, store._prefix, clock)) as restarted:
        await restarted.add_events([second])
        assert await restarted.events() == (first, second)
        assert await restarted.events(after=first.event_id) == (second,)


async def test_a_record_that_can_never_be_kept_is_counted_and_blocks_no_other(
    store: ElasticsearchTelemetryStore, caplog: pytest.LogCaptureFixture
):
    mappings = {"properties": {"uid": {"type": "long"}, "service": {"properties": {"name": {"type": "keyword"}}}}}
    hostile = {"index_patterns": [f"{store._prefix}-logs-*"], "data_stream": {}, "priority": 1000, "version": 9}
    await store._api.put_template(f"{store._prefix}-hostile", {**hostile, "template": {"mappings": mappings}})
    await store.add_logs([log("1"), log("no number"), log("2", second=1)])
    assert [record.uid for record in await store.logs(service="cleaner")] == ["1", "2"]
    assert store.num_refused == 1
    [said] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "no number" in said.__dict__["first"]
    assert "failed to parse field [uid]" in said.__dict__["reason"]


async def test_days_to_come_have_no_streams_and_days_long_gone_are_not_written(store: ElasticsearchTelemetryStore):
    await store.add_logs([log("future", second=400 * DAY_S), log("now"), log("past", second=-91 * DAY_S)])
    assert [record.uid for record in await store.logs()] == ["now", "future"]
    assert (store.num_refused, store._writer.num_expired) == (0, 1)
    assert len(await store._api.streams(f"{store._prefix}-logs-*")) == 1


async def test_templates_that_are_gone_are_installed_again(store: ElasticsearchTelemetryStore):
    store._writer._installed.update(store._kinds)
    await store.add_spans([span("a", 1)])
    assert len(await store.spans_of_trace("a" * 32)) == 1


async def test_a_newer_template_is_left_alone(store: ElasticsearchTelemetryStore):
    name = f"{store._prefix}-logs"
    newer = {"index_patterns": [f"{name}-*"], "data_stream": {}, "priority": 500, "version": 99}
    await store._api.put_template(name, newer)
    await store.add_logs([log("1")])
    assert await store._api.template_version(name) == 99


async def test_through_every_fault_of_a_server_nothing_is_lost_or_doubled(
    store: ElasticsearchTelemetryStore, real_elasticsearch: str, clock: FakeClock
):
    """The server is cut off before and after it has written, puts off some items, and is busy as a whole."""
    spans = [span("a", number, second=number / 100) for number in range(3000)]
    async with (
        faulty_server(real_elasticsearch) as (url, faults),
        aclosing(store_at(url, store._prefix, clock, timeout_s=5)) as through,
    ):
        for start in range(0, len(spans), 250):
            async with asyncio.timeout(60):
                while not await _added(through, spans[start : start + 250]):
                    pass
    assert faults.num_met >= 12
    assert faults.kinds_met == {"busy", "cut off before", "cut off after", "puts off some"}
    assert len(await store.spans_of_trace("a" * 32, limit=10_000)) == 3000
    assert store.num_refused == 0


async def _added(store: ElasticsearchTelemetryStore, spans) -> bool:
    try:
        await store.add_spans(spans)
    except StoreUnavailable:
        return False
    return True
