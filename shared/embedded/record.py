"""mesh.json: what a supervisor tells others about its mesh, replaced atomically at every change."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.embedded.policy import Phase
from shared.files import write_atomically
from shared.processes import boot_id, started_s

CREATE_TIME_TOLERANCE_S = 1.0
"""A process's creation time is the same at every look, up to the clock's rounding; a pid that was given again differs by more."""


class MeshPhase(StrEnum):
    """Where the whole mesh stands."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ProcessMark(BaseModel):
    """What tells one process from a later one with the same pid.

    Attributes:
        created_at: Seconds since the epoch, as the kernel says at present: it moves when the clock is set.
        started_s: Seconds from the start of the host, which stay.
        boot: The run of the host.
        executable: The command line's first word.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    created_at: float
    started_s: float
    boot: str
    executable: str


class ProcessRecord(BaseModel):
    """One process of the mesh.

    Attributes:
        mark: None while it is not running.
        restarts: Its unplanned ends since the mesh started.
        exit_code: How its last run ended; negative: the signal.
        unready_because: What it said when it last could not serve.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    port: int
    phase: Phase
    mark: ProcessMark | None
    restarts: int
    exit_code: int | None
    unready_because: str | None
    log: Path


class EngineRecord(BaseModel):
    """An engine that the mesh uses and does not run.

    Attributes:
        answers: Whether it took connections when it was last asked; None: it was not asked yet.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    at: str
    answers: bool | None


class MeshRecord(BaseModel):
    """Addresses and processes of a mesh.

    Attributes:
        engines: Those that the mesh does not run.
        waits_for: What keeps the daemons from being started, or None.
        urls: Base URLs of the daemons by name, e.g. `inference-gateway`.
        ready_after_s: Seconds from start to the first time that all could serve.
    """

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessMark
    phase: MeshPhase
    state_dir: Path
    started_at: datetime
    ready_after_s: float | None
    bootstrap_servers: str
    redis_url: str
    artifacts_url: str
    urls: dict[str, str]
    processes: tuple[ProcessRecord, ...]
    engines: tuple[EngineRecord, ...] = ()
    waits_for: str | None = None

    def marks(self) -> list[ProcessMark]:
        """Return the marks of all running processes, the supervisor's left out."""
        return [process.mark for process in self.processes if process.mark]


def write_record(path: Path, record: MeshRecord) -> None:
    """Replace the record; a reader sees the old or the new one whole."""
    write_atomically(path, record.model_dump_json(indent=2).encode())


def read_record(path: Path) -> MeshRecord | None:
    """Return the record, None where there is none that can be read."""
    try:
        return MeshRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def mark_of(pid: int) -> ProcessMark | None:
    """Return the mark of a running process, None once it has gone."""
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        return mark_as(process, command[0] if command else "")
    except psutil.Error:
        return None


def mark_as(process: psutil.Process, executable: str) -> ProcessMark:
    """Return the mark of a process whose command line begins, or will begin, with `executable`.

    Raises:
        psutil.Error: It has gone.
    """
    return ProcessMark(
        pid=process.pid,
        created_at=process.create_time(),
        started_s=started_s(process),
        boot=boot_id(),
        executable=executable,
    )


def find(mark: ProcessMark) -> psutil.Process | None:
    """Return the process that a mark was taken of, None where it has ended, be it that its pid was given again."""
    try:
        process = psutil.Process(mark.pid)
        return process if _is(mark, process) else None
    except psutil.Error:
        return None


def _is(mark: ProcessMark, process: psutil.Process) -> bool:
    if (
        process.status() == psutil.STATUS_ZOMBIE
        or mark.boot != boot_id()
        or abs(started_s(process) - mark.started_s) > CREATE_TIME_TOLERANCE_S
    ):
        return False
    # The cache appends its address to its command line, so the start of the word must do.
    return "".join(process.cmdline()[:1]).startswith(mark.executable)
