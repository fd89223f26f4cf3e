import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.core.entries import Entry, derived_id, json_entries, lines_of, text_entries, text_entry
from shared.cli import ingest_columns
from shared.errors import InvalidDocuments

ARTICLE = "为了保护专利权人的合法权益，鼓励发明创造，制定本法。"
GOOD = json.dumps({"document_id": "专利法/1", "text": ARTICLE, "label": "民法商法"}, ensure_ascii=False)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def entries(data: bytes, *cuts: int, max_line_bytes: int = 10_000) -> list[Entry]:
    return list(json_entries(pieces(data, list(cuts)), max_line_bytes=max_line_bytes))


@settings(deadline=None)
@given(
    st.binary(max_size=300) | st.lists(st.sampled_from([b"\n", b"\r", b" ", b"a", b"\x0b"]), max_size=80).map(b"".join),
    st.lists(st.integers(0, 300), max_size=6),
    st.integers(1, 40),
)
def test_lines_do_not_depend_on_how_the_bytes_are_cut(data: bytes, cuts: list[int], max_bytes: int) -> None:
    expected = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    found = list(lines_of(pieces(data, cuts), max_bytes=max_bytes))
    assert [(line.number, line.data) for line in found] == [(number, line[:max_bytes]) for number, line in expected]
    assert [line.is_too_long for line in found] == [len(line) > max_bytes for _, line in expected]


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_arbitrary_bytes_are_documents_or_refusals_never_a_crash(data: bytes, cuts: list[int]) -> None:
    num_lines = sum(1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())
    found = entries(data, *cuts)
    assert len(found) == num_lines
    assert all(entry.record is not None or entry.reason for entry in found)


def test_bad_lines_are_told_with_number_reason_and_what_came() -> None:
    found = entries(f"{GOOD}\n\n{{\n{GOOD}".encode(), 7, 90)
    assert [(entry.number, entry.record is not None) for entry in found] == [(1, True), (3, False), (4, True)]
    assert found[1].raw == b"{"
    assert found[1].reason.startswith("not JSON: EOF while parsing")


def test_a_line_that_is_too_long_is_passed_over_and_the_next_is_read() -> None:
    found = entries(
        b'{"document_id": "' + b"x" * 5_000 + f'"}}\n{GOOD}\n'.encode(), 1, 1_000, 3_000, max_line_bytes=1_000
    )
    assert [(entry.number, entry.reason, len(entry.raw)) for entry in found] == [
        (1, "longer than 1,000 bytes", 1_000),
        (2, "", 0),
    ]
    assert found[0].is_cut


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_fine() -> None:
    data = b"\xef\xbb\xbf" + f"{GOOD}\r\n\r\n  \n{GOOD}\r\n".encode()
    assert [entry.record.text for entry in entries(data) if entry.record] == [ARTICLE, ARTICLE]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \t\n"])
def test_blank_lines_cost_next_to_nothing_and_count(blank: bytes) -> None:
    block = blank * (262_144 // len(blank))
    blocks = [*itertools.repeat(block, 100), GOOD.encode()]
    before = time.process_time()
    [entry] = json_entries(blocks, max_line_bytes=1_000)
    assert entry.number == 100 * block.count(b"\n") + 1
    # Each through two parsers took ten microseconds: half a minute and more.
    assert time.process_time() - before < 8


def test_bytes_that_are_not_utf8_are_refused() -> None:
    [entry] = entries('{"document_id": "a", "text": "专利"}'.encode("gb18030"))
    assert entry.reason.startswith("not UTF-8 at byte 32")
    assert "plumb ingest --encoding" in entry.reason
    assert entry.raw == '{"document_id": "a", "text": "专利"}'.encode("gb18030")


def test_lines_of_a_text_are_documents_under_ids_that_follow_from_them() -> None:
    data = f"\ufeff{ARTICLE}\r\n \n{ARTICLE}二\n".encode() + b"\xff\n"
    found = list(text_entries([data], max_line_bytes=1_000))
    assert [(entry.number, entry.record.text) for entry in found if entry.record] == [(1, ARTICLE), (3, f"{ARTICLE}二")]
    assert found[0].record is not None
    assert found[0].record.document_id == derived_id(ARTICLE) == ingest_columns.derived_id(ARTICLE)
    assert (found[2].number, found[2].reason[:19]) == (4, "not UTF-8 at byte 0")


def test_a_text_is_one_document_if_it_has_an_id() -> None:
    [entry] = text_entry([f"{ARTICLE}\n".encode(), b"x"], document_id="专利法")
    assert entry.record is not None
    assert (entry.record.document_id, entry.record.text) == ("专利法", f"{ARTICLE}\nx")
    assert list(text_entry([b" \n"], document_id="a")) == []
    [long] = text_entry(["法".encode() * 200_001], document_id="a")
    assert long.reason == "longer than 200,000 characters"
    with pytest.raises(InvalidDocuments, match="longer than 200,000 characters"):
        list(text_entry([b"x" * 65_536] * 13, document_id="a"))
