"""`plumb ingest` goes on after cuts, sends large files piece by piece, and says what was refused or held."""

import gzip
import json
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from contracts.api import HeldBatch, Problem
from shared.cli import ingest_upload
from shared.cli.errors import ArgumentRefused, FileRefused, ProblemAnswered
from shared.cli.exits import Exit
from shared.cli.uploads import last_batches
from tests.unit.cli.apis import NOW
from tests.unit.cli.conftest import Terminal

DOCUMENT = json.dumps({"document_id": "1", "text": "民事主体的人身权利受法律保护。"}, ensure_ascii=False) + "\n"
ID = UUID(int=5)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_upload, "PIECE_BYTES", 100)
    monkeypatch.setattr(ingest_upload, "FIRST_PAUSE_S", 0.001)


def written(tmp_path: Path, content: bytes, name: str = "laws.jsonl") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def only_body(terminal: Terminal) -> bytes:
    [upload] = terminal.apis.uploads.values()
    return upload.body


def test_a_file_goes_in_pieces_and_comes_whole(terminal: Terminal, tmp_path: Path) -> None:
    content = (DOCUMENT * 20).encode()
    result = terminal.plumb("ingest", written(tmp_path, content))
    assert result.exit_code == 0, result.output
    assert only_body(terminal) == content
    assert sum(path.startswith("/v1/uploads/") for path, body in terminal.apis.bodies if body) > 10
    assert list(terminal.layout.root.glob("upload-*")) == []


def test_a_packed_file_goes_as_it_is(terminal: Terminal, tmp_path: Path) -> None:
    packed = gzip.compress(DOCUMENT.encode() * 3)
    assert terminal.plumb("ingest", written(tmp_path, packed, "laws.jsonl.gz")).exit_code == 0
    [upload] = terminal.apis.uploads.values()
    assert (upload.body, upload.encoding) == (packed, "gzip")


@pytest.mark.parametrize("name", ["laws.jsonl", "laws.jsonl.gz"])
@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_json_lines_in_another_encoding_go_as_utf8(
    terminal: Terminal, tmp_path: Path, name: str, strict: tuple[str, ...]
) -> None:
    content = (DOCUMENT * 20_000).encode("gb18030")
    path = written(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)
    ingest_upload.PIECE_BYTES = 1_000_000
    result = terminal.plumb("ingest", path, "--encoding", "gb18030", *strict)
    assert result.exit_code == 0, result.output
    assert only_body(terminal) == (DOCUMENT * 20_000).encode()


def test_json_lines_that_are_not_utf8_are_refused_with_the_way_out(terminal: Terminal, tmp_path: Path) -> None:
    path = written(tmp_path, DOCUMENT.encode("gb18030"))
    refused = terminal.plumb("ingest", path, "--strict").exception
    assert isinstance(refused, FileRefused)
    assert ":1: not UTF-8 at byte" in str(refused)
    assert "--encoding gb18030" in str(refused.next_step)
    wrong = terminal.plumb("ingest", path, "--encoding", "ascii").exception
    assert isinstance(wrong, FileRefused)
    assert "not text in ascii" in str(wrong)


def test_bad_lines_are_left_to_ingest_unless_it_is_strict(terminal: Terminal, tmp_path: Path) -> None:
    content = DOCUMENT.encode() + b"{\n"
    terminal.apis.receipt = {"num_refused_documents": 1}
    result = terminal.plumb("ingest", written(tmp_path, content))
    assert result.exit_code == 0, result.output
    assert only_body(terminal) == content
    assert f"1 records were left out: `plumb batches refused {UUID(int=1)}`" in result.stdout


def test_bad_rows_of_a_table_are_left_out_and_said(terminal: Terminal, tmp_path: Path) -> None:
    table = written(tmp_path, "document_id,text\n1,民法\n2,\n3,a,b\n4,刑法\n".encode(), "laws.csv")
    result = terminal.plumb("ingest", table)
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["document_id"] for line in only_body(terminal).splitlines()] == ["1", "4"]
    assert "left out" in result.stderr
    assert "row 3 (line 3), column text: String should have at least 1 character" in result.stderr
    assert "row 4 (line 4): it has 3 cells, the header 2" in result.stderr
    assert "nothing was sent" not in result.stderr
    assert "2 rows were left out before sending" in result.stdout
    assert terminal.fails("ingest", table, "--strict")[0] == Exit.BAD_INPUT


def test_strict_is_said_to_ingest_too(terminal: Terminal, tmp_path: Path) -> None:
    terminal.plumb("ingest", written(tmp_path, DOCUMENT.encode()), "--strict")
    assert [upload.strict for upload in terminal.apis.uploads.values()] == [True]


def test_an_upload_that_is_cut_off_goes_on_by_itself(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (DOCUMENT * 20).encode()
    cuts = iter([False, True, False, False, True, True, False, True])
    patch = httpx.Client.patch

    def cut_off(client: httpx.Client, url: str, **arguments: object) -> httpx.Response:
        if next(cuts, False):
            # Half of the piece comes, and the answer never does.
            arguments["content"] = arguments["content"][:50]  # type: ignore[index]
            patch(client, url, **{**arguments, "headers": {**arguments["headers"], "upload-complete": "?0"}})  # type: ignore[dict-item, arg-type]
            raise httpx.ReadError("cut")
        return patch(client, url, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx.Client, "patch", cut_off)
    result = terminal.plumb("ingest", written(tmp_path, content))
    assert result.exit_code == 0, result.output
    assert only_body(terminal) == content


def test_the_same_command_goes_on_where_the_one_before_stopped(terminal: Terminal, tmp_path: Path) -> None:
    file = written(tmp_path, (DOCUMENT * 20).encode())
    terminal.apis.num_good = 6
    terminal.apis.problem = Problem(type="urn:x", title="No space is left", status=507, detail="the disk is full")
    code, error = terminal.fails("ingest", file)
    assert (code, type(error)) == (Exit.FAILED, ProblemAnswered)
    before = only_body(terminal)
    assert 0 < len(before) < len(DOCUMENT.encode() * 20)
    terminal.apis.problem = None
    assert terminal.plumb("ingest", file).exit_code == 0
    assert only_body(terminal) == (DOCUMENT * 20).encode(), "the same upload, not another one"
    assert list(terminal.layout.root.glob("upload-*")) == []


def test_a_refused_upload_is_bad_input(terminal: Terminal, tmp_path: Path) -> None:
    terminal.apis.num_good = 2
    terminal.apis.problem = Problem(
        type="urn:plumbline:problem:invalid-documents", title="The batch was refused whole", status=422,
        detail="line 1: not JSON",
    )  # fmt: skip
    code, error = terminal.fails("ingest", written(tmp_path, b"{\n"))
    assert code == Exit.BAD_INPUT
    assert "line 1: not JSON" in str(error)


def test_a_held_batch_is_said_and_no_training_waits_for_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.apis.receipt = {"state": "held", "reasons": ("scripts: at a distance of 0.96",)}
    result = terminal.plumb("ingest", written(tmp_path, DOCUMENT.encode()))
    assert "held: scripts: at a distance of 0.96" in result.stdout
    assert "plumb batches held" in result.stdout
    assert last_batches(terminal.layout, "law") == ()


def held_batch() -> HeldBatch:
    return HeldBatch(
        batch_id=ID,
        domain="law",
        received_at=NOW,
        num_documents=300,
        num_bytes=9_000,
        reasons=("labels: [100%] are new",),
    )


def test_held_batches_are_listed_and_stand_in_the_status(terminal: Terminal) -> None:
    assert "no batch waits" in terminal.plumb("batches", "held").stdout
    terminal.apis.held = (held_batch(),)
    shown = terminal.plumb("batches", "held").stdout
    assert str(ID) in shown
    assert "labels: [100%] are new" in shown
    narrow = terminal.plumb("batches", "held", columns=80).stdout
    assert str(ID) in narrow, "what the next command needs is not cut"
    assert "labels: [100%] are new" in narrow
    assert json.loads(terminal.plumb("batches", "held", "--json").stdout)["batches"][0]["num_documents"] == 300
    assert "1 batches wait for you" in terminal.plumb("status").stdout
    assert json.loads(terminal.plumb("status", "--json").stdout)["held"][0]["batch_id"] == str(ID)


@pytest.mark.parametrize(("verb", "state"), [("accept", "accepted"), ("reject", "rejected")])
def test_decisions_carry_who_why_and_the_operators_token(terminal: Terminal, verb: str, state: str) -> None:
    terminal.apis.held = (held_batch(),)
    result = terminal.plumb("batches", verb, str(ID), "--by", "Lin", "--reason", "looked at it")
    assert state in result.stdout
    path, body = terminal.apis.bodies[-1]
    assert (path, json.loads(body)) == (f"/v1/batches/{ID}/{verb}", {"by": "Lin", "reason": "looked at it"})
    assert terminal.apis.headers["authorization"].startswith("Bearer ")
    everything = json.loads(terminal.plumb("batches", verb, "--all", "--json").stdout)
    assert [one["batch_id"] for one in everything["batches"]] == [str(ID)]
    assert isinstance(terminal.fails("batches", verb)[1], ArgumentRefused)


def test_refused_records_are_printed_or_written(terminal: Terminal, tmp_path: Path) -> None:
    shown = terminal.plumb("batches", "refused", str(ID)).stdout
    assert json.loads(shown)["reason"] == "not JSON"
    path = tmp_path / "refused.jsonl"
    assert "1 records in" in terminal.plumb("batches", "refused", str(ID), "--output", str(path)).stdout
    assert json.loads(path.read_text())["line"] == 3


def test_what_a_batch_holds_and_what_a_domain_got_is_shown(terminal: Terminal) -> None:
    shown = terminal.plumb("batches", "statistics", str(ID)).stdout
    assert "rejected; rejected by Lin: a novel" in shown
    assert "zh 99.7%, en 0.3%" in shown
    assert "[label] 7 10.0% and 2 more; diversity 3.3 bits" in shown
    assert "25.0% of 40 dated ones" in shown
    assert "known before, word for word" in shown
    assert json.loads(terminal.plumb("batches", "statistics", str(ID), "--json").stdout)["num_refused_documents"] == 2
    assert "medicine, 7 accepted batches" in terminal.plumb("batches", "statistics", "--domain", "medicine").stdout
    assert terminal.apis.bodies[-1][0] == "/v1/domains/medicine/statistics"
