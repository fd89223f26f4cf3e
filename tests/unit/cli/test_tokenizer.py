"""`plumb tokenizer cut`, with its real child process."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from contracts.corpus import Document
from shared.cli.errors import FileRefused
from shared.cli.exits import Exit
from shared.corpus import is_held_out
from shared.vocabulary_cut import CutReport
from tests.unit.cli.conftest import Terminal
from tests.unit.tokenizer_builder.general_model import TEXTS, save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("general")
    save(folder)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    documents = [Document(document_id=str(number), text=text) for number, text in enumerate(TEXTS)]
    path.write_text("".join(document.model_dump_json(exclude_none=True) + "\n" for document in documents))
    return path


def test_a_model_is_cut_and_the_report_says_what_it_saved(
    terminal: Terminal, model: Path, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "cut"
    result = terminal.plumb(
        "tokenizer", "cut", str(model), "--corpus", str(corpus), "--output", str(output), "--coverage", "0.9", "--json"
    )
    assert result.exit_code == Exit.OK, result.output
    report = CutReport.model_validate_json(result.stdout)
    assert report.coverage >= 0.9
    assert report.vocab_after < report.vocab_before
    held_out = sum(len(text) for number, text in enumerate(TEXTS) if is_held_out(str(number)))
    assert report.num_chars_held_out == held_out > 0
    assert report.num_chars == sum(map(len, TEXTS))
    assert len(AutoTokenizer.from_pretrained(output)) == report.vocab_after


def test_several_files_of_all_kinds_are_a_corpus_and_people_read_the_report(
    terminal: Terminal, model: Path, corpus: Path, tmp_path: Path
) -> None:
    text = tmp_path / "law.txt"
    text.write_text("民法调整平等主体的自然人、法人和非法人组织之间的人身关系和财产关系。")
    files = ("--corpus", str(corpus), "--corpus", str(text))
    result = terminal.plumb("tokenizer", "cut", str(model), *files, "--output", str(tmp_path / "cut"))
    assert result.exit_code == Exit.OK, result.output
    for words in ("% saved", "tokens stay whole", "in held-out text", "tokens a character", "round trip   100.00%"):
        assert words in result.stdout


def test_a_corpus_of_nothing_but_held_out_documents_is_counted_all_the_same(
    terminal: Terminal, model: Path, tmp_path: Path
) -> None:
    group = next(str(number) for number in range(100) if is_held_out(str(number)))
    corpus = tmp_path / "one.jsonl"
    corpus.write_text(json.dumps({"document_id": "1", "text": TEXTS[0], "group": group}) + "\n")
    result = terminal.plumb(
        "tokenizer", "cut", str(model), "--corpus", str(corpus), "--output", str(tmp_path / "cut"), "--json"
    )
    report = CutReport.model_validate_json(result.stdout)
    assert report.coverage_held_out is None
    assert report.coverage >= 0.95


def test_what_cannot_be_cut_is_refused_with_its_reason(
    terminal: Terminal, model: Path, corpus: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    arguments = ("--corpus", str(corpus), "--output", str(tmp_path / "cut"))
    code, error = terminal.fails("tokenizer", "cut", str(other), *arguments)
    assert code == Exit.BAD_INPUT
    assert "models of type bert cannot be cut; those of type llama" in str(error)
    assert not (tmp_path / "cut").exists()


def test_an_empty_corpus_and_a_wrong_coverage_are_refused(terminal: Terminal, model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    arguments = ("--corpus", str(empty), "--output", str(tmp_path / "cut"))
    _, error = terminal.fails("tokenizer", "cut", str(model), *arguments)
    assert isinstance(error, FileRefused)
    assert terminal.plumb("tokenizer", "cut", str(model), *arguments, "--coverage", "95").exit_code == Exit.USAGE
    absent = ("--corpus", str(tmp_path / "none.jsonl"), "--output", str(tmp_path / "cut"))
    assert terminal.plumb("tokenizer", "cut", str(model), *absent).exit_code == Exit.USAGE
