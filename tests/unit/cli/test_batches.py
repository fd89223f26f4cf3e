import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import MAX_DOCUMENTS_PER_BATCH
from shared.cli import batches
from shared.cli.batches import MAX_BATCH_BYTES, Batch, Census, Reading, check, documents_in
from shared.cli.errors import FileRefused
from shared.cli.ingest_columns import MAX_LINE_BYTES
from shared.cli.ingest_files import source_of

ARTICLE = "民事主体的人身权利、财产权利以及其他合法权益受法律保护，任何组织或者个人不得侵犯。"


def line(number: int = 1, text: str = ARTICLE) -> str:
    return json.dumps({"document_id": str(number), "text": text, "label": "民商法"}, ensure_ascii=False)


def jsonl(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return path


def batches_of(path: Path) -> list[Batch]:
    return list(batches.batches_of([source_of(path)], Reading()))


def check_file(path: Path) -> Census:
    return check([source_of(path)], Reading())


def refusal(path: Path) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        check_file(path)
    assert refused.value.next_step
    return refused.value


def test_a_file_is_cut_at_10000_documents(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "laws.jsonl", *(line(number) for number in range(12_001)))
    assert check_file(path) == Census(12_001, path.stat().st_size, 2)
    assert [batch.num_documents for batch in batches_of(path)] == [10_000, 2_001]
    assert b"".join(batch.body for batch in batches_of(path)) == path.read_bytes()


def test_a_file_is_cut_at_8_megabytes(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "laws.jsonl", *(line(number, "法" * 190_000) for number in range(40)))
    cut = batches_of(path)
    assert sum(batch.num_documents for batch in cut) == 40
    assert len(cut) == 3
    assert all(len(batch.body) <= MAX_BATCH_BYTES for batch in cut)


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=40), st.sampled_from(["\n", "\r\n", "\n\n \n"]))
@settings(max_examples=100, deadline=None)
def test_batches_hold_every_document_once_in_order(texts: list[str], ending: str) -> None:
    content = "".join(line(number, text) + ending for number, text in enumerate(texts)).encode()
    seen = [json.loads(document) for document in documents_in(io.BytesIO(content), name="laws.jsonl")]
    assert [document["text"] for document in seen] == texts


def test_limits_hold_whatever_the_lines_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 1_000)
    path = jsonl(tmp_path / "laws.jsonl", *(line(number, "法" * (number % 200 + 1)) for number in range(300)))
    cut = batches_of(path)
    assert all(len(batch.body) <= 1_000 and batch.num_documents <= MAX_DOCUMENTS_PER_BATCH for batch in cut)
    assert b"".join(batch.body for batch in cut) == path.read_bytes()


def test_a_last_line_without_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "laws.jsonl"
    path.write_text(line(), encoding="utf-8")
    assert [batch.body for batch in batches_of(path)] == [f"{line()}\n".encode()]


def test_a_line_beyond_1_mib_is_refused_with_its_number_and_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "laws.jsonl"
    with path.open("wb") as file:
        file.write(f"{line()}\n".encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    refused = refusal(path)
    assert f"{path}:2:" in str(refused)
    assert f"{MAX_LINE_BYTES:,}" in str(refused)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ('{"document_id": "2"', "JSON"),
        ("[]", "object"),
        ('{"document_id": "2"}', "text: Field required"),
        ('{"document_id": "2", "text": ""}', "text: String should have at least 1 character"),
        ('{"document_id": 2, "text": "x"}', "document_id: Input should be a valid string"),
        ("\ufeff{}", "JSON"),
    ],
)
def test_a_line_that_is_no_document_is_refused_with_its_number_and_field(tmp_path: Path, bad: str, what: str) -> None:
    refused = refusal(jsonl(tmp_path / "laws.jsonl", line(), "", bad, line()))
    assert f"{tmp_path / 'laws.jsonl'}:3:" in str(refused)
    assert what in str(refused)


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_document(tmp_path: Path) -> None:
    path = tmp_path / "laws.jsonl"
    path.write_text(f"{line()}\n", encoding="utf-8-sig")
    assert [batch.body for batch in batches_of(path)] == [f"{line()}\n".encode()]


def test_an_id_may_stand_for_several_texts_of_one_date_of_several_or_of_none(tmp_path: Path) -> None:
    old, new = (
        f'{{"document_id": "1", "text": "{text}", "published_on": "{day}"}}'
        for text, day in (("一年", "2009-08-27"), ("三年", "2018-10-26"))
    )
    lines = (old, new, new.replace("三年", "五年"), line(), line(1, "x"))
    [batch] = batches_of(jsonl(tmp_path / "a.jsonl", *lines))
    assert batch.body.decode().splitlines() == list(lines)


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "laws.jsonl"
    path.write_bytes('{"document_id": "1", "text": "法律"}'.encode("gbk"))
    assert f"{path}:1:" in str(refusal(path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "holds no document" in str(refusal(jsonl(tmp_path / "laws.jsonl", "", "  ")))
