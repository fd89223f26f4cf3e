"""`plumb augment`: a file of made documents, none of them from what is held out."""

import json
from pathlib import Path

import pytest

from contracts.corpus import Document
from shared.annotation.records import text_digest
from shared.augmentation.chat import TranslationUnavailable
from shared.augmentation.records import meaning_markers
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from tests.unit.augmentation.test_chat import Server, server
from tests.unit.cli.conftest import Terminal

__all__ = ["server"]

LEXICON = "规定, 条款\n依照 => 按照\n企业 公司\n报告 汇报\n建立 设立\n终止 结束\n"


@pytest.fixture
def laws(tmp_path: Path) -> Path:
    return written(tmp_path / "laws.jsonl", list(load_statutes().first[:2_000]))


def written(path: Path, documents: list[Document]) -> Path:
    path.write_text("".join(one.model_dump_json() + "\n" for one in documents), encoding="utf-8")
    return path


def documents_in(path: Path) -> list[Document]:
    return [Document.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_synonyms_of_statutes(terminal: Terminal, tmp_path: Path, laws: Path) -> None:
    lexicon, terms, output = tmp_path / "synonyms.txt", tmp_path / "terms.txt", tmp_path / "made.jsonl"
    lexicon.write_text(LEXICON, encoding="utf-8")
    terms.write_text("国有企业\n", encoding="utf-8")
    command = ("augment", "synonyms", str(laws), "--lexicon", str(lexicon), "--output", str(output))

    result = terminal.plumb(*command, "--terms", str(terms), "--share", "0.5")

    assert result.exit_code == 0, result.output
    made = documents_in(output)
    # Some articles stand word for word in two laws.
    originals = {(text_digest(one.text), one.split_group): one for one in documents_in(laws)}
    assert len(made) > 300
    assert f"{len(made):,} documents made" in result.output
    assert "held out for evaluation" in result.output
    for one in made:
        original = originals[str(one.augmented_from), one.split_group]
        assert not is_held_out(one.split_group)
        assert one.label == original.label
        assert one.text != original.text
        assert meaning_markers(one.text) == meaning_markers(original.text)
        assert original.text.count("国有企业") == one.text.count("国有企业")
    first = output.read_bytes()
    assert terminal.plumb(*command, "--terms", str(terms), "--share", "0.5").exit_code == 0
    assert output.read_bytes() == first

    # Nothing is made of what was made.
    result = terminal.plumb(
        "augment", "synonyms", str(output), "--lexicon", str(lexicon), "--output", str(tmp_path / "again")
    )
    assert f"left out: {len(made):,} (made themselves)" in result.output

    assert terminal.plumb("ingest", str(output)).exit_code == 0
    sent = b"".join(upload.body for upload in terminal.apis.uploads.values()).splitlines()
    assert [json.loads(line)["augmented_from"] for line in sent] == [one.augmented_from for one in made]


def test_back_translation_by_an_endpoint(terminal: Terminal, tmp_path: Path, server: Server) -> None:
    open_group = next(name for name in map(str, range(100)) if not is_held_out(name))
    texts = ("向主管部门汇报。", "由法院审理。")
    documents = [Document(document_id=text, text=text, group=open_group) for text in texts]
    files, output = written(tmp_path / "few.jsonl", documents), tmp_path / "made.jsonl"
    command = (
        "augment",
        "back-translation",
        str(files),
        "--url",
        server.endpoint.base_url,
        "--model",
        "m",
        "--output",
        str(output),
    )

    result = terminal.plumb(*command, "--api-key", "k")

    assert result.exit_code == 0, result.output
    assert [one.text for one in documents_in(output)] == ["报告主管机关。", "由法院审判。"]
    assert {one.document_id.partition("#")[2].rpartition("-")[0] for one in documents_in(output)} == {
        "back-translation"
    }
    assert server.requests[0][1] == "Bearer k"

    server.status = 503
    error = terminal.fails(*command)[1]
    assert isinstance(error, TranslationUnavailable)
    assert documents_in(output) == []


def test_what_is_refused(terminal: Terminal, tmp_path: Path, laws: Path) -> None:
    lexicon = tmp_path / "synonyms.txt"
    command = ("augment", "synonyms", str(laws), "--lexicon", str(lexicon), "--output")
    for content, says in (("企业\n".encode(), "line 1 names no synonym"), ("企业 公司".encode("gb18030"), "not UTF-8")):
        lexicon.write_bytes(content)
        error = terminal.fails(*command, str(tmp_path / "made.jsonl"))[1]
        assert isinstance(error, FileRefused)
        assert says in str(error)
    assert isinstance(terminal.fails(*command, str(tmp_path / "none" / "made.jsonl"))[1], ArgumentRefused)
    assert not (tmp_path / "made.jsonl").exists()
