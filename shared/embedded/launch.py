"""Starting and ending processes with their descendants. Each carries the mesh's name in its environment."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import psutil

from shared.embedded.layout import rotate
from shared.embedded.plan import MESH_VARIABLE, PROCESS_VARIABLE

POLL_S = 0.05
PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when the thread that started it ends."""


def spawn(argv: tuple[str, ...], *, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to the log.

    Ctrl-C in a terminal then reaches the supervisor only, which stops the processes in order. On Linux the kernel asks the
    process to end should the supervisor be killed.
    """
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent(),  # noqa: PLW1509 one system call, looked up before the fork
        )


def _end_with_parent() -> Callable[[], object] | None:
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, int(signal.SIGTERM))


async def end(process: subprocess.Popen[bytes], *, grace_s: float) -> int:
    """Ask a process to end, end it after the grace, and then whatever it started; return its exit code."""
    family = descendants(process.pid)
    process.terminate()
    await gone(process, within_s=grace_s)
    if process.poll() is None:
        process.kill()
    kill_all(family)
    await gone(process, within_s=grace_s)
    return process.wait()


async def gone(process: subprocess.Popen[bytes], *, within_s: float) -> bool:
    """Wait until a child has ended; False where it has not by then."""
    deadline = asyncio.get_running_loop().time() + within_s
    while process.poll() is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 a child has no event
        await asyncio.sleep(POLL_S)
    return process.poll() is not None


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes that a process started, and theirs."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def strays(mesh: str, name: str | None = None) -> list[psutil.Process]:
    """Return what runs with a mesh's name in its environment, whoever its parent is now; this process is left out.

    Args:
        mesh: The mesh's state directory.
        name: Only what this process of the mesh started.
    """
    return [
        process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process, mesh, name)
    ]


def _carries(process: psutil.Process, mesh: str, name: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get(MESH_VARIABLE) == mesh and name in {None, environment.get(PROCESS_VARIABLE)}


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """End processes at once; those that ended by themselves are passed over."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue


def end_all(processes: list[psutil.Process], *, grace_s: float) -> int:
    """Ask processes that are not children to end, end the rest after the grace; return how many there were."""
    for process in processes:
        try:
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    kill_all(alive)
    psutil.wait_procs(alive, timeout=grace_s)
    return len(processes)
