"""The spool: nothing is lost that fits, what does not fit is counted, and no state of the disk stops anything."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from contracts.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from shared import spool as spooling
from shared.spool import Spool

MB = 1 << 20


def traces(name: str, num_spans: int = 1, *, padding: int = 0) -> tuple[str, bytes]:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(num_spans):
        scope.spans.add(name=f"{name}-{number}" + "x" * (padding // num_spans))
    return OTLP_SPANS.name, request.SerializeToString()


def logs(num_records: int, *, padding: int = 0) -> tuple[str, bytes]:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for _ in range(num_records):
        scope.log_records.add().body.string_value = "x" * (padding // num_records)
    return OTLP_LOGS.name, request.SerializeToString()


def drained(spool: Spool) -> list[tuple[str, bytes]]:
    """Take and remove all there is, as a sender would."""
    found = []
    while taken := spool.take():
        spool.remove(taken)
        found += [(message.topic, message.payload) for message in taken]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    made = Spool(path, max_bytes=4 * MB)
    yield made
    made.close()


@contextmanager
def full_disk(spool: Spool) -> Iterator[None]:
    """Let the file not grow by a page: SQLite then answers as on a full disk."""
    assert spool._db is not None
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages}")
    connected = spool._connected
    spool._connected = lambda: limited(connected(), pages)  # type: ignore[method-assign]
    yield
    spool._connected = lambda: limited(connected(), 2**30)  # type: ignore[method-assign]


def limited(db: sqlite3.Connection, pages: int) -> sqlite3.Connection:
    db.execute(f"PRAGMA max_page_count = {pages}")
    return db


def test_processes_that_share_a_folder_have_a_spool_each_and_the_next_takes_what_one_left(path: Path) -> None:
    first, second = Spool(path, max_bytes=MB), Spool(path, max_bytes=MB)
    for spool, name in ((first, "first"), (second, "second")):
        spool.put([traces(name)])
    assert (drained(first), drained(second)) == ([traces("first")], [traces("second")])
    second.put([traces("left")])
    second.close()
    with_both = Spool(path, max_bytes=MB)
    assert drained(with_both) == [traces("left")]
    for spool in (first, with_both):
        spool.close()
    assert sorted(file.name for file in path.parent.glob("*.db")) == ["spool-2.db", "spool.db"]


def test_what_is_put_is_taken_in_order_until_it_is_removed(spool: Spool) -> None:
    messages = [traces(f"span-{number}") for number in range(5)]
    spool.put(messages[:2])
    spool.put(messages[2:])

    assert [(message.topic, message.payload) for message in spool.take()] == messages
    assert [(message.topic, message.payload) for message in spool.take()] == messages
    spool.remove(spool.take()[:2])
    assert drained(spool) == messages[2:]
    assert spool.take() == ()


def test_what_waits_survives_a_restart_and_a_kill(path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from shared.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)\n"
        "for number in range(100): spool.put([('otlp_spans', b'%d' % number)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL

    spool = Spool(path, max_bytes=MB)
    assert [int(payload) for _, payload in drained(spool)] == list(range(100))
    spool.close()


def test_one_round_is_bounded(spool: Spool) -> None:
    spool.put([traces(f"span-{number}", padding=300_000) for number in range(12)])
    assert len(spool.take()) == 3
    assert len(drained(spool)) == 12


def test_fresh_metrics_overtake_a_backlog_and_old_ones_wait_their_turn(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.put([(OTLP_METRICS.name, b"old")])
    spool.put([traces(f"span-{number}", padding=300_000) for number in range(6)])
    now = time.time() + spooling.FRESH_S + 1
    monkeypatch.setattr(spooling.time, "time", lambda: now)
    spool.put([(OTLP_METRICS.name, b"fresh-1"), traces("last"), (OTLP_METRICS.name, b"fresh-2")])

    first = spool.take()
    assert [message.payload for message in first[:3]] == [b"fresh-1", b"fresh-2", b"old"]
    spool.remove(first)
    rest = [payload for topic, payload in drained(spool) if topic == OTLP_SPANS.name]
    spans = [message.payload for message in first if message.topic == OTLP_SPANS.name] + rest
    assert spans[-1] == traces("last")[1]
    assert len(spans) == 7


def test_a_full_spool_drops_the_oldest_and_counts_their_items(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.put([traces("gone", 3, padding=MB), logs(2, padding=MB), (OTLP_METRICS.name, b"x" * MB)])
    kept = [traces(f"kept-{number}", padding=MB - 100) for number in range(4)]
    for message in kept:
        spool.put([message])

    assert drained(spool) == kept
    assert spool.dropped == {"span": 3, "log": 2, "metric": 1}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert spool._path.stat().st_size < 6 * MB


def test_the_file_gives_its_space_back_once_it_is_empty(path: Path) -> None:
    spool = Spool(path, max_bytes=64 * MB)
    for number in range(40):
        spool.put([traces(f"span-{number}", padding=MB)])
    assert len(drained(spool)) == 40
    spool.close()
    assert path.stat().st_size < MB


def test_a_full_disk_costs_nothing_at_once_and_is_said_once(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.put([traces("on disk")])
    in_memory = [traces(f"in-memory-{number}", padding=20_000) for number in range(10)]
    with full_disk(spool):
        for message in in_memory:
            spool.put([message])
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert drained(spool) == [traces("on disk"), *in_memory]
    spool.put([traces("after")])
    assert drained(spool) == [traces("after")]
    assert [record.message for record in caplog.records][1:] == ["the telemetry spool is used again"]
    assert not any(spool.dropped.values())


def test_memory_is_bounded_too(path: Path) -> None:
    path.parent.parent.joinpath("state").write_text("a file where the folder should be")
    spool = Spool(path, max_bytes=4 * MB, max_memory_bytes=MB)
    for number in range(5):
        spool.put([traces(f"span-{number}", 2, padding=300_000)])
    assert len(drained(spool)) == 3
    assert spool.dropped["span"] == 4
    spool.close()


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""], ids=["overwritten", "emptied"])
def test_a_spoilt_file_is_set_aside(path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    before = Spool(path, max_bytes=MB)
    before.put([traces("before")])
    before.close()
    path.write_bytes(damage)

    spool = Spool(path, max_bytes=MB)
    spool.put([traces("after")])
    assert drained(spool) == [traces("after")]
    spool.close()
    aside = path.with_name("spool.db.spoilt")
    assert aside.exists() == bool(damage)
    assert [record.message for record in caplog.records] == (
        ["the telemetry spool was spoilt and is set aside; a fresh one begins"] if damage else []
    )


def test_a_file_that_is_spoilt_in_its_middle_is_set_aside_once_that_shows(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = Spool(path, max_bytes=8 * MB)
    before.put([traces(f"span-{number}", padding=50_000) for number in range(40)])
    before.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)

    spool = Spool(path, max_bytes=8 * MB)
    spool.put([traces("after")])
    assert traces("after") in drained(spool)
    spool.close()
    assert path.with_name("spool.db.spoilt").exists()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_the_broker_will_never_take_is_dropped_and_counted(spool: Spool) -> None:
    spool.put([traces("large", 2), traces("small")])
    large, small = spool.take()
    spool.drop([large])
    assert drained(spool) == [(small.topic, small.payload)]
    assert spool.dropped["span"] == 2


def test_what_gives_way_while_it_is_sent_is_subtracted_once(spool: Spool) -> None:
    spool.put([traces("in flight", padding=3 * MB)])
    in_flight = spool.take()
    spool.put([traces("newer", padding=2 * MB)])
    spool.remove(in_flight)
    assert spool._num_bytes == len(traces("newer", padding=2 * MB)[1])
    assert drained(spool) == [traces("newer", padding=2 * MB)]
    assert spool._num_bytes == 0


def test_a_file_of_an_older_version_goes_on_and_no_number_is_used_again(path: Path) -> None:
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript(spooling.SCHEMA)
    old.execute("INSERT INTO messages (topic, spooled_at, payload) VALUES (?, 0, ?)", traces("old", padding=3 * MB))
    old.commit()
    old.close()
    spool = Spool(path, max_bytes=4 * MB)
    in_flight = spool.take()
    spool.put([traces("newer", padding=2 * MB)])
    assert spool.take()[0].number > in_flight[0].number
    spool.close()
