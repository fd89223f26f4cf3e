"""A document on the fast path: a struct that is validated while it is decoded, with the limits of `contracts.corpus.Document`.

The struct is at least as strict as the contract. What it refuses goes to the contract, which has the last word and the words to
say why: so both take and refuse the same, and only bad records are slow.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.corpus import MAX_TEXT_CHARS, Document

Identifier = Annotated[str, Meta(min_length=1, max_length=300)]
Label = Annotated[str, Meta(min_length=1, max_length=100)]
Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]


class EntityRecord(msgspec.Struct, frozen=True, gc=False):
    """A labelled stretch of a text, as `contracts.corpus.Entity`."""

    start: Annotated[int, Meta(ge=0, le=MAX_TEXT_CHARS)]
    end: Annotated[int, Meta(ge=1, le=MAX_TEXT_CHARS)]
    label: Label


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A document, as `contracts.corpus.Document`; the order of the fields is part of a batch's digest."""

    document_id: Identifier
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
    label: Label | None = None
    group: Identifier | None = None
    published_on: date | None = None
    source: Annotated[str, Meta(max_length=300)] | None = None
    labels: Annotated[tuple[Label, ...], Meta(max_length=100)] = ()
    entities: Annotated[tuple[EntityRecord, ...], Meta(max_length=10_000)] = ()
    licence: Label | None = None
    language: Language | None = None
    picture: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None
    tenant: Label | None = None
    annotated_at: Annotated[datetime, Meta(tz=True)] | None = None
    augmented_from: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None


class RecordRefused(ValueError):
    """Something is no document; says the field and what is wrong with it."""


_DECODER = msgspec.json.Decoder(Record)
_ENCODER = msgspec.json.Encoder()


def record_of_json(line: bytes) -> Record:
    """Return the document of one JSON object in UTF-8.

    Raises:
        RecordRefused: It is none.

    Example:
        >>> record_of_json('{"document_id": "专利法/1", "text": "制定本法。"}'.encode()).text
        '制定本法。'
    """
    try:
        record = _DECODER.decode(line)
        if _holds_together(record):
            return record
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return record_of_document(Document.model_validate_json(line))
    except ValidationError as error:
        raise RecordRefused(_explain(error)) from None


def record_of_fields(fields: Mapping[str, Any]) -> Record:
    """Return the document that has these fields, as a table's row gives them; None stands for a field that is not there.

    Raises:
        RecordRefused: There is no such document.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        record = msgspec.convert(given, Record)
        if _holds_together(record):
            return record
    except msgspec.MsgspecError:
        pass
    try:
        return record_of_document(Document.model_validate(given))
    except ValidationError as error:
        raise RecordRefused(_explain(error)) from None


def record_of_document(document: Document) -> Record:
    """Return a document that the contract has taken as a record."""
    return _DECODER.decode(document.model_dump_json(exclude_defaults=True))


def canonical_json(record: Record) -> bytes:
    """Return the bytes that stand for a document in a batch's digest: those of `model_dump_json(exclude_defaults=True)`."""
    return _ENCODER.encode(record)


def _holds_together(record: Record) -> bool:
    """Whether what the contract asks of several fields at once is so."""
    if record.augmented_from is not None and record.group is None:
        return False
    return not record.entities or _entities_lie_in_the_text(record)


def _entities_lie_in_the_text(record: Record) -> bool:
    num_chars = len(record.text)
    return all(entity.start < entity.end <= num_chars for entity in record.entities)


def _explain(error: ValidationError) -> str:
    first: ErrorDetails = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        # The parser counts lines inside the one line that it was given.
        return first["msg"].replace("Invalid JSON", "not JSON").replace("at line 1 column", "at column")
    if not first["loc"]:
        return "not a JSON object"
    field = ".".join(str(part) for part in first["loc"])
    return f"field {field!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
