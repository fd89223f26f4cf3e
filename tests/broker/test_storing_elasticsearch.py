"""Storing through an outage of Elasticsearch: what was said meanwhile is found afterwards, once.

The outage takes 20 s; `PLUMBLINE_TEST_OUTAGE_S=600` makes it the ten minutes of which the telemetry is.
"""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest

from contracts.topics import OTLP_LOGS
from services.monitor.settings import StoreSettings
from shared.settings import KafkaSettings
from tests.broker.harness import num_committed, until
from tests.broker.storing import ITEMS_PER_MESSAGE, produce_telemetry, storing_process
from tests.engines import ElasticsearchServer, EngineAddresses

OUTAGE_S = EngineAddresses().outage_s
pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.timeout(180 + OUTAGE_S)]

NUM_OF_SPANS, NUM_OF_LOGS = 180, 20
NUM_ITEMS = (NUM_OF_SPANS + NUM_OF_LOGS) * ITEMS_PER_MESSAGE
"""100,000 spans and log records: what a busy mesh makes in ten minutes."""
DRAINED_WITHIN_S = 60.0


@pytest.mark.parametrize(("begins", "ends"), [("pause", "resume"), ("stop", "start")])
async def test_telemetry_of_an_outage_is_stored_once_although_who_stores_it_is_killed(
    begins: str,
    ends: str,
    kafka: KafkaSettings,
    elasticsearch_server: ElasticsearchServer,
    capsys: pytest.CaptureFixture[str],
):
    store = StoreSettings(url=elasticsearch_server.url, index_prefix=f"outage-{uuid4().hex[:12]}")
    producing = asyncio.create_task(
        produce_telemetry(kafka, num_of_spans=NUM_OF_SPANS, num_of_logs=NUM_OF_LOGS, over_s=OUTAGE_S)
    )
    with storing_process(store, kafka, stderr=None) as storing:
        await until(lambda: num_found(store) > 0)
        elasticsearch_server.control(begins)
        began = time.monotonic()
        await asyncio.sleep(OUTAGE_S / 2)
        # With its hands full: what it had read is read again by the next one.
        storing.kill()
    with storing_process(store, kafka, stderr=None) as storing:
        await producing
        await asyncio.sleep(max(0.0, OUTAGE_S - (time.monotonic() - began)))
        await asyncio.to_thread(elasticsearch_server.control, ends)
        away_s, resumed = time.monotonic() - began, time.monotonic()
        await until(lambda: num_found(store) >= NUM_ITEMS, within_s=DRAINED_WITHIN_S, every_s=0.5)
        drained_s = time.monotonic() - resumed
        await until(lambda: all_committed(kafka))
        storing.terminate()
        assert await asyncio.to_thread(storing.wait, 10) == 0
    assert num_found(store, "traces") == NUM_OF_SPANS * ITEMS_PER_MESSAGE
    assert num_found(store, "logs") == NUM_OF_LOGS * ITEMS_PER_MESSAGE
    with capsys.disabled():
        print(  # noqa: T201 (figures for people)
            f"\nElasticsearch away for {away_s:.0f} s ({begins}): {NUM_ITEMS:,} items in, {num_found(store):,} out, "
            f"{drained_s:.1f} s after it was back"
        )


def num_found(store: StoreSettings, kind: str = "") -> int:
    """Return how many records the server holds, after a refresh."""
    index = f"{store.url}/{store.index_prefix}-{kind}*"
    try:
        httpx.post(f"{index}/_refresh", timeout=30).raise_for_status()
        return int(httpx.get(f"{index}/_count", timeout=30).raise_for_status().json()["count"])
    except (httpx.TransportError, httpx.HTTPStatusError):
        return 0  # just started: its shards are not there yet


async def all_committed(kafka: KafkaSettings) -> bool:
    return await num_committed(kafka, "monitor-store", OTLP_LOGS) == NUM_OF_LOGS
