"""Tables and texts become documents; what is not one is refused with file, row and column."""

import csv
import gzip
import io
import json
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from shared.cli.batches import Reading, batches_of, check, lines_of, runs_of
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.ingest_columns import columns_given, derived_id
from shared.cli.ingest_files import Format, readable_twice, source_of
from shared.cli.ingest_text import Split, csv_lines, decoded, encoding_named, text_lines

ARTICLE = "用人单位自用工之日起即与劳动者建立劳动关系。"
TABLE = f'document_id,text,label\n1,"{ARTICLE}",社会法\n2,"第一条 ""公民""，\n第二条",\n'


def documents(path: Path, reading: Reading | None = None) -> list[dict[str, Any]]:
    with readable_twice([source_of(path)]) as sources:
        return [json.loads(line) for source in sources for line in lines_of(source, reading or Reading())]


def table(tmp_path: Path, content: str | bytes, name: str = "laws.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, reading: Reading | None = None) -> str:
    with pytest.raises(FileRefused) as refused:
        documents(path, reading)
    assert refused.value.next_step
    assert path.as_posix() in str(refused.value)
    assert "nothing was sent" in str(refused.value)
    return f"{refused.value} {refused.value.next_step}"


# ---- CSV


def test_a_csv_with_a_header_becomes_documents(tmp_path: Path) -> None:
    assert documents(table(tmp_path, TABLE)) == [
        {"document_id": "1", "text": ARTICLE, "label": "社会法"},
        {"document_id": "2", "text": '第一条 "公民"，\n第二条'},
    ]


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=30)


@given(
    rows=st.lists(st.tuples(CELLS.filter(str.strip), CELLS.filter(str.strip)), min_size=1, max_size=20),
    delimiter=st.sampled_from(",;\t|"),
    # With a bare newline as its end of a row, Python's writer leaves a carriage return in a cell without quotes.
    written=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_spreadsheet_writes_is_read_as_it_was(rows, delimiter, written, encoding) -> None:
    quoting, ending = written
    content = io.StringIO(newline="")
    writer = csv.writer(content, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerows([("text", "group"), *rows])
    file = io.BufferedReader(io.BytesIO(content.getvalue().encode(encoding)))
    named = encoding if encoding == "gb18030" else None
    with decoded(file, name="laws.csv", encoding=named) as text:
        found = [json.loads(line) for line in csv_lines(text, {})]
    assert [(document["text"], document["group"]) for document in found] == rows


@given(st.binary(max_size=300), st.sampled_from(["utf-8", None, "gb18030", "utf-16"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes, encoding: str | None) -> None:
    for prefix in (b"", b"text,label\n"):
        file = io.BufferedReader(io.BytesIO(prefix + content))
        with suppress(FileRefused), decoded(file, name="laws.csv", encoding=encoding) as text:
            assert all(json.loads(line) for line in csv_lines(text, {}))


def test_columns_can_be_named(tmp_path: Path) -> None:
    reading = Reading(columns=columns_given(["text=正文", "label=部门", "published_on=日期", "document_id=编号"]))
    path = table(tmp_path, f"编号;备注; 正文 ;部门;日期\n7;x;{ARTICLE};刑法;2025/1/3\n8;x;{ARTICLE};;2025年1月3日\n")
    assert documents(path, reading) == [
        {"document_id": "7", "text": ARTICLE, "label": "刑法", "published_on": "2025-01-03"},
        {"document_id": "8", "text": ARTICLE, "published_on": "2025-01-03"},
    ]


def test_without_an_id_the_text_names_the_document(tmp_path: Path) -> None:
    assert documents(table(tmp_path, f"Text\n{ARTICLE}\n\n")) == [{"document_id": derived_id(ARTICLE), "text": ARTICLE}]


@pytest.mark.parametrize("option", ["正文", "body=正文", "text=", "=正文"])
def test_a_column_that_names_no_field_is_refused(option: str) -> None:
    with pytest.raises(ArgumentRefused, match="is not FIELD=COLUMN"):
        columns_given([option])


def test_excels_hint_and_empty_rows_are_passed_over(tmp_path: Path) -> None:
    path = table(tmp_path, f"sep=;\r\ndocument_id;text\r\n;\r\n1;{ARTICLE}\r\n\r\n;\r\n")
    assert [document["document_id"] for document in documents(path)] == ["1"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("id,content\n1,x\n", "no column 'text'; nothing was sent. The columns are: id, content Say which one"),
        ("text,TEXT \n1,x\n", "the column 'text' is there 2 times"),
        ("document_id,text\n1,a\n2,b,c\n", "row 3 (line 3): it has 3 cells, the header 2"),
        ("document_id,text\n1,a\n2\n", "row 3 (line 3): it has 1 cells, the header 2"),
        ('document_id,text\n1,"a\nb"\n,c\n', "row 3 (line 4), column document_id: String should have at least 1 char"),
        ("document_id,text\n1,\n", "row 2 (line 2), column text: String should have at least 1 character"),
        ("text,published_on\nx,2025-02-30\n", "row 2 (line 2), column published_on: Input should be a valid date"),
        ("text,published_on\nx,soon\n", "row 2 (line 2), column published_on: Input should be a valid date"),
        ('document_id,text\n1,"a\n2,b\n', "unexpected end of data"),
        ('document_id,text\n1,"a"b\n', "row 2 (line 2): ',' expected after '\"'"),
        (f"text\n{'法' * 200_001}\n", "row 2 (line 2), column text: String should have at most 200000 characters"),
        (f"text\n{'x' * 2_000_000}\n", ":2: the line is longer than 1,048,576 characters"),
        ('text\n"' + "x\n" * 1_000_000, "field larger than field limit"),
        (f"text\n{chr(1) * 190_000}\n", "as JSON the document is longer than 1,048,576 bytes"),
    ],
)
def test_a_row_that_is_no_document_is_refused(tmp_path: Path, content: str, what: str) -> None:
    assert what in refusal(table(tmp_path, content))


def test_gb18030_is_refused_with_the_way_out_and_read_by_it(tmp_path: Path) -> None:
    path = table(tmp_path, f"text,备注\n{ARTICLE},无\n".encode("gb18030"))
    refused = refusal(path)
    assert "not text in utf-8" in refused
    assert "--encoding gb18030" in refused
    assert "text,备注" in refused
    assert documents(path, Reading(encoding=encoding_named("GB18030")))[0]["text"] == ARTICLE


def test_an_encoding_that_there_is_not_is_refused() -> None:
    with pytest.raises(ArgumentRefused, match="klingon"):
        encoding_named("klingon")


def test_an_empty_table_holds_no_document(tmp_path: Path) -> None:
    for content in ("", "\n \n", "document_id,text\n"):
        with pytest.raises(FileRefused, match="holds no document"):
            check([source_of(table(tmp_path, content))], Reading())


# ---- plain text


def test_a_text_file_is_a_document_under_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("laws").mkdir()
    Path("laws/刑法.txt").write_text(f"\ufeff{ARTICLE}\n第二条\n", encoding="utf-8")
    assert documents(Path("laws/刑法.txt")) == [{"document_id": "laws/刑法.txt", "text": f"{ARTICLE}\n第二条\n"}]


def test_each_line_is_a_document_if_it_is_said_so(tmp_path: Path) -> None:
    path = table(tmp_path, f"{ARTICLE}\r\n \r\n第二条", "laws.txt")
    assert [document["text"] for document in documents(path, Reading(split=Split.LINES))] == [ARTICLE, "第二条"]


@pytest.mark.parametrize(
    ("text", "what"), [(" \n", "holds no text"), ("法" * 200_001, "longer than 200,000 characters")]
)
def test_a_text_that_is_no_document_is_refused(tmp_path: Path, text: str, what: str) -> None:
    assert what in refusal(table(tmp_path, text, "laws.txt"))


def test_a_text_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    assert len(documents(table(tmp_path, "法" * 200_000, "laws.txt"))[0]["text"]) == 200_000


def test_text_files_share_batches(tmp_path: Path) -> None:
    paths = [table(tmp_path, f"{ARTICLE}{number}", f"{number}.txt") for number in range(7)]
    sources = [source_of(path) for path in [*paths, table(tmp_path, TABLE)]]
    assert [len(run) for run in runs_of(sources, Reading())] == [7, 1]
    assert [len(run) for run in runs_of(sources, Reading(split=Split.LINES))] == [1] * 8
    assert [batch.num_documents for batch in batches_of(sources[:7], Reading())] == [7]


def test_reading_goes_on_after_text_that_was_not_read_to_its_end() -> None:
    with decoded(io.BufferedReader(io.BytesIO(b"a\nb\n")), name="x", encoding=None) as text:
        assert json.loads(next(text_lines(text, Split.LINES)))["text"] == "a"


# ---- Parquet


def write_parquet(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = tmp_path / "laws.parquet"
    parquet.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_becomes_documents_whatever_its_types(tmp_path: Path) -> None:
    columns = {
        "document_id": [1, 2],
        "text": pa.array([ARTICLE.encode(), b"b"], pa.binary()),
        "label": pa.array(["刑法", None]).dictionary_encode(),
        "published_on": [datetime(2025, 1, 3), None],  # noqa: DTZ001
        "group": [7, 8],
        "vector": [[1.0], [2.0]],
    }
    assert documents(write_parquet(tmp_path, columns)) == [
        {"document_id": "1", "text": ARTICLE, "label": "刑法", "group": "7", "published_on": "2025-01-03"},
        {"document_id": "2", "text": "b", "group": "8"},
    ]


def test_parquet_rows_are_all_there_across_batches_and_row_groups(tmp_path: Path) -> None:
    columns = {"text": [f"{ARTICLE}{number}" for number in range(3_333)], "published_on": [date(2025, 1, 3)] * 3_333}
    found = documents(write_parquet(tmp_path, columns, row_group_size=700, compression="zstd"))
    assert [document["text"] for document in found] == columns["text"]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"content": ["x"]}, "no column 'text'; nothing was sent. The columns are: content"),
        ({"text": ["x", None]}, "row 2, column text: String should have at least 1 character"),
        ({"text": [1.5]}, "row 1, column text: Input should be a valid string"),
        ({"text": [b"\xff"]}, "row 1, column text: Input should be a valid string"),
        ({"text": ["x"], "label": [True]}, "row 1, column label: Input should be a valid string"),
    ],
)
def test_a_parquet_row_that_is_no_document_is_refused(tmp_path: Path, columns: dict[str, Any], what: str) -> None:
    assert what in refusal(write_parquet(tmp_path, columns))


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    good = write_parquet(tmp_path, {"text": ["x"] * 1_000}).read_bytes()
    for content in (b"", b"no parquet", good[:-7], good[100:]):
        assert "cannot be read as Parquet" in refusal(table(tmp_path, content, "bad.parquet"))


def test_labels_and_entities_are_read_from_cells_and_from_lists(tmp_path: Path) -> None:
    entities = [{"start": 0, "end": 2, "label": "行业"}]
    rows = {"document_id": ["1"], "text": ["证券业务"], "labels": ["刑法； 金融"], "entities": [json.dumps(entities)]}
    as_cells = documents(table(tmp_path, csv_of(rows).encode(), "cells.csv"))
    as_lists = documents(write_parquet(tmp_path, rows | {"labels": [["刑法", "金融"]], "entities": [entities]}))
    assert (
        as_cells
        == as_lists
        == [{"document_id": "1", "text": "证券业务", "labels": ["刑法", "金融"], "entities": entities}]
    )


def test_an_entity_outside_of_its_text_is_refused(tmp_path: Path) -> None:
    rows = {"document_id": ["1"], "text": ["证券"], "entities": ['[{"start": 0, "end": 3, "label": "行业"}]']}
    assert "does not lie in the text of 2 characters" in refusal(table(tmp_path, csv_of(rows).encode(), "cells.csv"))


def csv_of(columns: dict[str, list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([columns, *zip(*columns.values(), strict=True)])
    return out.getvalue()


# ---- files


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_are_read_and_damaged_ones_refused(tmp_path: Path, suffix: str) -> None:
    compress = {".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = table(tmp_path, compress(TABLE.encode()) + compress(b"3,third,\n"), f"laws.csv{suffix}")
    assert [document["document_id"] for document in documents(path)] == ["1", "2", "3"]
    packed = write_parquet(tmp_path, {"text": [ARTICLE]}).read_bytes()
    assert documents(table(tmp_path, compress(packed), f"laws.parquet{suffix}"))[0]["text"] == ARTICLE
    whole = compress(TABLE.encode() * 10)
    for content in (whole[:-9], whole[: len(whole) // 2], b"no such thing", compress(b"text\nx\n") + whole[:10]):
        assert "cannot be decompressed" in refusal(table(tmp_path, content, f"bad.csv{suffix}"))


def test_a_zstd_bomb_is_not_held_whole(tmp_path: Path) -> None:
    bomb = zstandard.compress(b"text\n" + b"x" * 200_000_000, level=3)
    assert len(bomb) < 100_000
    assert "longer than 1,048,576 characters" in refusal(table(tmp_path, bomb, "bomb.csv.zst"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", (Format.JSONL, "")), ("a.CSV", (Format.CSV, "")), ("a.b.tsv.gz", (Format.CSV, ".gz")),
        ("a.txt.zst", (Format.TEXT, ".zst")), ("a", (Format.JSONL, "")), ("a.gz", (Format.JSONL, ".gz")),
    ],
)  # fmt: skip
def test_names_say_what_files_are(name: str, expected: tuple[Format, str]) -> None:
    source = source_of(Path(name))
    assert (source.format, source.compression) == expected
    assert source_of(Path(name), Format.PARQUET).format is Format.PARQUET
