"""A mesh of stand-ins in a process of its own; and one of real daemons, which all tests of `test_mesh_*` share."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest

from shared.embedded.control import environment_of, start_detached
from shared.embedded.launch import end_all, strays
from shared.embedded.layout import Layout, layout_of
from shared.embedded.record import MeshPhase, MeshRecord, ProcessRecord, find, read_record
from shared.embedded.settings import EmbeddedSettings
from tests.embedded.live import LiveMesh

WAIT_S = 40.0
STANDIN = "tests.embedded.standin_mesh"
T = TypeVar("T")


def wait_for(look: Callable[[], T | None], *, within_s: float = WAIT_S) -> T:
    """Return the first true value of `look`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise TimeoutError


class Mesh:
    """Starts and observes a supervisor from outside, as the CLI does."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.supervisors: list[subprocess.Popen[bytes]] = []

    def up(self, *, silence_limit_s: float = 2.0) -> MeshRecord:
        settings = EmbeddedSettings(state_dir=self.layout.root)
        environment = {
            **environment_of(settings),
            "PLUMBLINE_SUPERVISOR__SILENCE_LIMIT_S": str(silence_limit_s),
            "PLUMBLINE_SUPERVISOR__POLL_INTERVAL_S": "0.3",
            "PLUMBLINE_SUPERVISOR__POLL_TIMEOUT_S": "0.5",
        }
        self.supervisors.append(start_detached(self.layout, environment, module=STANDIN))
        return self.ready()

    def ready(self) -> MeshRecord:
        pid = self.supervisors[-1].pid
        return self.record_where(lambda record: record.phase is MeshPhase.READY and record.supervisor.pid == pid)

    def record_where(self, condition: Callable[[MeshRecord], bool]) -> MeshRecord:
        def look() -> MeshRecord | None:
            record = read_record(self.layout.record)
            return record if record and condition(record) else None

        return wait_for(look)

    def process(self, name: str) -> ProcessRecord:
        record = read_record(self.layout.record)
        assert record
        return next(process for process in record.processes if process.name == name)

    def pid(self, name: str) -> int:
        mark = self.process(name).mark
        assert mark
        return mark.pid

    def restarted(self, name: str, *, since: int) -> ProcessRecord:
        """Wait until a process is ready again with another pid than `since`."""

        def look() -> ProcessRecord | None:
            process = self.process(name)
            return process if process.phase == "ready" and process.mark and process.mark.pid != since else None

        return wait_for(look)

    def post(self, name: str, path: str) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.process(name).port}{path}", trust_env=False)

    def get(self, name: str, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.process(name).port}{path}", trust_env=False)

    def down(self, number: signal.Signals = signal.SIGTERM) -> int:
        supervisor = self.supervisors[-1]
        supervisor.send_signal(number)
        return supervisor.wait(WAIT_S)

    def survivors(self) -> list[psutil.Process]:
        record = read_record(self.layout.record)
        recorded = [process for mark in (record.marks() if record else []) if (process := find(mark))]
        return [*recorded, *strays(str(self.layout.root))]


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """A mesh that is not up yet; whatever a test leaves of it is ended."""
    yield from ended(Mesh(layout_of(tmp_path / "state")))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Mesh]:
    """Another one."""
    yield from ended(Mesh(layout_of(tmp_path / "other")))


def ended(mesh: Mesh) -> Iterator[Mesh]:
    yield mesh
    for supervisor in mesh.supervisors:
        if supervisor.poll() is None:
            supervisor.terminate()
            supervisor.wait(WAIT_S)
    end_all(mesh.survivors(), grace_s=5)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMesh]:
    """The real mesh, up and ready; whatever is left of it at the end is ended."""
    live = LiveMesh(layout_of(tmp_path_factory.mktemp("live") / "state"))
    result = live.plumb("up")
    assert result.returncode == 0, result.stderr
    yield live
    live.plumb("down")
    end_all(live.survivors(), grace_s=5)
