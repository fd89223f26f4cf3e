"""Child processes: one that dies is started again, none outlives its parent."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from shared.child import MAX_STARTS, NICENESS, kept_job, run_child
from shared.errors import ChildCrashed, PermanentError, RunFailed

CHILD = "tests.unit.shared.child_for_tests"
PARENT = """
import asyncio, sys
from pathlib import Path
from shared.child import run_child

async def say(progress):
    print(progress["pid"], flush=True)

asyncio.run(run_child(sys.argv[1], Path(sys.argv[2]), on_progress=say))
"""


class Progress:
    """Keeps what the child says."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    async def __call__(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self.news.set()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.child.RESTART_PAUSE_S", 0.0)


def job(folder: Path, **what: object) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps(what))
    return path


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_child_returns_its_result_and_tells_its_progress(tmp_path: Path) -> None:
    progress = Progress()

    result = await run_child(CHILD, job(tmp_path), on_progress=progress, environment={"COLOUR": "red"})

    assert result == {"starts": 1, "colour": "red"}
    assert [line["start"] for line in progress.lines] == [1]


async def test_a_child_that_was_killed_is_started_again(tmp_path: Path) -> None:
    progress = Progress()

    result = await run_child(CHILD, job(tmp_path, deaths=2), on_progress=progress)

    assert result["starts"] == 3
    assert [line["start"] for line in progress.lines] == [1, 2, 3]


async def test_a_job_that_cannot_be_done_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"^no training text$"):
        await run_child(CHILD, job(tmp_path, refuse="no training text"), on_progress=Progress())

    assert (tmp_path / "starts").read_text() == "1"


async def test_a_child_that_dies_five_times_is_given_up_and_keeps_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ChildCrashed, match="died 5 times, the last time with code -9: going down") as crashed:
        await run_child(CHILD, job(tmp_path, deaths=99), on_progress=Progress())

    assert isinstance(crashed.value, PermanentError)
    assert crashed.value.next_step
    assert (tmp_path / "starts").read_text() == str(MAX_STARTS)


@pytest.mark.parametrize("niceness", [0, 3, 19])
async def test_a_child_stands_back_from_its_parent_as_far_as_it_is_told(tmp_path: Path, niceness: int) -> None:
    progress = Progress()
    task = asyncio.create_task(run_child(CHILD, job(tmp_path, wait=True), on_progress=progress, niceness=niceness))
    await asyncio.wait_for(progress.news.wait(), 20)
    found = psutil.Process(progress.lines[0]["pid"]).nice()
    task.cancel()
    await asyncio.wait([task])

    assert found == min(19, psutil.Process().nice() + niceness)


def test_a_child_of_a_parent_that_stands_back_already_is_never_moved_forward(tmp_path: Path) -> None:
    argv = ["nice", "-n", "15", sys.executable, "-c", PARENT, CHILD, str(job(tmp_path, wait=True))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        found = child.nice()
        parent.kill()
        psutil.wait_procs([child], timeout=10)

    assert found == min(19, psutil.Process().nice() + 15 + NICENESS)


async def test_a_child_whose_niceness_cannot_be_set_does_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process, _value: int | None = None) -> int:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "nice", refuse)
    assert (await run_child(CHILD, job(tmp_path), on_progress=Progress()))["starts"] == 1


async def test_a_child_that_ends_well_without_a_result_has_not_done_its_job(tmp_path: Path) -> None:
    with pytest.raises(ChildCrashed):
        await run_child("platform", job(tmp_path), on_progress=Progress())


async def test_a_cancelled_parent_ends_its_child(tmp_path: Path) -> None:
    progress = Progress()
    task = asyncio.create_task(run_child(CHILD, job(tmp_path, wait=True), on_progress=progress))
    await asyncio.wait_for(progress.news.wait(), 20)

    task.cancel()
    await asyncio.wait([task])

    assert gone(progress.lines[0]["pid"])


def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, CHILD, str(job(tmp_path, wait=True))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)

        _, alive = psutil.wait_procs([child], timeout=10)
        assert alive == []


class Kept(BaseModel):
    number: int


def test_a_kept_job_is_gone_on_with_and_one_that_cannot_be_read_begins_anew(tmp_path: Path, caplog) -> None:
    job_file = tmp_path / "run" / "job.json"
    assert kept_job(job_file, Kept) is None
    job_file.parent.mkdir()
    job_file.write_text('{"number": 7}')
    assert kept_job(job_file, Kept) == Kept(number=7)
    job_file.write_text('{"name": "of an older version"}')
    (job_file.parent / "checkpoint").write_text("of that job")
    assert kept_job(job_file, Kept) is None
    assert not job_file.parent.exists()
    assert [record.message for record in caplog.records] == ["job cannot be read, the run begins anew"]
