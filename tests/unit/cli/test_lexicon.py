"""`plumb lexicon`: files in, terms out, a person's word, and the tokenizer's page."""

import json
from pathlib import Path

import pytest

from shared.cli import lexicon
from shared.cli.errors import ArgumentRefused, FileRefused, PackageMissing
from shared.embedded.layout import operator_token
from tests.unit.cli.apis import SERVING
from tests.unit.cli.conftest import Terminal


def test_a_file_of_terms_is_sent_as_it_is_with_the_operators_token(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    file.write_text("不动产登记簿\n质押 100 n\n", encoding="utf-8")
    result = terminal.plumb("lexicon", "add", str(file), "--domain", "medicine")
    assert result.exit_code == 0, result.output
    assert terminal.apis.bodies == [("/v1/domains/medicine/lexicon/terms", file.read_bytes())]
    assert terminal.apis.headers["authorization"] == f"Bearer {operator_token(terminal.layout)}"
    assert "2 terms, 1 of them new" in result.stdout
    assert json.loads(terminal.plumb("lexicon", "add", str(file), "--json").stdout) == {"num_terms": 2, "num_new": 1}


def test_a_file_in_another_encoding_is_sent_as_utf8(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    file.write_text("不动产登记簿\n", encoding="gb18030")
    assert terminal.plumb("lexicon", "add", str(file), "--encoding", "gb18030").exit_code == 0
    assert terminal.apis.bodies == [("/v1/domains/law/lexicon/terms", "不动产登记簿\n".encode())]
    for encoding, kind in (("ascii", FileRefused), ("klingon", ArgumentRefused)):
        _, error = terminal.fails("lexicon", "add", str(file), "--encoding", encoding)
        assert isinstance(error, kind)
    assert len(terminal.apis.bodies) == 1


def test_a_file_that_is_not_there_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    _, error = terminal.fails("lexicon", "add", str(tmp_path / "gone.txt"))
    assert isinstance(error, FileRefused)
    assert terminal.apis.bodies == []


def test_terms_are_listed_with_what_became_of_each(terminal: Terminal) -> None:
    result = terminal.plumb("lexicon", "list")
    assert result.exit_code == 0, result.output
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:3]] == [
        ["不动产登记簿", "accepted", "user"], ["[red]问题", "filtered", "mined"],
    ]  # fmt: skip
    assert "general: 0.2 times" in result.stdout
    assert f"1 accepted, 1 filtered; lexicon {SERVING[:12]}" in result.stdout
    narrow = terminal.plumb("lexicon", "list", columns=80).stdout.splitlines()
    assert narrow[0].split() == ["term", "status", "from", "score", "count", "why"]
    assert narrow[1].split()[:3] == ["不动产登记簿", "accepted", "user"]
    terminal.plumb("lexicon", "list", "--status", "filtered", "--limit", "7")
    assert terminal.apis.queries[-1] == "limit=7&status=filtered"
    assert json.loads(terminal.plumb("lexicon", "list", "--json").stdout)["num_entries"] == {
        "accepted": 1,
        "filtered": 1,
    }


def test_a_persons_word_is_sent(terminal: Terminal) -> None:
    assert terminal.plumb("lexicon", "accept", "登记簿").stdout == "登记簿: accepted (accepted by a person)\n"
    assert json.loads(terminal.plumb("lexicon", "reject", "登记簿", "--json").stdout)["status"] == "rejected"
    assert [json.loads(body)["decision"] for _, body in terminal.apis.bodies] == ["accept", "reject"]
    _, error = terminal.fails("lexicon", "accept", "长" * 65)
    assert isinstance(error, ArgumentRefused)


def test_the_tokenizers_page_is_written(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "t.html"
    result = terminal.plumb("lexicon", "report", "--output", str(path))
    assert result.exit_code == 0, result.output
    html = path.read_text(encoding="utf-8")
    assert "<h3>filtered: are no terms of the domain</h3>" in html
    assert "[red]问题" in html
    told = json.loads(terminal.plumb("lexicon", "report", "--json").stdout)
    assert told["tokenizer_digest"] in html
    as_json = tmp_path / "t.json"
    result = terminal.plumb("lexicon", "report", "--json", "--output", str(as_json))
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(as_json.read_text(encoding="utf-8")) == told


def test_what_hinders_the_page_is_told(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, error = terminal.fails("lexicon", "report", "--output", str(tmp_path / "nowhere" / "t.html"))
    assert isinstance(error, ArgumentRefused)
    monkeypatch.setattr(lexicon, "find_spec", lambda name: None if name == "matplotlib" else object())
    _, error = terminal.fails("lexicon", "report")
    assert isinstance(error, PackageMissing)
    assert "pip install" in (error.next_step or "")
    assert terminal.plumb("lexicon", "report", "--json").exit_code == 0
