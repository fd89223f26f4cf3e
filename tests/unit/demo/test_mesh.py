"""The demo on a mesh that it did not start: it plays only where the story can come to its end, and says what is missing."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contracts.api import RolloutTimes
from contracts.topics import BATCH_RECEIVED, MODEL_TRAINED
from services.release_manager.settings import RolloutRules
from shared.cli.errors import ProblemAnswered
from shared.cli.target import Target
from shared.demo import mesh
from shared.demo.mesh import check_named_mesh, too_long
from shared.demo.settings import DEMO_SETTINGS
from shared.demo.tail import EventTail, Seen
from shared.errors import MeshError
from tests.contracts.payloads import example

TIMES = {name.rpartition("__")[2].lower(): float(value) for name, value in DEMO_SETTINGS.items()}
TARGET = Target(
    urls={name: f"http://{name}" for name in mesh.NEEDED}, bootstrap_servers="", operator_token="sesame", record=None
)


class Mesh:
    """What the daemons answer."""

    def __init__(self) -> None:
        self.ready = 200
        self.operator = 200
        self.times = dict(TIMES)
        self.release = 404
        self.domains: list[dict[str, Any]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/readyz":
                return httpx.Response(self.ready, json={"reason": "not yet"})
            case "/v1/operator/faults":
                assert request.headers["authorization"] == "Bearer sesame"
                return httpx.Response(self.operator, json=[])
            case "/v1/domains/law/rollout-times":
                return httpx.Response(200, json=self.times)
            case "/v1/domains/law/release":
                return httpx.Response(self.release, json={})
            case "/v1/status":
                body = {"at": "2025-06-01T12:00:00Z", "domains": self.domains, "dead_letters": []}
                return httpx.Response(200, json=body)
        raise AssertionError(request.url)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    found, client = Mesh(), httpx.AsyncClient
    monkeypatch.setattr(mesh, "READY_TIMEOUT_S", 0.3)
    transport = httpx.MockTransport(found.answer)
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: client(transport=transport))
    return found


async def test_a_mesh_that_fits_is_played_on(there: Mesh) -> None:
    await check_named_mesh(TARGET, "law")


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda one: setattr(one, "ready", 503), MeshError, "ingest at http://ingest was not ready within"),
        (lambda one: setattr(one, "operator", 403), ProblemAnswered, "403"),
        (lambda one: one.times.update(window_s=1800.0), MeshError, "PLUMBLINE_ROLLOUT__WINDOW_S is 1800, the demo needs 20"),
        (lambda one: setattr(one, "release", 200), MeshError, "releases of the domain law already"),
    ],
)  # fmt: skip
async def test_what_keeps_the_story_from_its_end_is_said(
    there: Mesh, spoil: Callable[[Mesh], None], error: type[MeshError], said: str
) -> None:
    spoil(there)
    with pytest.raises(error, match=said):
        await check_named_mesh(TARGET, "law")


def test_the_defaults_are_too_long_for_the_demo_and_its_settings_are_not() -> None:
    defaults = RolloutRules()
    times = RolloutTimes(**{name: getattr(defaults, name) for name in RolloutTimes.model_fields})
    assert [line.split()[0] for line in too_long(times)] == list(DEMO_SETTINGS)
    assert too_long(RolloutTimes(**TIMES)) == []


def test_the_settings_can_be_printed_for_an_environment_file() -> None:
    argv = [sys.executable, "-m", "shared.demo.settings"]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert dict(line.split("=") for line in printed.splitlines()) == DEMO_SETTINGS


async def test_messages_of_other_domains_are_no_part_of_the_story() -> None:
    seen: list[Seen] = []
    tail = EventTail("", "law", on_seen=seen.append)
    mine, other = example(BATCH_RECEIVED, domain="law"), example(BATCH_RECEIVED, domain="tax")
    for event in (other, mine):
        tail.take(_Record(BATCH_RECEIVED.name, event.domain, event.model_dump_json()))
    tail.take(_Record(MODEL_TRAINED.dead_letter_name, "tax", "{}"))
    assert [one.event for one in seen] == [mine]
    with pytest.raises(MeshError, match="within"):
        await tail.wait_for(type(mine), lambda _: False, within_s=0.05)
    tail.take(_Record(MODEL_TRAINED.dead_letter_name, "law", "{}"))
    with pytest.raises(MeshError, match="dead-lettered"):
        await tail.wait_for(type(mine), lambda _: False, within_s=0.05)


class _Record:
    def __init__(self, topic: str, domain: str, body: str) -> None:
        self.topic, self.key, self.value, self.headers = topic, domain.encode(), body.encode(), ()
