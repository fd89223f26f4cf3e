"""A mesh as the CLI sees it: mesh.json with a live supervisor (this process), and HTTP APIs on a real port."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from contracts.topics import ALL_DAEMONS
from shared.cli.app import application
from shared.cli.exits import exit_of
from shared.embedded.layout import Layout, layout_of, prepare
from shared.embedded.policy import Phase
from shared.embedded.record import MeshPhase, MeshRecord, ProcessRecord, mark_of, write_record
from shared.errors import PlumblineError
from tests.unit.cli.apis import Apis


class Terminal:
    """Runs `plumb` with the state directory of a mesh."""

    def __init__(self, layout: Layout, apis: Apis) -> None:
        self.layout = layout
        self.apis = apis

    def plumb(self, *arguments: str, given: bytes | None = None, columns: int = 200) -> Result:
        environment = {"PLUMBLINE_STATE_DIR": str(self.layout.root), "COLUMNS": str(columns), "TERM": "dumb"}
        return CliRunner().invoke(application(), list(arguments), env=environment, input=given)

    def fails(self, *arguments: str) -> tuple[int, PlumblineError]:
        """Run a command that must fail; return its exit code and its error."""
        result = self.plumb(*arguments)
        assert isinstance(result.exception, PlumblineError), result.output
        return exit_of(result.exception), result.exception


@pytest.fixture(scope="session")
def apis() -> Iterator[Apis]:
    apis = Apis()
    server = uvicorn.Server(uvicorn.Config(apis.app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    apis.port = server.servers[0].sockets[0].getsockname()[1]
    yield apis
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def terminal(tmp_path: Path, apis: Apis) -> Terminal:
    layout = layout_of(tmp_path)
    prepare(layout, ())
    apis.clear()
    write_mesh(layout, port=apis.port)
    return Terminal(layout, apis)


def write_mesh(
    layout: Layout, *, port: int, phase: MeshPhase = MeshPhase.READY, bootstrap_servers: str = "127.0.0.1:1"
) -> None:
    mark = mark_of(os.getpid())
    assert mark
    processes = tuple(
        ProcessRecord(
            name=name, port=port, phase=Phase.READY, mark=mark, restarts=0, exit_code=None, unready_because=None,
            log=layout.log(name),
        )
        for name in ALL_DAEMONS
    )  # fmt: skip
    record = MeshRecord(
        supervisor=mark, phase=phase, state_dir=layout.root, started_at=datetime.now(UTC), ready_after_s=7.5,
        bootstrap_servers=bootstrap_servers, redis_url="redis://127.0.0.1:2/0", artifacts_url=layout.artifacts_url,
        urls=dict.fromkeys(ALL_DAEMONS, f"http://127.0.0.1:{port}"), processes=processes,
    )  # fmt: skip
    write_record(layout.record, record)
