"""`plumb up` and `plumb down` as a user calls them; the daemons are stand-ins."""

import json
import random
import signal
import subprocess
import sys

import httpx
import pytest

from shared.cli.exits import Exit
from shared.embedded.ports import choose_ports
from shared.embedded.record import MeshPhase, read_record
from shared.embedded.settings import inherited_environment
from tests.embedded.conftest import Mesh, wait_for
from tests.embedded.standin import CRASHES

pytestmark = pytest.mark.embedded


def command_of(mesh: Mesh, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.embedded.standin_plumb", *arguments, "--state-dir", str(mesh.layout.root)]


def plumb(mesh: Mesh, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_of(mesh, *arguments),
        env={**inherited_environment(), "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_up_says_where_the_gateway_is_and_down_leaves_nothing(mesh: Mesh) -> None:
    first = plumb(mesh, "up")
    assert first.returncode == Exit.OK, first.stderr
    record = read_record(mesh.layout.record)
    assert record
    assert record.urls["inference-gateway"] in first.stdout
    assert "plumb ingest" in first.stdout

    second = plumb(mesh, "up")
    assert second.returncode == Exit.ALREADY_RUNNING
    assert str(mesh.layout.root) in second.stderr
    assert "plumb down" in second.stderr

    assert plumb(mesh, "down").returncode == Exit.OK
    assert mesh.survivors() == []
    assert "no mesh runs" in plumb(mesh, "down").stdout


def test_up_listens_on_the_port_that_the_user_set_and_prints_json(mesh: Mesh) -> None:
    port = choose_ports(("any",), fixed={}, former={}, rng=random.SystemRandom())["any"]
    result = plumb(mesh, "up", "--json", "--gateway-port", str(port))
    url = json.loads(result.stdout)["urls"]["inference-gateway"]
    assert url == f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/healthz", trust_env=False).is_success
    plumb(mesh, "down")


def test_up_gives_up_on_a_daemon_that_crashes_again_and_again_and_leaves_nothing(mesh: Mesh) -> None:
    result = plumb(mesh, "up", **{CRASHES: "1"})
    assert result.returncode == Exit.FAILED
    assert "ended with 7" in result.stderr
    assert str(mesh.layout.log("ingest")) in result.stderr
    assert "Traceback" not in result.stderr
    assert mesh.survivors() == []


def test_a_wrong_setting_is_named(mesh: Mesh) -> None:
    result = plumb(mesh, "up", PLUMBLINE_SUPERVISOR__STOP_GRACE_S="soon")
    assert result.returncode == Exit.FAILED
    assert "stop_grace_s" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_stops_a_mesh_in_the_foreground(mesh: Mesh) -> None:
    process = subprocess.Popen(command_of(mesh, "up", "--foreground"), stderr=subprocess.DEVNULL)
    mesh.supervisors.append(process)
    wait_for(lambda: (record := read_record(mesh.layout.record)) and record.phase is MeshPhase.READY)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert mesh.survivors() == []
