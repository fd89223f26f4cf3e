"""The fast path takes and refuses what the contract takes and refuses, and says the same."""

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.corpus import Document, Entity
from services.ingest.core.columns import table_of_records
from services.ingest.core.records import (
    Record,
    RecordRefused,
    canonical_json,
    record_of_document,
    record_of_fields,
    record_of_json,
)
from shared.shards import documents_of, table_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(minutes=210))])
TIMES = st.integers(0, 4 * 10**15).flatmap(
    lambda microseconds: ZONES.map(lambda zone: datetime.fromtimestamp(microseconds / 10**6, zone))
)
LANGUAGES = st.from_regex(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", fullmatch=True)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(NAMES)
    starts = draw(st.lists(st.integers(0, len(text) - 1), max_size=3))
    entities = tuple(Entity(start=start, end=draw(st.integers(start + 1, len(text))), label="疾病") for start in starts)
    group = draw(st.none() | NAMES)
    return Document(
        document_id=draw(NAMES),
        text=text,
        label=draw(st.none() | NAMES),
        group=group,
        published_on=draw(st.none() | st.dates()),
        source=draw(st.none() | st.just("") | NAMES),
        labels=tuple(draw(st.lists(NAMES, max_size=3))),
        entities=entities,
        licence=draw(st.none() | NAMES),
        language=draw(st.none() | LANGUAGES),
        picture=draw(st.none() | NAMES),
        tenant=draw(st.none() | NAMES),
        annotated_at=draw(st.none() | TIMES),
        augmented_from=draw(st.sampled_from([None, "0a" * 32])) if group else None,
    )


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 300_000), st.floats(allow_nan=False), NAMES, st.just(""),
    st.sampled_from(
        ["zh", "zh\n", "z", "zh-", "2025-01-03", "2025-02-30", "2025-01-03T00:00:00", "2025-01-03T10:00", "1735689600", "x" * 301,
         "2025-01-03T10:00:00Z", "0a" * 32, "0A" * 32]
    ),
    st.lists(NAMES, max_size=3), st.lists(st.none() | st.integers(), max_size=2),
    st.lists(
        st.fixed_dictionaries({"start": st.integers(-1, 5), "end": st.integers(-1, 5) | st.just("3"), "label": NAMES}),
        max_size=2,
    ),
    st.dictionaries(NAMES, NAMES, max_size=2),
)  # fmt: skip


@st.composite
def altered(draw: st.DrawFn) -> dict[str, object]:
    """Return a document with some fields changed into anything."""
    fields = json.loads(draw(documents()).model_dump_json(exclude_defaults=True))
    for name in draw(st.lists(st.sampled_from([*Document.model_fields, "unknown"]), max_size=3)):
        fields[name] = draw(VALUES)
    for name in draw(st.lists(st.sampled_from(list(Document.model_fields)), max_size=1)):
        fields.pop(name, None)
    return fields


@settings(deadline=None, max_examples=200)
@given(documents())
def test_a_document_is_the_same_record_and_the_same_bytes(document: Document) -> None:
    line = document.model_dump_json(exclude_defaults=True).encode()
    record = record_of_json(line)
    assert record == record_of_document(document)
    assert canonical_json(record) == line
    [back] = documents_of(table_of_records([record]))
    # An empty label list, as any field that says nothing, is none.
    assert back == document


@settings(deadline=None, max_examples=500)
@given(altered())
def test_what_the_contract_takes_is_taken_and_what_it_refuses_is_refused(fields: dict[str, object]) -> None:
    line = json.dumps(fields).encode()
    try:
        document = Document.model_validate_json(line)
    except ValidationError:
        with pytest.raises(RecordRefused) as refused:
            record_of_json(line)
        assert str(refused.value)
    else:
        assert record_of_json(line) == record_of_document(document)


@settings(deadline=None, max_examples=200)
@given(st.lists(documents(), max_size=6))
def test_columns_are_those_of_a_shard(given_documents: list[Document]) -> None:
    records = [record_of_document(document) for document in given_documents]
    assert table_of_records(records).equals(table_of(given_documents))


def test_the_struct_has_the_contracts_fields_in_its_order() -> None:
    assert Record.__struct_fields__ == tuple(Document.model_fields)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"document_id": "a"}', "field 'text': field required"),
        ('{"document_id": "", "text": "x"}', "field 'document_id': string should have at least 1 character"),
        ('{"document_id": "a", "text": "x", "published_on": "soon"}', "field 'published_on': "),
        ('{"document_id": 7, "text": "x"}', "field 'document_id': input should be a valid string"),
        ('{"document_id": "a", "text": "\\ud800"}', "not JSON"),
        ('{"document_id": "a", "text": "\\ud800abcdefgh"}', "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ('"just text"', "not a JSON object"),
        ('{"document_id": "a", ', "not JSON: EOF while parsing"),
        ("[" * 5000, "not JSON: recursion limit"),
        (
            '{"document_id": "a", "text": "心肌", "entities": [{"start": 0, "end": 3, "label": "疾病"}]}',
            "field 'entities': value error, entity 0 to 3 does not lie in the text of 2 characters",
        ),
        ('{"document_id": "a", "text": 7, "entities": [{"start": 0, "end": 3, "label": "x"}]}', "field 'text'"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_wrong(line: str, what: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        record_of_json(line.encode())
    assert what in str(refused.value)
    assert "line 1" not in str(refused.value)


def test_what_only_the_contract_reads_is_read_all_the_same() -> None:
    line = b'{"document_id": "a", "text": "x", "published_on": "2025-01-03T00:00:00", "unknown": NaN}'
    assert record_of_json(line).published_on == date(2025, 1, 3)
    deep = b'{"document_id": "a", "text": "x", "unknown": ' + b"[" * 100 + b"]" * 100 + b"}"
    assert record_of_json(deep).text == "x"


def test_rows_become_records_too() -> None:
    row = {
        "document_id": "a",
        "text": "心肌炎",
        "labels": ["x"],
        "source": None,
        "entities": [{"start": 0, "end": 3, "label": "病"}],
    }
    record = record_of_fields(row)
    assert (record.labels, record.source, record.entities[0].end) == (("x",), None, 3)
    with pytest.raises(RecordRefused, match="field 'text': input should be a valid string"):
        record_of_fields({"document_id": "a", "text": 1.5})
    with pytest.raises(RecordRefused, match="does not lie in the text"):
        record_of_fields({"document_id": "a", "text": "心", "entities": row["entities"]})
