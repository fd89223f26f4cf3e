"""The supervisor with its real broker and cache; the daemons are stand-ins that only answer."""

import json
import signal
import stat
import subprocess
import sys
import time

import psutil
import pytest
from kafka.admin import KafkaAdminClient

from shared.embedded.control import environment_of, running_mesh, stop_mesh
from shared.embedded.errors import MeshNotRunning
from shared.embedded.settings import EmbeddedSettings
from tests.embedded.conftest import STANDIN, Mesh, wait_for
from tests.embedded.standin_mesh import NAMES, TOPIC

pytestmark = pytest.mark.embedded


def topics_of(bootstrap_servers: str) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        return list(admin.list_topics())
    finally:
        admin.close()


def test_daemons_start_after_the_topics_with_their_addresses_and_leave_nothing_behind(mesh: Mesh) -> None:
    record = mesh.up()

    assert [process.name for process in record.processes] == ["broker", "cache", *NAMES]
    assert topics_of(record.bootstrap_servers) == [TOPIC]
    environment = mesh.get("ingest", "/environment").json()
    assert environment["PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS"] == record.bootstrap_servers
    assert environment["PLUMBLINE_REDIS__URL"] == record.redis_url
    assert environment["PLUMBLINE_ARTIFACTS__URL"] == f"file://{mesh.layout.artifacts}"
    assert environment["PLUMBLINE_STATE_DIR"] == str(mesh.layout.of("ingest"))
    assert "PLUMBLINE_OPERATOR_TOKEN" not in environment

    token = mesh.layout.token.read_text()
    assert stat.S_IMODE(mesh.layout.token.stat().st_mode) == 0o600
    assert mesh.get("inference-gateway", "/environment").json()["PLUMBLINE_SECRETS_DIR"] == str(mesh.layout.secrets)
    assert token not in mesh.layout.record.read_text()

    grandchild = mesh.post("ingest", "/child").json()["pid"]
    assert mesh.down(signal.SIGINT) == 0
    assert mesh.survivors() == []
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    with pytest.raises(MeshNotRunning, match="No mesh runs in"):
        running_mesh(mesh.layout)


def test_a_killed_daemon_is_started_again_within_5_seconds_and_its_child_is_ended(mesh: Mesh) -> None:
    mesh.up()
    grandchild = mesh.post("ingest", "/child").json()["pid"]
    killed = mesh.pid("ingest")

    before = time.monotonic()
    psutil.Process(killed).kill()
    wait_for(lambda: (mark := mesh.process("ingest").mark) and mark.pid != killed)
    assert time.monotonic() - before < 5

    process = mesh.restarted("ingest", since=killed)
    assert (process.restarts, process.exit_code) == (1, -signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE)


def test_a_daemon_that_stops_answering_is_restarted(mesh: Mesh) -> None:
    mesh.up()
    hung = mesh.pid("ingest")
    mesh.post("ingest", "/hang")
    assert mesh.restarted("ingest", since=hung).restarts == 1


def test_a_broker_that_comes_back_empty_gets_its_topics_and_fresh_daemons(mesh: Mesh) -> None:
    record = mesh.up()
    before = {name: mesh.pid(name) for name in ("broker", "cache", *NAMES)}

    psutil.Process(before["broker"]).kill()
    for name in ("broker", *NAMES):
        mesh.restarted(name, since=before[name])

    assert topics_of(record.bootstrap_servers) == [TOPIC]
    assert mesh.pid("cache") == before["cache"]
    assert [mesh.process(name).restarts for name in ("broker", *NAMES)] == [1, 0, 0, 0, 0]


def test_a_cache_that_is_killed_comes_back_while_the_daemons_stay(mesh: Mesh) -> None:
    mesh.up()
    cache, daemon = mesh.pid("cache"), mesh.pid("ingest")
    psutil.Process(cache).kill()
    mesh.restarted("cache", since=cache)
    assert mesh.pid("ingest") == daemon


def test_the_next_start_ends_what_a_killed_supervisor_left_and_keeps_ports_and_token(mesh: Mesh) -> None:
    first = mesh.up()
    token = mesh.layout.token.read_text()
    grandchild = mesh.post("ingest", "/child").json()["pid"]
    # Stopped processes cannot follow the parent-death signal: they stay until someone ends them for good.
    for name in NAMES:
        psutil.Process(mesh.pid(name)).suspend()
    mesh.down(signal.SIGKILL)
    left = mesh.survivors()
    assert {process.pid for process in left} >= {grandchild, *(mesh.pid(name) for name in NAMES)}

    second = mesh.up()

    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
    assert second.urls == first.urls
    assert mesh.layout.token.read_text() == token


def test_down_ends_what_a_killed_supervisor_left(mesh: Mesh) -> None:
    mesh.up()
    grandchild = mesh.post("ingest", "/child").json()["pid"]
    mesh.down(signal.SIGKILL)
    assert stop_mesh(mesh.layout, within_s=5)
    assert mesh.survivors() == []
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    assert not stop_mesh(mesh.layout, within_s=5)


def test_a_second_supervisor_says_what_runs_where_and_what_to_do(mesh: Mesh) -> None:
    record = mesh.up()
    second = subprocess.run(
        [sys.executable, "-m", STANDIN],
        env=environment_of(EmbeddedSettings(state_dir=mesh.layout.root)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode != 0
    for fact in (str(mesh.layout.root), str(record.supervisor.pid), "plumb down", "--state-dir"):
        assert fact in second.stderr
    assert "Traceback" not in second.stderr
    assert json.loads(mesh.layout.record.read_text())["phase"] == "ready"


def test_two_meshes_live_side_by_side_and_one_ends_without_the_other(mesh: Mesh, other: Mesh) -> None:
    first, second = mesh.up(), other.up()

    ports = [process.port for record in (first, second) for process in record.processes]
    assert len(set(ports)) == len(ports) == 2 * len(first.processes)
    pids = {process.name: mesh.pid(process.name) for process in first.processes}
    assert mesh.layout.token.read_text() != other.layout.token.read_text()
    for name in NAMES:
        assert mesh.get(name, "/environment").json()["PLUMBLINE_MESH"] == str(mesh.layout.root)
        assert other.get(name, "/environment").json()["PLUMBLINE_MESH"] == str(other.layout.root)

    psutil.Process(other.pid("broker")).kill()
    other.restarted("broker", since=next(one.mark.pid for one in second.processes if one.name == "broker" and one.mark))
    other.down(signal.SIGKILL)
    stop_mesh(other.layout, within_s=5)

    assert other.survivors() == []
    assert {process.name: mesh.pid(process.name) for process in mesh.ready().processes} == pids
    assert [mesh.process(name).restarts for name in ("broker", *NAMES)] == [0] * (len(NAMES) + 1)


def test_a_taken_gateway_port_is_refused(mesh: Mesh) -> None:
    port = mesh.up().urls["inference-gateway"].rpartition(":")[2]
    settings = EmbeddedSettings(state_dir=mesh.layout.root / "other", gateway_port=int(port))
    second = subprocess.run(
        [sys.executable, "-m", STANDIN], env=environment_of(settings), capture_output=True, text=True, check=False
    )
    assert second.returncode != 0
    assert f"Port {port}" in second.stderr
    assert "Traceback" not in second.stderr
