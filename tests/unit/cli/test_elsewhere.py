"""Commands talk to a mesh that nobody started on this machine, by the addresses and the token that settings give."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.app import application
from shared.cli.errors import ArgumentRefused, DaemonUnreachable
from shared.cli.exits import Exit, exit_of
from shared.embedded.errors import MeshNotRunning
from shared.errors import PlumblineError
from tests.unit.cli.apis import SERVING, Apis

DOCUMENT = '{"document_id": "刑法-1", "text": "为了惩罚犯罪，保护人民，根据宪法，制定本法。"}\n'
DAEMONS = ("INGEST", "RELEASE_MANAGER", "INFERENCE_GATEWAY", "MONITOR")


class Elsewhere:
    """Runs `plumb` in an empty state directory, the mesh named by environment."""

    def __init__(self, apis: Apis, state_dir: Path) -> None:
        self.apis = apis
        self.environment = {"PLUMBLINE_STATE_DIR": str(state_dir), "COLUMNS": "200", "TERM": "dumb"}
        self.environment |= {f"PLUMBLINE_URLS__{name}": f"http://127.0.0.1:{apis.port}/" for name in DAEMONS}
        self.environment["PLUMBLINE_OPERATOR_TOKEN"] = "sesame"

    def plumb(self, *arguments: str) -> Result:
        return CliRunner().invoke(application(), list(arguments), env=self.environment)

    def fails(self, *arguments: str) -> PlumblineError:
        result = self.plumb(*arguments)
        assert isinstance(result.exception, PlumblineError), result.output
        return result.exception


@pytest.fixture
def elsewhere(apis: Apis, tmp_path: Path) -> Elsewhere:
    apis.clear()
    return Elsewhere(apis, tmp_path / "nothing-here-yet")


def test_every_command_reaches_its_daemon(elsewhere: Elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(DOCUMENT, encoding="utf-8")
    for command in (("ingest", str(file)), ("train", "now"), ("ask", "盗窃"), ("why",), ("rollback",)):
        assert elsewhere.plumb(*command).exit_code == 0, command
    paths = [path for path, _ in elsewhere.apis.bodies]
    place = next(iter(elsewhere.apis.uploads))
    assert paths == [
        "/v1/uploads", place, place, "/v1/training-requests", "/v1/classify", "/v1/why/answer-None", "/v1/domains/law/rollback",
    ]  # fmt: skip
    assert json.loads(elsewhere.apis.bodies[3][1])["batch_ids"], "the upload before is waited for"
    assert elsewhere.apis.headers["authorization"] == "Bearer sesame"


def test_status_asks_the_daemons_themselves(elsewhere: Elsewhere) -> None:
    elsewhere.environment["PLUMBLINE_URLS__INGEST"] = "http://127.0.0.1:1"
    shown = elsewhere.plumb("status")
    assert shown.exit_code == 0, shown.output
    for fact in ("release-manager", "no answer", "batch-cleaned", SERVING[:12]):
        assert fact in shown.stdout, fact
    document = json.loads(elsewhere.plumb("status", "--json").stdout)
    assert document["mesh"] is None
    # The stand-in has no /readyz, which is an answer too.
    assert {one["name"]: one["state"] for one in document["daemons"]} == {
        "ingest": "no answer", "release-manager": "unready", "inference-gateway": "unready", "monitor": "unready",
    }  # fmt: skip


def test_the_token_may_come_from_the_secrets_folder(elsewhere: Elsewhere, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "plumbline_operator_token").write_text("from a file\n")
    del elsewhere.environment["PLUMBLINE_OPERATOR_TOKEN"]
    elsewhere.environment["PLUMBLINE_SECRETS_DIR"] = str(secrets)
    assert elsewhere.plumb("rollback").exit_code == 0
    assert elsewhere.apis.headers["authorization"] == "Bearer from a file"


def test_without_a_token_nothing_is_sent(elsewhere: Elsewhere) -> None:
    del elsewhere.environment["PLUMBLINE_OPERATOR_TOKEN"]
    assert "PLUMBLINE_OPERATOR_TOKEN" in str(elsewhere.fails("rollback"))
    assert elsewhere.apis.bodies == []


def test_an_address_that_is_missing_is_named(elsewhere: Elsewhere) -> None:
    del elsewhere.environment["PLUMBLINE_URLS__MONITOR"]
    error = elsewhere.fails("status")
    assert (exit_of(error), type(error)) == (Exit.NOT_RUNNING, MeshNotRunning)
    assert "PLUMBLINE_URLS__MONITOR is not set" in str(error)


def test_a_daemon_that_does_not_answer_is_named_with_its_address(elsewhere: Elsewhere) -> None:
    elsewhere.environment["PLUMBLINE_URLS__INFERENCE_GATEWAY"] = "http://127.0.0.1:1"
    error = elsewhere.fails("ask", "盗窃")
    assert isinstance(error, DaemonUnreachable)
    assert "inference-gateway does not answer at http://127.0.0.1:1" in str(error)


@pytest.mark.parametrize(("name", "value"), [("MONITOR", "localhost:80"), ("TRAINER", "http://127.0.0.1:1")])
def test_an_address_that_is_none_is_a_usage_error(elsewhere: Elsewhere, name: str, value: str) -> None:
    elsewhere.environment[f"PLUMBLINE_URLS__{name}"] = value
    error = elsewhere.fails("status")
    assert (exit_of(error), type(error)) == (Exit.USAGE, ArgumentRefused)
    assert f"PLUMBLINE_URLS__{name}" in str(error)
