import asyncio
import sqlite3
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contracts import topics
from services.monitor.core.events import record_of
from shared.telemetry_store import sqlite
from shared.telemetry_store.records import LogQuery, StoreUnavailable, TelemetryStore
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor.samples import at, received
from tests.unit.monitor.store_contract import TelemetryStoreContract, log, span


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


async def test_logs_of_an_older_version_are_taken_over_once(tmp_path: Path):
    old = sqlite3.connect(tmp_path / "t.db")
    old.execute(
        "CREATE TABLE logs (uid TEXT PRIMARY KEY, time_ns INTEGER NOT NULL, service TEXT NOT NULL, severity TEXT NOT NULL,"
        " body TEXT NOT NULL, trace_id TEXT, span_id TEXT, attributes TEXT NOT NULL) WITHOUT ROWID"
    )
    for number in range(12):
        kept = log(f"{number:02}", "劳动合同 cleaned", second=number)
        row = (kept.uid, kept.time_ns, kept.service, kept.severity, kept.body, None, None, '{"n": 1}')
        old.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    old.commit()
    old.close()
    for _ in range(2):
        async with aclosing(SqliteTelemetryStore(tmp_path / "t.db")) as store:
            found = await store.search_logs(LogQuery(words="劳动合同"))
            assert [record.uid for record in found] == [f"{number:02}" for number in range(11, -1, -1)]
            assert found[0].attributes == {"n": 1}


async def test_retention_can_be_set(tmp_path: Path):
    async with aclosing(SqliteTelemetryStore(tmp_path / "t.db", retention=timedelta(days=7))) as store:
        await store.add_logs([log("1")])
        assert await store.delete_expired(at(6.9 * 86_400)) == 0
        assert await store.delete_expired(at(7.1 * 86_400)) == 1
