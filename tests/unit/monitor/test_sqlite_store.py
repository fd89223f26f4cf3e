import asyncio
import sqlite3
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from contracts import topics
from services.monitor.core.events import record_of
from shared.telemetry_store import sqlite
from shared.telemetry_store.records import StoreUnavailable, TelemetryStore
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor.samples import at, received
from tests.unit.monitor.store_contract import TelemetryStoreContract, span


class TestSqliteTelemetryStore(TelemetryStoreContract):
    """The store of embedded mode."""


async def test_what_was_added_is_there_after_a_restart(tmp_path: Path):
    kept = record_of(topics.BATCH_RECEIVED, received(uuid4()), None)
    for _ in range(2):
        async with aclosing(SqliteTelemetryStore(tmp_path / "t.db")) as store:
            await store.add_events([kept])
    async with aclosing(SqliteTelemetryStore(tmp_path / "t.db")) as store:
        assert await store.events() == (kept,)


async def test_writers_and_readers_at_once_lose_nothing(store: TelemetryStore):
    async def add(number: int) -> None:
        await store.add_spans([span("a", number)])
        assert await store.spans_of_trace("a" * 32)

    await asyncio.gather(*(add(number) for number in range(40)))
    assert len(await store.spans_of_trace("a" * 32)) == 40


async def test_a_store_that_cannot_write_asks_to_try_again(tmp_path: Path, store: SqliteTelemetryStore):
    other = sqlite3.connect(tmp_path / "telemetry.db")
    store._writer.execute("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.add_spans([span("a", 1)])
    other.rollback()
    other.close()
    await store.add_spans([span("a", 1)])
    assert len(await store.spans_of_trace("a" * 32)) == 1


async def test_expired_telemetry_goes_a_slice_a_transaction(
    store: SqliteTelemetryStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "MAX_DELETED_ROWS", 10)
    old_s = -91 * 86_400
    await store.add_spans([span("a", number, second=old_s, links=("b",)) for number in range(25)])
    before, commits = store._writer.total_changes, []
    store._writer.set_trace_callback(
        lambda said: commits.append(store._writer.total_changes) if said == "COMMIT" else None
    )
    assert await store.delete_expired(at(0)) == 50
    sizes = [after - earlier for earlier, after in zip([before, *commits], commits, strict=False)]
    assert max(sizes) == 10
    assert sum(sizes) == 50
