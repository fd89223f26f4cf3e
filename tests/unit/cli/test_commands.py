import json
import os
import socket
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from contracts.api import Problem
from shared.cli.errors import (
    AnswerCutOff,
    ArgumentRefused,
    DaemonUnreachable,
    FileRefused,
    NoAnswerYet,
    ProblemAnswered,
)
from shared.cli.exits import Exit
from shared.cli.mesh import _not_ready, _say_what_next
from shared.cli.uploads import last_batches
from shared.embedded.errors import MeshAlreadyRunning, MeshNotRunning
from shared.embedded.layout import operator_token
from shared.embedded.record import EngineRecord, MeshPhase, read_record, write_record
from tests.unit.cli.apis import CANDIDATE, EVENT_ID, SERVING
from tests.unit.cli.conftest import Terminal, write_mesh

DOCUMENT = '{"document_id": "刑法-1", "text": "为了惩罚犯罪，保护人民，根据宪法，制定本法。"}\n'


def test_ingest_sends_every_file_and_prints_the_batch_ids(terminal: Terminal, tmp_path: Path) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file in files:
        file.write_text(DOCUMENT * 3, encoding="utf-8")
    result = terminal.plumb("ingest", *map(str, files), "--domain", "medicine")
    assert result.exit_code == 0, result.output
    uploads = list(terminal.apis.uploads.values())
    assert [(one.domain, one.body, one.strict) for one in uploads] == [("medicine", (DOCUMENT * 3).encode(), False)] * 2
    assert "00000000-0000-0000-0000-000000000002" in result.stdout
    assert "6 documents stored in 2 batches" in result.stdout


def test_ingest_prints_receipts_as_json(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(DOCUMENT, encoding="utf-8")
    receipts = json.loads(terminal.plumb("ingest", str(file), "--json").stdout)["batches"]
    assert [receipt["num_documents"] for receipt in receipts] == [1]


def test_with_strict_a_bad_line_anywhere_means_that_nothing_is_sent(terminal: Terminal, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text(DOCUMENT, encoding="utf-8")
    bad.write_text(DOCUMENT + "{", encoding="utf-8")
    code, error = terminal.fails("ingest", str(good), str(bad), "--strict")
    assert code == Exit.BAD_INPUT
    assert isinstance(error, FileRefused)
    assert f"{bad}:2:" in str(error)
    assert terminal.apis.bodies == []


def test_ingest_takes_files_of_all_kinds_and_standard_input(terminal: Terminal, tmp_path: Path) -> None:
    table, text = tmp_path / "laws.csv", tmp_path / "law.txt"
    table.write_bytes("编号,正文\n1,为了惩罚犯罪\n".encode("gb18030"))
    text.write_text("保护人民", encoding="gb18030")
    options = ("--column", "text=正文", "--column", "document_id=编号", "--encoding", "gb18030")
    result = terminal.plumb("ingest", str(table), str(text), "-", *options, given=DOCUMENT.encode("gb18030"))
    assert result.exit_code == 0, result.output
    assert [json.loads(one.body) for one in terminal.apis.uploads.values()] == [
        {"document_id": "1", "text": "为了惩罚犯罪"},
        {"document_id": text.as_posix(), "text": "保护人民"},
        json.loads(DOCUMENT),
    ]


def test_ingest_of_a_file_that_there_is_not_is_a_wrong_command_line(terminal: Terminal, tmp_path: Path) -> None:
    result = terminal.plumb("ingest", str(tmp_path / "nothing.csv"))
    assert result.exit_code == Exit.USAGE
    assert "does not exist" in result.stderr


def test_an_upload_that_breaks_off_says_how_it_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.jsonl", "two.jsonl", "three.jsonl")]
    for file in files:
        file.write_text(DOCUMENT, encoding="utf-8")
    terminal.apis.num_good = 3  # begin, ask for the offset, send
    terminal.apis.problem = Problem(type="urn:x", title="No", status=503, detail="the disk is full")
    result = terminal.plumb("ingest", *map(str, files))
    assert isinstance(result.exception, ProblemAnswered)
    assert "1 of 3 uploads are stored. The same command again goes on where this one stopped" in result.stderr
    assert last_batches(terminal.layout, "law") == (UUID(int=1),)


def test_train_now_asks_the_monitor(terminal: Terminal) -> None:
    result = terminal.plumb("train", "now", "--domain", "medicine")
    path, body = terminal.apis.bodies[0]
    assert (path, json.loads(body)["domain"]) == ("/v1/training-requests", "medicine")
    assert str(EVENT_ID) in result.stdout


def test_train_now_waits_for_the_last_upload_of_its_domain(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(DOCUMENT, encoding="utf-8")
    for domain in ("medicine", "medicine", "law"):
        assert terminal.plumb("ingest", str(file), "--domain", domain).exit_code == 0
    terminal.plumb("train", "now", "--domain", "medicine")
    assert json.loads(terminal.apis.bodies[-1][1])["batch_ids"] == [str(UUID(int=2))]
    (terminal.layout.root / "last-batches-medicine.json").write_text("[broken")
    terminal.plumb("train", "now", "--domain", "medicine")
    assert json.loads(terminal.apis.bodies[-1][1])["batch_ids"] == []


def test_batches_stored_before_an_upload_failed_are_waited_for(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(DOCUMENT, encoding="utf-8")
    taken = httpx.Client.post

    def post(client: httpx.Client, url: str, **arguments: Any) -> httpx.Response:
        if terminal.apis.bodies:
            raise httpx.ConnectError("gone")
        return taken(client, url, **arguments)

    monkeypatch.setattr(httpx.Client, "post", post)
    assert terminal.fails("ingest", str(file), str(file))[0] == Exit.NOT_RUNNING
    assert last_batches(terminal.layout, "law") == (UUID(int=1),)


def test_rollback_carries_reason_and_operator_token(terminal: Terminal) -> None:
    result = terminal.plumb("rollback", "--reason", "answers are wrong")
    path, body = terminal.apis.bodies[0]
    assert (path, json.loads(body)) == (
        "/v1/domains/law/rollback",
        {"reason": "answers are wrong", "cause": "operator"},
    )
    assert terminal.apis.headers["authorization"] == f"Bearer {operator_token(terminal.layout)}"
    assert str(EVENT_ID) in result.stdout


def test_ask_shows_label_score_and_digest_and_why_takes_the_answer_from_there(terminal: Terminal) -> None:
    result = terminal.plumb("ask", "故意杀人的，处死刑", "--user", "u1")
    for fact in ("刑法", "0.700", SERVING[:12], "answer-u1", "[dim]经济法"):
        assert fact in result.stdout
    terminal.plumb("why")
    assert terminal.apis.bodies[-1][0] == "/v1/why/answer-u1"


def test_ask_can_print_json(terminal: Terminal) -> None:
    assert json.loads(terminal.plumb("ask", "盗窃", "--json").stdout)["bundle_digest"] == SERVING


def test_a_completion_is_streamed_and_remembered(terminal: Terminal) -> None:
    result = terminal.plumb("ask", "用人单位", "--complete")
    assert "用人单位应当 依法\n" in result.stdout
    assert terminal.layout.last_answer.read_text() == "answer-9"
    lines = [json.loads(line) for line in terminal.plumb("ask", "用人单位", "--complete", "--json").stdout.splitlines()]
    assert [line.get("token") for line in lines[:-1]] == ["应当", " 依法", "\n"]
    assert lines[-1]["answer_id"] == "answer-9"


def test_a_completion_that_breaks_off_says_so(terminal: Terminal) -> None:
    code, error = terminal.fails("ask", "fail", "--complete")
    assert (code, str(error), error.next_step) == (Exit.FAILED, "It broke: in mid-stream", "Ask again.")


def test_a_completion_that_ends_before_it_is_done_is_a_failure(terminal: Terminal) -> None:
    for options in ((), ("--json",)):
        code, error = terminal.fails("ask", "cut", "--complete", *options)
        assert (code, type(error)) == (Exit.FAILED, AnswerCutOff)
        assert error.next_step
    assert not terminal.layout.last_answer.exists()


@pytest.mark.parametrize("command", [("ask", "盗窃"), ("ask", "盗窃", "--complete")])
def test_nothing_to_serve_has_its_own_exit_code_and_names_the_next_step(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    terminal.apis.problem = Problem(
        type="urn:plumbline:problem:nothing-to-serve", title="Nothing is released", status=503, detail="law has no bundle",
        next="plumb ingest FILE...",
    )  # fmt: skip
    code, error = terminal.fails(*command)
    assert code == Exit.NOTHING_TO_SERVE
    assert isinstance(error, ProblemAnswered)
    assert (str(error), error.next_step) == ("Nothing is released: law has no bundle", "plumb ingest FILE...")


def test_why_needs_an_answer_first(terminal: Terminal) -> None:
    code, error = terminal.fails("why")
    assert (code, type(error)) == (Exit.FAILED, NoAnswerYet)
    assert "plumb ask" in str(error.next_step)


def test_why_draws_steps_spans_and_the_first_batches(terminal: Terminal) -> None:
    lines = terminal.plumb("why", SERVING).stdout.splitlines()
    assert "bundle aaaaaaaaaaaa  sealed" in lines[1]
    assert "trace cccccccccccccccccccccccccccccccc" in lines[2]
    assert "trainer train 45,000 ms -> dddddddd" in lines[3]
    assert lines[4].index("trainer seal 80 ms") > lines[3].index("trainer train")
    assert "4 more batches" in lines[-1]
    assert "batch-8" in terminal.plumb("why", SERVING, "--all").stdout


def test_status_shows_what_the_mesh_does_and_what_it_waits_for(terminal: Terminal) -> None:
    result = terminal.plumb("status")
    for fact in (
        "inference-gateway", "ready", str(os.getpid()), "batch-cleaned", "90 %", "10 %", "canary", "57 of 100 answers",
        "0.810", "2,100", "latency firing", "[7 of 10]", "312 of 1,000 documents; or `plumb train now`", CANDIDATE[:12],
    ):  # fmt: skip
        assert fact in result.stdout, fact


def test_status_shows_dead_letters_and_where_they_lie(terminal: Terminal) -> None:
    [line] = [line for line in terminal.plumb("status").stdout.splitlines() if "ArtifactMissing" in line]
    for fact in ("tokenizer-ready-v1", "2", "read tokenizer-ready-v1-dlq"):
        assert fact in line


def test_status_prints_json(terminal: Terminal) -> None:
    document = json.loads(terminal.plumb("status", "--json").stdout)
    assert document["mesh"]["phase"] == "ready"
    assert document["mesh"]["bootstrap_servers"] == "127.0.0.1:1"
    assert document["domains"]["domains"][0]["num_pending_documents"] == 312


def test_status_shows_the_processes_even_when_the_monitor_is_away(terminal: Terminal) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        write_mesh(terminal.layout, port=unused.getsockname()[1])
        result = terminal.plumb("status")
    assert "release-manager" in result.stdout
    assert isinstance(result.exception, DaemonUnreachable)
    assert "monitor does not answer" in str(result.exception)


@pytest.mark.parametrize(
    "command", [("status",), ("ask", "盗窃"), ("why", SERVING), ("rollback",), ("train", "now"), ("status", "--watch")]
)
def test_without_a_mesh_every_command_says_how_to_start_one(terminal: Terminal, command: tuple[str, ...]) -> None:
    write_mesh(terminal.layout, port=terminal.apis.port, phase=MeshPhase.STOPPED)
    code, error = terminal.fails(*command)
    assert (code, type(error)) == (Exit.NOT_RUNNING, MeshNotRunning)
    assert str(terminal.layout.root) in str(error)
    assert "plumb up" in str(error.next_step)


def test_a_second_up_is_refused(terminal: Terminal) -> None:
    code, error = terminal.fails("up")
    assert (code, type(error)) == (Exit.ALREADY_RUNNING, MeshAlreadyRunning)


def test_down_without_a_mesh_is_no_failure(terminal: Terminal) -> None:
    terminal.layout.record.unlink()
    result = terminal.plumb("down")
    assert result.exit_code == 0
    assert "no mesh runs" in result.stdout


def test_a_wrong_command_line_is_a_usage_error(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.plumb("ingest", str(tmp_path / "none.jsonl")).exit_code == Exit.USAGE
    assert terminal.plumb("up", "--gateway-port", "0").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("option", "value"), [("--kafka", "localhost"), ("--redis", "localhost:6379"), ("--elasticsearch", "es:9200")]
)
def test_an_address_of_an_engine_that_is_none_is_a_usage_error(terminal: Terminal, option: str, value: str) -> None:
    terminal.layout.record.unlink()
    code, error = terminal.fails("up", option, value)
    assert (code, type(error)) == (Exit.USAGE, ArgumentRefused)
    assert str(error).startswith(f"{option}: ")


def test_engines_of_somebody_else_are_shown_with_what_the_daemons_wait_for(terminal: Terminal) -> None:
    record = read_record(terminal.layout.record)
    assert record
    engines = (
        EngineRecord(name="kafka", at="k:9092", answers=False), EngineRecord(name="redis", at="redis://r:6379", answers=True),
    )  # fmt: skip
    waiting = record.model_copy(update={"engines": engines, "waits_for": "the topics"})
    write_record(terminal.layout.record, waiting)
    shown = terminal.plumb("status").stdout
    for fact in ("kafka at k:9092", "does not answer", "redis at redis://r:6379", "the daemons wait for the topics"):
        assert fact in shown, fact
    error = _not_ready(waiting)
    assert "kafka at k:9092 does not answer; the daemons wait for the topics" in str(error)
    assert "Start the engine that is missing" in str(error.next_step)


@pytest.mark.parametrize(
    "command", [("ask", "盗窃"), ("train", "now"), ("rollback",), ("ingest", __file__)], ids=lambda command: command[0]
)
def test_a_name_that_is_no_domain_is_a_usage_error(terminal: Terminal, command: tuple[str, ...]) -> None:
    result = terminal.plumb(*command, "--domain", "Law")
    assert result.exit_code == Exit.USAGE
    assert "'Law' is no domain" in result.output
    assert terminal.apis.bodies == []


@pytest.mark.parametrize("reason", ["", "x" * 501])
def test_a_reason_that_does_not_fit_is_a_usage_error(terminal: Terminal, reason: str) -> None:
    code, error = terminal.fails("rollback", "--reason", reason)
    assert (code, type(error)) == (Exit.USAGE, ArgumentRefused)
    assert str(error).startswith("reason: ")
    assert terminal.apis.bodies == []


def test_a_started_mesh_says_where_its_broker_is(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    record = read_record(terminal.layout.record)
    assert record
    _say_what_next(record)
    assert "broker   127.0.0.1:1" in capsys.readouterr().out
