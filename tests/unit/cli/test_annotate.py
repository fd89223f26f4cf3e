"""`plumb annotate`: a round goes out as a folder, and what the tool exports comes back as documents that are sent."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from contracts.corpus import CorpusVersioned, Document
from shared.artifacts import ArtifactStore
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.exits import Exit
from tests.corpora import write_version
from tests.unit.cli.conftest import Terminal

NOW = datetime(2025, 6, 1, tzinfo=UTC)
DOCUMENTS = (
    Document(document_id="劳动合同法/7", text="用人单位自用工之日起即与劳动者建立劳动关系。", group="劳动合同法"),
    Document(document_id="行政诉讼法/15", text="中级人民法院管辖下列第一审行政案件。", label="诉讼法"),
)
FOLDED = "round-1"


@pytest.fixture
def statutes(tmp_path: Path) -> Path:
    path = tmp_path / "statutes.jsonl"
    path.write_text("".join(one.model_dump_json() + "\n" for one in DOCUMENTS), encoding="utf-8")
    return path


def exported_by_label_studio(folder: Path, answers: dict[str, str]) -> Path:
    """What an annotator makes of the tasks: an answer for some of the documents."""
    tasks = json.loads((folder / "label-studio.json").read_text(encoding="utf-8"))
    for task in tasks:
        answer = answers.get(task["data"]["document_id"])
        result = [{"type": "choices", "value": {"choices": [answer]}}]
        task["annotations"] = [{"completed_by": 7, "result": result}] if answer else []
    path = folder.parent / "project-1.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def test_label_studio_there_and_back(terminal: Terminal, tmp_path: Path, statutes: Path) -> None:
    folder = tmp_path / FOLDED
    asked = ("--round", str(folder), "--tool", "label-studio", "--task", "class", "--label", "社会法")
    result = terminal.plumb("annotate", "export", str(statutes), *asked, "--domain", "medicine")
    assert result.exit_code == 0, result.output
    assert "2 documents in" in result.output
    assert "社会法" in (folder / "label-studio-config.xml").read_text(encoding="utf-8")
    labelled = exported_by_label_studio(folder, {"劳动合同法/7": "社会法"})
    os.utime(labelled, (NOW.timestamp(), NOW.timestamp()))

    result = terminal.plumb("annotate", "import", str(labelled), "--round", str(folder))

    assert result.exit_code == 0, result.output
    assert "1 documents labelled by 1 annotator, 1 not annotated, 0 disputed" in result.output
    [upload] = terminal.apis.uploads.values()
    assert upload.domain == "medicine"
    sent = Document.model_validate_json(upload.body)
    assert sent == DOCUMENTS[0].model_copy(update={"label": "社会法", "annotated_at": NOW})


def test_doccano_by_two_people(terminal: Terminal, tmp_path: Path, statutes: Path) -> None:
    folder = tmp_path / FOLDED
    asked = ("--round", str(folder), "--tool", "doccano", "--task", "entities")
    assert terminal.plumb("annotate", "export", str(statutes), *asked).exit_code == 0
    lines = [json.loads(line) for line in (folder / "doccano.jsonl").read_text(encoding="utf-8").splitlines()]
    files = []
    for name, spans in (("li", [[[0, 4, "主体"]], [[0, 6, "机关"]]]), ("wu", [[[0, 4, "主体"]], [[2, 6, "机关"]]])):
        files.append(tmp_path / f"{name}.jsonl")
        answered = [
            line | {"id": at, "label": label} for at, (line, label) in enumerate(zip(lines, spans, strict=True))
        ]
        strange = {"text": "谁也不知道的文本。", "label": [[0, 1, "主体"]], "document_id": "x"}
        files[-1].write_text("".join(json.dumps(one) + "\n" for one in (*answered, strange)), encoding="utf-8")

    result = terminal.plumb("annotate", "import", *map(str, files), "--round", str(folder), "--dry-run")

    assert result.exit_code == 0, result.output
    assert "1 documents labelled by 2 annotators, 0 not annotated, 1 disputed" in result.output
    assert "undecided 行政诉讼法/15" in result.output
    assert "wu.jsonl, row 3: no document of this round has the id 'x'" in result.output
    assert terminal.apis.uploads == {}
    document = Document.model_validate_json((folder / "labelled.jsonl").read_bytes())
    assert [(one.start, one.end, one.label) for one in document.entities] == [(0, 4, "主体")]
    assert document.group == "劳动合同法"


def test_without_files_the_newest_corpus_version_goes_out(terminal: Terminal, tmp_path: Path) -> None:
    store = ArtifactStore(terminal.layout.artifacts_url)
    event = CorpusVersioned(
        event_id=UUID(int=1), causation_id=None, occurred_at=NOW, domain="law", corpus_digest=write_version(store, DOCUMENTS),
        parent_corpus_digest=None, number=1, num_documents=2, num_new_documents=2, batch_ids=(),
        training_request_id=None,
    )  # fmt: skip
    store.write_ref("corpus/law/latest", event.model_dump_json().encode())
    folder = tmp_path / FOLDED

    asked = ("--round", str(folder), "--tool", "doccano", "--task", "class", "--only-unlabelled")
    result = terminal.plumb("annotate", "export", *asked)

    assert result.exit_code == 0, result.output
    assert [json.loads(line)["document_id"] for line in (folder / "doccano.jsonl").read_text().splitlines()] == [
        "劳动合同法/7"
    ]
    other = ("--round", str(tmp_path / "other"), "--tool", "doccano", "--task", "class", "--domain", "finance")
    code, error = terminal.fails("annotate", "export", *other)
    assert (code, type(error)) == (Exit.BAD_INPUT, FileRefused)


def test_labels_of_what_stays_at_home_can_be_chosen(terminal: Terminal, tmp_path: Path, statutes: Path) -> None:
    folder = tmp_path / FOLDED
    asked = ("--round", str(folder), "--tool", "label-studio", "--task", "class", "--only-unlabelled")
    assert terminal.plumb("annotate", "export", str(statutes), *asked).exit_code == 0
    assert [one["data"]["document_id"] for one in json.loads((folder / "label-studio.json").read_text())] == [
        "劳动合同法/7"
    ]
    assert "诉讼法" in (folder / "label-studio-config.xml").read_text(encoding="utf-8")


def test_one_text_with_two_labels_is_told(terminal: Terminal, tmp_path: Path) -> None:
    twice = tmp_path / "twice.jsonl"
    copies = [DOCUMENTS[0], DOCUMENTS[0].model_copy(update={"document_id": "copy"})]
    twice.write_text("".join(one.model_dump_json() + "\n" for one in copies), encoding="utf-8")
    folder = tmp_path / FOLDED
    asked = ("--round", str(folder), "--tool", "label-studio", "--task", "class", "--label", "社会法")
    assert terminal.plumb("annotate", "export", str(twice), *asked).exit_code == 0
    labelled = exported_by_label_studio(folder, {"劳动合同法/7": "社会法", "copy": "经济法"})

    result = terminal.plumb("annotate", "import", str(labelled), "--round", str(folder), "--dry-run")

    assert "one text, several labels" in result.output
    assert "copy: 经济法" in result.output


def test_what_is_refused(terminal: Terminal, tmp_path: Path, statutes: Path) -> None:
    folder = tmp_path / FOLDED
    class_asked = ("--round", str(folder), "--tool", "label-studio", "--task", "class")
    unlabelled = tmp_path / "unlabelled.jsonl"
    unlabelled.write_text(DOCUMENTS[0].model_dump_json() + "\n", encoding="utf-8")
    assert isinstance(terminal.fails("annotate", "export", str(unlabelled), *class_asked)[1], ArgumentRefused)
    assert not folder.exists()
    assert terminal.plumb("annotate", "export", str(statutes), *class_asked).exit_code == 0

    code, error = terminal.fails("annotate", "export", str(statutes), *class_asked)
    assert (code, "not empty" in str(error)) == (Exit.USAGE, True)

    broken = tmp_path / "broken.json"
    for content, says in ((b"[{", "no JSON"), (b"\xff\xfe", "utf-8"), (b"[]", "No document was labelled")):
        broken.write_bytes(content)
        code, error = terminal.fails("annotate", "import", str(broken), "--round", str(folder))
        assert code == Exit.BAD_INPUT
        assert says in str(error)

    long = exported_by_label_studio(folder, {"劳动合同法/7": "长" * 101})
    assert "label: String should have at most 100" in str(
        terminal.fails("annotate", "import", str(long), "--round", str(folder))[1]
    )
    assert "is no round" in str(terminal.fails("annotate", "import", str(long), "--round", str(tmp_path / "none"))[1])
    assert terminal.apis.uploads == {}
