"""Storing through outages: what went in comes out, once, whatever happens to the store and to who stores."""

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from contracts import topics
from shared.settings import KafkaSettings
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.broker.harness import num_committed, records, send_raw, until
from tests.broker.storing import ITEMS_PER_MESSAGE, locked, num_stored, produce_telemetry, sqlite, storing_process
from tests.contracts.payloads import example

pytestmark = pytest.mark.broker
NUM_OF_SPANS, NUM_OF_LOGS = 180, 20
NUM_ITEMS = (NUM_OF_SPANS + NUM_OF_LOGS) * ITEMS_PER_MESSAGE
"""100,000 spans and log records: what a busy mesh makes in ten minutes."""
DRAINED_WITHIN_S = 60.0


async def test_ten_minutes_of_telemetry_survive_a_locked_store_and_three_kills(kafka: KafkaSettings, tmp_path: Path):
    path = tmp_path / "telemetry.db"
    await SqliteTelemetryStore(path).aclose()
    await produce_telemetry(kafka, num_of_spans=NUM_OF_SPANS, num_of_logs=NUM_OF_LOGS)
    event = example(topics.BATCH_RECEIVED)
    await send_raw(kafka, topics.BATCH_RECEIVED, event.model_dump_json().encode())

    with storing_process(sqlite(path), kafka) as storing, locked(path):
        # Killed with its hands full, before it could store anything: a hard kill of a monitor whose store is late.
        assert await asyncio.wait_for(asyncio.to_thread(says_that_the_store_is_late, storing), 60)
        assert num_stored(path) == 0
        storing.kill()
    began = time.monotonic()
    for share in (0.2, 0.6):
        with storing_process(sqlite(path), kafka) as storing:
            await until(
                lambda share=share: num_stored(path) > share * NUM_ITEMS, within_s=DRAINED_WITHIN_S, every_s=0.2
            )
            storing.kill()
        assert num_stored(path) < NUM_ITEMS
    with storing_process(sqlite(path), kafka) as storing:
        await until(lambda: num_stored(path) >= NUM_ITEMS, within_s=DRAINED_WITHIN_S, every_s=0.2)
        await until(lambda: num_stored(path, ["events"]) == 1)
        took_s = time.monotonic() - began
        await until(lambda: all_committed(kafka))
        storing.terminate()
        assert await asyncio.to_thread(storing.wait, 10) == 0

    assert num_stored(path, ["spans"]) == NUM_OF_SPANS * ITEMS_PER_MESSAGE
    assert num_stored(path, ["log_lines"]) == NUM_OF_LOGS * ITEMS_PER_MESSAGE
    print(f"{NUM_ITEMS:,} items stored {took_s:.1f} s after the store was back, through two more kills")  # noqa: T201


async def test_what_is_no_telemetry_goes_to_the_dead_letters_and_blocks_nothing(kafka: KafkaSettings, tmp_path: Path):
    path = tmp_path / "telemetry.db"
    await SqliteTelemetryStore(path).aclose()
    for number in range(12):
        await send_raw(kafka, topics.OTLP_LOGS, b"garbage %d" % number)
    await produce_telemetry(kafka, num_of_spans=1, num_of_logs=1)
    with storing_process(sqlite(path), kafka):
        await until(lambda: num_stored(path) == 2 * ITEMS_PER_MESSAGE)
        dead = await records(kafka, topics.OTLP_LOGS.dead_letter_name, 12)
        assert {record.value for record in dead} == {b"garbage %d" % number for number in range(12)}
        await until(lambda: all_committed(kafka, num_logs=13))


def says_that_the_store_is_late(storing: subprocess.Popen[bytes]) -> bool:
    """Wait until a storing process holds a batch that it cannot store."""
    assert storing.stderr is not None
    return any(b"the telemetry store is late" in line for line in storing.stderr)


async def all_committed(kafka: KafkaSettings, num_logs: int = NUM_OF_LOGS) -> bool:
    return await num_committed(kafka, "monitor-store", topics.OTLP_LOGS) == num_logs
