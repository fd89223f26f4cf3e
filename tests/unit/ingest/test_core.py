import itertools
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, DocumentsSubmitted
from services.ingest.core import (
    BatchParser,
    BatchTooLarge,
    submitted,
    uploaded,
)
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ARTICLE = "为了保护专利权人的合法权益，鼓励发明创造，制定本法。"
GOOD = json.dumps(
    {"document_id": "专利法/1", "text": ARTICLE, "label": "民法商法", "group": "专利法"}, ensure_ascii=False
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
DOCUMENTS = st.builds(
    Document,
    document_id=st.uuids().map(str),
    text=TEXTS,
    label=st.none() | TEXTS,
    group=st.none() | TEXTS,
    published_on=st.none() | st.dates(),
    source=st.none() | TEXTS,
)


def parse(*chunks: bytes, limits: BatchLimits | None = None):
    parser = BatchParser(limits or BatchLimits())
    for chunk in chunks:
        parser.feed(chunk)
    return parser.finish()


def parsed_or_refused(*chunks: bytes):
    try:
        return parse(*chunks)
    except InvalidDocuments as error:
        return error


def pieces(data: bytes, cuts: list[int]):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=8), st.lists(st.integers(0, 10_000), max_size=6), st.booleans())
def test_every_document_comes_back_however_the_bytes_are_cut(documents, cuts, ends_with_line_feed):
    lines = "\n".join(document.model_dump_json() for document in documents) + "\n" * ends_with_line_feed
    assert parse(*pieces(lines.encode(), cuts)) == tuple(documents)


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_arbitrary_bytes_are_refused_or_taken_whole_never_a_crash(data, cuts):
    num_lines = sum(1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())
    outcome = parsed_or_refused(*pieces(data, cuts))
    assert outcome.next_step if isinstance(outcome, InvalidDocuments) else len(outcome) == num_lines


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([GOOD, "", "  ", "{", "[]", "null", '{"text": "x"}', '{"document_id": "a", "text": ""}']),
        max_size=6,
    )
)
def test_one_bad_line_refuses_all_and_is_named(lines):
    bad = [number for number, line in enumerate(lines, 1) if line.strip() and line != GOOD]
    outcome = parsed_or_refused("\n".join(lines).encode())
    if bad:
        assert str(outcome).startswith(f"line {bad[0]}: ")
    elif GOOD in lines:
        assert len(outcome) == lines.count(GOOD)
    else:
        assert "no document" in str(outcome)


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=8,
    )
)
def test_any_json_value_is_refused_with_a_reason(value):
    line = json.dumps({"document_id": "a", "text": value}).encode()
    if isinstance(value, str) and value:
        assert parse(line)[0].text == value
    else:
        with pytest.raises(InvalidDocuments, match="line 1: field 'text'"):
            parse(line)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"document_id": "a"}', "line 2: field 'text': field required"),
        ('{"document_id": "", "text": "x"}', "line 2: field 'document_id': string should have at least 1 character"),
        ('{"document_id": "a", "text": "x", "published_on": "soon"}', "line 2: field 'published_on'"),
        ('{"document_id": 7, "text": "x"}', "line 2: field 'document_id': input should be a valid string"),
        (
            '{"document_id": "a", "text": "证券", "entities": [{"start": 0, "end": 3, "label": "x"}]}',
            "line 2: field 'entities': value error, entity 0 to 3 does not lie in the text of 2 characters",
        ),
        ('{"document_id": "a", "text": 7, "entities": [{"start": 0, "end": 3, "label": "x"}]}', "line 2: field 'text'"),
        ('{"document_id": "a", "text": "\\ud800"}', "line 2: not JSON"),
        ("[1, 2]", "line 2: not a JSON object"),
        ('"just text"', "line 2: not a JSON object"),
        ('{"document_id": "a", ', "line 2: not JSON: EOF while parsing"),
        ("[" * 5000, "line 2: not JSON: recursion limit"),
    ],
)
def test_refusal_names_line_field_and_what_is_wrong(line, what):
    with pytest.raises(InvalidDocuments) as refused:
        parse(f"{GOOD}\n{line}\n".encode())
    assert what in str(refused.value)
    assert "at column" in str(refused.value) or "line 1" not in str(refused.value)
    assert refused.value.next_step


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(InvalidDocuments, match="line 1: not JSON"):
        parse('{"document_id": "a", "text": "专利"}'.encode("gb18030"))


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_fine():
    data = b"\xef\xbb\xbf" + f"{GOOD}\r\n\r\n{GOOD}\r\n".encode()
    assert [document.text for document in parse(data)] == [ARTICLE, ARTICLE]


def test_nothing_at_all_is_refused():
    with pytest.raises(InvalidDocuments, match="no document"):
        parse(b"\n \n")


def test_a_line_that_never_ends_is_refused_as_soon_as_it_passes_the_limit():
    parser = BatchParser(BatchLimits(line_bytes=100))
    parser.feed(b"x" * 100)
    with pytest.raises(BatchTooLarge, match="line 1: longer than 100 bytes"):
        parser.feed(b"x")


def test_a_batch_beyond_its_bytes_or_documents_is_refused():
    with pytest.raises(BatchTooLarge, match="longer than 300 bytes"):
        parse(*[f"{GOOD}\n".encode()] * 3, limits=BatchLimits(batch_bytes=300))
    with pytest.raises(BatchTooLarge, match="more than 2 documents"):
        parse(*[f"{GOOD}\n".encode()] * 3, limits=BatchLimits(documents=2))
    assert len(parse(*[f"{GOOD}\n".encode()] * 2, limits=BatchLimits(documents=2))) == 2


def test_one_id_for_two_texts_is_refused_with_both_places():
    other = json.dumps({"document_id": "专利法/1", "text": "另一条。"})
    with pytest.raises(InvalidDocuments, match=r"line 3: .*'专利法/1' stands for another text on line 1"):
        parse(f"{GOOD}\n{GOOD}\n{other}\n".encode())


def submission(*documents: Document, event_id: int = 1):
    return DocumentsSubmitted(event_id=UUID(int=event_id), occurred_at=NOW, domain="law", documents=documents)


def test_an_event_with_one_id_for_two_texts_is_refused_with_both_places():
    with pytest.raises(InvalidDocuments, match=r"document 2: .* on document 1"):
        submitted(submission(Document(document_id="a", text="x"), Document(document_id="a", text="y")), NOW)


def test_the_same_upload_is_the_same_batch_and_event():
    one, other = Document(document_id="a", text="甲"), Document(document_id="b", text="乙")
    first, again = uploaded("law", (one, other), NOW), uploaded("law", (one, other), NOW + timedelta(days=1))
    assert (first.batch_id, first.event_id) == (again.batch_id, again.event_id)
    others = [uploaded("law", (other, one), NOW), uploaded("law", (one,), NOW), uploaded("medicine", (one, other), NOW)]
    assert len({arrival.batch_id for arrival in [first, *others]}) == 4


def test_the_announcement_counts_documents_and_their_bytes():
    event = uploaded(
        "law", (Document(document_id="a", text="甲"), Document(document_id="b", text="b")), NOW
    ).announcement("0" * 64)
    assert (event.num_documents, event.num_bytes, event.source, event.causation_id) == (2, 4, "http", None)


def test_the_same_event_is_the_same_batch_and_causes_the_announcement():
    document = Document(document_id="a", text="甲")
    first, again = submitted(submission(document), NOW), submitted(submission(document), NOW)
    assert first == again
    assert first.causation_id == UUID(int=1)
    assert first.batch_id != submitted(submission(document, event_id=2), NOW).batch_id
