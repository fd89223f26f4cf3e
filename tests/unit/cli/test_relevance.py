"""`plumb relevance`: a model is fitted to a corpus, and shows what it would reject."""

import json
from pathlib import Path

import pytest

from contracts.corpus import Document
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.demo.statutes import load_statutes
from shared.relevance.fit import TooFewDocuments
from shared.relevance.model import RelevanceModel
from tests.unit.cli.conftest import Terminal

FOREIGN = (
    "周末和朋友去看了电影，散场以后沿着河边慢慢走回家，路上买了两串烤鱿鱼。",
    "[新手]这款耳机音质不错，就是戴久了耳朵疼，客服回复也慢，总体给三颗星。",
)


def written(path: Path, documents: list[Document]) -> Path:
    path.write_text("".join(one.model_dump_json() + "\n" for one in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def laws() -> list[Document]:
    return [one for one in load_statutes().first if len(one.text) >= 20][:4_000]


def test_a_model_of_statutes_tells_what_is_none(terminal: Terminal, tmp_path: Path, laws: list[Document]) -> None:
    model = tmp_path / "law.relevance"
    result = terminal.plumb("relevance", "fit", str(written(tmp_path / "laws.jsonl", laws)), "--output", str(model))
    assert result.exit_code == 0, result.output
    assert "4,000 documents" in result.output

    others = [Document(document_id=f"f{number}", text=text) for number, text in enumerate(FOREIGN)]
    mixed = written(tmp_path / "mixed.jsonl", [*laws[:200], *others])
    found = json.loads(
        terminal.plumb("relevance", "score", str(mixed), "--model", str(model), "--lowest", "2", "--json").stdout
    )

    assert found["counts"]["off-domain"] == 2
    assert found["counts"]["keep"] >= 190
    assert {one["document_id"] for one in found["lowest"]} == {"f0", "f1"}
    assert found["lowest"][0]["score"] < found["reject_below"] < found["flag_below"] < found["typical"]
    shown = terminal.plumb("relevance", "score", str(mixed), "--model", str(model)).stdout
    assert "2 off-domain" in shown
    assert "[新手]这款耳机" in shown

    # The parts in which files are read do not matter.
    again = tmp_path / "again.relevance"
    files = [written(tmp_path / f"{side}.jsonl", part) for side, part in (("b", laws[1_000:]), ("a", laws[:1_000]))]
    assert terminal.plumb("relevance", "fit", *map(str, files), "--output", str(again)).exit_code == 0
    assert again.read_bytes() == model.read_bytes()
    assert RelevanceModel.from_bytes(model.read_bytes()).counts.num_documents == 4_000


def test_what_is_refused(terminal: Terminal, tmp_path: Path, laws: list[Document]) -> None:
    few = str(written(tmp_path / "few.jsonl", laws[:10]))
    assert isinstance(terminal.fails("relevance", "fit", few, "--output", str(tmp_path / "m"))[1], TooFewDocuments)
    nowhere = str(tmp_path / "none" / "m")
    assert isinstance(terminal.fails("relevance", "fit", few, "--output", nowhere)[1], ArgumentRefused)
    broken = tmp_path / "broken.relevance"
    broken.write_bytes(b"PLRM")
    error = terminal.fails("relevance", "score", few, "--model", str(broken))[1]
    assert isinstance(error, FileRefused)
    assert "fit the model again" in str(error.next_step)
