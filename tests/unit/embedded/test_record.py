import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil

from shared.embedded.policy import Phase
from shared.embedded.record import (
    MeshPhase,
    MeshRecord,
    ProcessMark,
    ProcessRecord,
    find,
    mark_of,
    read_record,
    write_record,
)


def own_mark() -> ProcessMark:
    mark = mark_of(os.getpid())
    assert mark
    return mark


def record_with(mark: ProcessMark) -> MeshRecord:
    process = ProcessRecord(
        name="broker",
        port=1,
        phase=Phase.READY,
        mark=mark,
        restarts=0,
        exit_code=None,
        unready_because=None,
        log=Path("broker.log"),
    )
    return MeshRecord(
        supervisor=mark, phase=MeshPhase.READY, state_dir=Path("/s"), started_at=datetime.now(UTC), ready_after_s=1.5,
        bootstrap_servers="127.0.0.1:1", redis_url="redis://127.0.0.1:2/0", artifacts_url="file:///s/artifacts",
        urls={"ingest": "http://127.0.0.1:3"}, processes=(process, process.model_copy(update={"mark": None})),
    )  # fmt: skip


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    record = record_with(own_mark())
    write_record(path, record)
    assert read_record(path) == record
    assert list(tmp_path.iterdir()) == [path]
    assert record.marks() == [own_mark()]


def test_no_record_and_a_broken_one_are_none(tmp_path: Path) -> None:
    assert read_record(tmp_path / "mesh.json") is None
    (tmp_path / "mesh.json").write_text('{"phase": "rea')
    assert read_record(tmp_path / "mesh.json") is None


def test_a_mark_finds_its_process_and_no_later_one_with_its_pid() -> None:
    mark = own_mark()
    assert mark.executable == psutil.Process().cmdline()[0]
    assert sys.executable
    assert find(mark) == psutil.Process()
    assert find(mark.model_copy(update={"started_s": mark.started_s - 60})) is None
    assert find(mark.model_copy(update={"boot": "another"})) is None
    # The clock was set: the process is still the same.
    assert find(mark.model_copy(update={"created_at": mark.created_at - 7200})) is not None
    assert find(mark.model_copy(update={"executable": "/usr/bin/editor"})) is None
    assert find(mark.model_copy(update={"pid": 2**22 + 1})) is None
