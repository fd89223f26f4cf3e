"""What others do with a mesh: find it, start it in the background, stop it. One supervisor holds a state directory's lock."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
from filelock import FileLock, Timeout

from shared.embedded.errors import MeshAlreadyRunning, MeshNotRunning
from shared.embedded.launch import end_all, strays
from shared.embedded.layout import SUPERVISOR, Layout, rotate
from shared.embedded.plan import CODE_ROOT, GATEWAY
from shared.embedded.record import MeshPhase, MeshRecord, find, read_record
from shared.embedded.settings import EmbeddedSettings, inherited_environment

log = logging.getLogger(__name__)

LEFTOVER_GRACE_S = 5.0
LAST_WORDS_BYTES = 2_000
MODULE = "shared.embedded"


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the state directory.

    Raises:
        MeshAlreadyRunning: A supervisor holds it.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(layout.lock, timeout=0):
            yield
    except Timeout as error:
        raise already_running(layout) from error


def already_running(layout: Layout) -> MeshAlreadyRunning:
    """Return the error that says which mesh holds the state directory."""
    record = read_record(layout.record)
    who = f" (supervisor pid {record.supervisor.pid}, gateway {record.urls.get(GATEWAY)})" if record else ""
    return MeshAlreadyRunning(
        f"A mesh already runs in {layout.root}{who}.",
        next_step="Use it (`plumb status`), stop it (`plumb down`), or start another one with `--state-dir`.",
    )


def running_mesh(layout: Layout) -> MeshRecord:
    """Return the record of the mesh that runs in a state directory.

    Raises:
        MeshNotRunning: None does.
    """
    record = read_record(layout.record)
    if record is None or record.phase is MeshPhase.STOPPED or find(record.supervisor) is None:
        raise MeshNotRunning(
            f"No mesh runs in {layout.root}.", next_step="Start it with `plumb up`, or name its `--state-dir`."
        )
    return record


def environment_of(settings: EmbeddedSettings) -> dict[str, str]:
    """Return the environment of a supervisor with these settings, whatever the present folder is."""
    return {
        **inherited_environment(),
        "PYTHONPATH": str(CODE_ROOT),
        "PYTHONSAFEPATH": "1",
        "PLUMBLINE_STATE_DIR": str(settings.state_dir),
        "PLUMBLINE_CLEANERS": str(settings.cleaners),
        **({"PLUMBLINE_GATEWAY_PORT": str(settings.gateway_port)} if settings.gateway_port else {}),
        **{f"PLUMBLINE_ENGINES__{name.upper()}": str(value) for name, value in settings.engines if value},
    }


def start_detached(layout: Layout, environment: Mapping[str, str], *, module: str = MODULE) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives its caller and the terminal; its output goes to its log.

    Args:
        layout: Where.
        environment: What `environment_of` gave.
        module: What to run instead of the whole mesh.
    """
    output = layout.log(SUPERVISOR)
    output.parent.mkdir(parents=True, exist_ok=True)
    rotate(output)
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def last_words(layout: Layout) -> str:
    """Return the last line that a supervisor said before it ended."""
    lines = layout.log(SUPERVISOR).read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def become_supervisor(environment: Mapping[str, str], *, module: str = MODULE) -> None:
    """Turn this process into the supervisor; it does not return."""
    os.execve(sys.executable, [sys.executable, "-m", module], dict(environment))  # noqa: S606 no shell is wanted


def stop_mesh(layout: Layout, *, within_s: float) -> bool:
    """Stop the mesh of a state directory, or end what a killed supervisor left of it; False: there was nothing.

    Args:
        layout: Where.
        within_s: How long the supervisor may take before it is killed and the rest is ended from here.
    """
    record = read_record(layout.record)
    supervisor = find(record.supervisor) if record else None
    if supervisor:
        end_all([supervisor], grace_s=within_s)
    if not layout.root.is_dir():
        return False
    with locked(layout):
        return bool(end_leftovers(layout)) or supervisor is not None


def end_leftovers(layout: Layout) -> int:
    """End what a supervisor that was killed left running; the caller holds the lock. Return the number of processes."""
    record = read_record(layout.record)
    recorded: list[psutil.Process] = [found for mark in (record.marks() if record else []) if (found := find(mark))]
    leftovers = {process.pid: process for process in [*recorded, *strays(str(layout.root))]}
    if leftovers:
        log.warning("ending processes that a killed supervisor left: %s", sorted(leftovers))
    return end_all(list(leftovers.values()), grace_s=LEFTOVER_GRACE_S)
