"""compose.yaml, started for real: `pytest --compose tests/deploy` on a machine with Docker that has the images.

Without that option these tests are left out: they take many minutes, and four gigabytes of memory.
"""

import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import httpx
import pytest

from contracts.corpus import Document
from contracts.topics import ALL_DAEMONS, TOPICS
from shared.demo.statutes import load_statutes
from shared.embedded.settings import inherited_environment
from tests.conftest import free_port
from tests.deploy.composed import ROOT, SERVICES

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PROJECT = "plumbline-test"
PORTS = {
    "inference-gateway": "GATEWAY",
    "ingest": "INGEST",
    "release-manager": "RELEASE_MANAGER",
    "monitor": "MONITOR",
    "kafka": "KAFKA",
}
READY_S, RELEASED_S = 300.0, 900.0
NUM_DOCUMENTS = 9_000
"""Enough for a first model that passes its gates."""
TEXT = "用人单位自用工之日起即与劳动者建立劳动关系。"

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], *, within_s: float, what: str) -> Found:
    """Return what a look finds, repeated until it finds something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(f"{what}: not within {within_s:.0f} s")


@dataclass(frozen=True)
class Mesh:
    """The project, started beside whatever else runs here."""

    ports: dict[str, int]

    def compose(self, *arguments: str, within_s: float = 600) -> str:
        environment = {
            **inherited_environment(),
            **{f"PLUMBLINE_{PORTS[name]}_PORT": str(port) for name, port in self.ports.items()},
        }
        command = ["docker", "compose", "--project-name", PROJECT, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        self.compose("up", "--detach", "--scale", "kibana=0", "--pull", "never")
        for name in ALL_DAEMONS:
            until(lambda name=name: self.health(name) == "healthy", within_s=READY_S, what=f"{name} is healthy")  # type: ignore[misc]

    def health(self, service: str) -> str:
        return str(json.loads(self.compose("ps", "--format", "json", service).splitlines()[0])["Health"])

    def get(self, service: str, path: str) -> Any:
        return httpx.get(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=30).raise_for_status().json()

    def post(self, service: str, path: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.ports[service]}{path}"
        return httpx.post(url, timeout=60, **body).raise_for_status().json()

    def served(self) -> str | None:
        served = self.get("inference-gateway", "/")["served"]
        return next((route["bundle_digest"] for one in served for route in one["routes"]), None)

    def topics(self) -> set[str]:
        tool = "/opt/kafka/bin/kafka-topics.sh"
        return set(self.compose("exec", "-T", "kafka", tool, "--bootstrap-server", "localhost:9092", "--list").split())


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker answers here")
    mesh = Mesh({name: free_port() for name in PORTS})
    for image in {service["image"] for name, service in SERVICES.items() if name not in {"kibana", "demo", "plumb"}}:
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
            pytest.skip(f"the image {image} is not here: docker compose build, docker compose pull")
    try:
        yield mesh
    finally:
        mesh.compose("--profile", "*", "down", "--volumes", "--remove-orphans")


def upload(mesh: Mesh, documents: list[Document]) -> None:
    body = "\n".join(document.model_dump_json(exclude_none=True) for document in documents)
    mesh.post(
        "ingest", "/v1/domains/law/batches", content=body.encode(), headers={"content-type": "application/x-ndjson"}
    )


def test_a_mesh_comes_up_learns_and_goes_on_after_down_and_up(mesh: Mesh) -> None:
    mesh.up()
    assert "docker compose run --rm plumb" in mesh.get("inference-gateway", "/")["next"]
    secrets = mesh.compose("logs", "--no-log-prefix", "secrets")
    assert "made" in secrets
    wanted = {topic.name for topic in TOPICS} | {topic.dead_letter_name for topic in TOPICS if topic.consumers}
    assert wanted <= mesh.topics()

    statutes = list(load_statutes().first)
    random.Random(0).shuffle(statutes)
    for first in range(0, NUM_DOCUMENTS, 4_500):
        upload(mesh, list(islice(statutes, first, first + 4_500)))
    digest = until(mesh.served, within_s=RELEASED_S, what="a bundle is released")
    body = {"text": TEXT, "domain": "law", "user": "reader"}
    before = mesh.post("inference-gateway", "/v1/classify", json=body)
    assert before["bundle_digest"] == digest

    mesh.compose("down")
    mesh.up()
    assert "made" not in mesh.compose("logs", "--no-log-prefix", "secrets"), "the secrets are those of before"
    assert wanted <= mesh.topics()
    assert until(mesh.served, within_s=READY_S, what="the bundle is served again") == digest
    after = mesh.post("inference-gateway", "/v1/classify", json=body)
    assert (after["bundle_digest"], after["label"]) == (digest, before["label"])
    # What is known already is recognised: the corpus is there.
    upload(mesh, statutes[:100])
    assert until(lambda: _known_again(mesh), within_s=120, what="the documents are known word for word")

    pid = mesh.compose(
        "exec", "-T", "evaluator", "python", "-c", "from shared.probe import children_of; print(*children_of(1))"
    )
    mesh.compose("exec", "-T", "evaluator", "python", "-c", f"import os; os.kill({pid.split()[0]}, 19)")
    until(lambda: mesh.health("evaluator") != "healthy", within_s=60, what="a frozen daemon is noticed")
    until(lambda: mesh.health("evaluator") == "healthy", within_s=READY_S, what="the probe ends it, and it comes back")


def _known_again(mesh: Mesh) -> bool:
    [law] = mesh.get("monitor", "/v1/status")["domains"]
    [cleaned] = [stage for stage in law["stages"] if stage["stage"] == "cleaner"]
    return "100 known word for word" in cleaned["summary"]
