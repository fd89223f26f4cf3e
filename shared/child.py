"""Long work in a child process, so that a daemon keeps its heartbeat while something computes.

The child is `python -m MODULE JOB_FILE`. It writes progress as JSON lines to standard output, its result as a JSON file next to
the job, and ends when its standard input does: so it never outlives the daemon, not even after `kill -9`. A child that dies is
started again and resumes from its own checkpoints; it is expected to exit with 65 when the job cannot be done at all, with the
reason as its last line of standard error.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel, ValidationError

from shared.disk import is_full
from shared.errors import ChildCrashed, PermanentError, RunFailed, RunInterrupted, TransientError
from shared.files import write_atomically

RESULT = "result.json"
CANNOT_BE_DONE = 65
"""EX_DATAERR of sysexits.h."""
NOT_NOW = 75
"""EX_TEMPFAIL: something that the job needs is away or full; another attempt resumes it."""
NICENESS = 10
"""Long work yields to serving: beside it, on the same two cores, users are answered within their limit."""
MAX_NICENESS = 19
MAX_STARTS = 5
RESTART_PAUSE_S = 1.0
STOP_TIMEOUT_S = 5.0
MAX_LINE_BYTES = 1 << 20

Progress = Callable[[dict[str, Any]], Awaitable[None]]
Job = TypeVar("Job", bound=BaseModel)

log = logging.getLogger(__name__)


def kept_job(job_file: Path, kind: type[Job]) -> Job | None:
    """Return the job that an interrupted run began with, or None.

    One that cannot be read, such as an older version's, goes with all that the run has in its folder, and the run begins anew.
    """
    if not job_file.exists():
        return None
    try:
        return kind.model_validate_json(job_file.read_bytes())
    except ValidationError as error:
        log.warning("job cannot be read, the run begins anew", extra={"job": str(job_file), "reason": str(error)})
        shutil.rmtree(job_file.parent)
        return None


async def run_child(
    module: str,
    job: Path,
    *,
    on_progress: Progress,
    environment: Mapping[str, str] | None = None,
    niceness: int = NICENESS,
) -> dict[str, Any]:
    """Run a job to its end and return its result.

    Args:
        module: What to run, e.g. `services.trainer.run`.
        job: The job file, `<folder>/job.json`; the child writes `<folder>/result.json`, atomically.
        on_progress: Awaited with each JSON line that the child writes.
        environment: Added to this process's own.
        niceness: How far it stands back from this process, from 0; beyond 19 in all it is 19.

    Raises:
        RunFailed: The job cannot be done.
        RunInterrupted: It cannot go on at the moment; its folder stays.
        ChildCrashed: The child died five times; its folder stays, so that the next attempt resumes.
    """
    result = job.with_name(RESULT)
    for start in range(1, MAX_STARTS + 1):
        code, last_words = await _run_once(module, job, on_progress, environment, niceness)
        if code == 0 and result.exists():
            return dict(json.loads(result.read_text()))
        if code == CANNOT_BE_DONE:
            raise RunFailed(last_words or f"{module} refused its job")
        if code == NOT_NOW:
            raise RunInterrupted(
                last_words or f"{module} cannot go on", next_step="it goes on by itself when that is gone"
            )
        log.warning("child died", extra={"child": module, "code": code, "start": start, "last_words": last_words})
        await asyncio.sleep(RESTART_PAUSE_S)
    msg = f"{module} died {MAX_STARTS} times, the last time with code {code}: {last_words}"
    raise ChildCrashed(
        msg, next_step="see the daemon's log; once the cause is gone, send the dead letter to its topic again to resume"
    )


async def _run_once(
    module: str, job: Path, on_progress: Progress, environment: Mapping[str, str] | None, niceness: int
) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(job),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**_own_environment(), **(environment or {})}, limit=MAX_LINE_BYTES,
    )  # fmt: skip
    _stand_back(process.pid, niceness)
    words = asyncio.create_task(_last_words(process))
    try:
        await _forward(process, on_progress)
        return await process.wait(), await words
    finally:
        await _stop(process)
        words.cancel()


def _stand_back(pid: int, niceness: int) -> None:
    # From where the child is: this process, which it inherits from, may have been told to stand back itself.
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        process.nice(min(MAX_NICENESS, process.nice() + niceness))


async def _forward(process: asyncio.subprocess.Process, on_progress: Progress) -> None:
    assert process.stdout is not None  # noqa: S101 (it was asked for)
    async for line in process.stdout:
        try:
            progress = json.loads(line)
        except json.JSONDecodeError:
            log.info("child says", extra={"line": line.decode(errors="replace").strip()})
            continue
        await on_progress(progress)


async def _last_words(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None  # noqa: S101 (it was asked for)
    last = ""
    async for line in process.stderr:
        text = line.decode(errors="replace").rstrip()
        log.info("child says", extra={"line": text})
        last = text or last
    return last


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _own_environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251 (handed on whole, nothing is read from it)


def do_job(job_file: Path, kind: type[Job], work: Callable[[Job, Path], BaseModel]) -> int:
    """Do a child's job and write `result.json` beside it; return the exit code. A result that is there already is kept.

    Args:
        job_file: What `run_child` was given.
        kind: The job's model.
        work: Takes the job and its folder, returns the result; a permanent error, or one that passes, is told in the last line of
            standard error.
    """
    result_file = job_file.with_name(RESULT)
    try:
        if not result_file.exists():
            result = work(kind.model_validate_json(job_file.read_bytes()), job_file.parent)
            write_atomically(result_file, result.model_dump_json().encode())
    except PermanentError as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_BE_DONE
    except (TransientError, OSError) as error:
        if not isinstance(error, TransientError) and not is_full(error):
            raise
        sys.stderr.write(f"{error}\n")
        return NOT_NOW
    return 0


def exit_with_parent() -> None:
    """End this process as soon as its standard input does; called by a child before its work."""

    def watch() -> None:
        # Not the buffered reader: its lock, held by this thread, would crash the interpreter at its end.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
