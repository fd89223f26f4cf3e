"""doccano's JSON lines, for text classification and for sequence labelling.

A line is `{"id": 1, "text": "…", "label": ["…"]}`, or with `[[start, end, "…"]]` for entities; with relations it is
`"entities": [{"start_offset": 0, "end_offset": 2, "label": "…"}]`. Offsets are in UTF-16 code units (doccano issue 2290). The
tool gives documents numbers of its own, so ours travel in a field that it keeps as metadata.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.annotation.records import (
    Annotation,
    AnnotationDocument,
    AnnotationRefused,
    Entity,
    Imported,
    by_id,
    checked_entity,
    from_utf16,
    known_document,
    text_field,
    to_utf16,
    whole_number,
)

LABEL_FIELDS = ("label", "labels", "entities")
TRIPLE = 3


def to_doccano_classes(documents: Sequence[AnnotationDocument]) -> str:
    """Return the round as JSON lines for a text classification project.

    Raises:
        ValueError: Two documents have the same id.
    """
    by_id(documents)
    return "".join(_line(document, list(document.labels)) for document in documents)


def to_doccano_entities(documents: Sequence[AnnotationDocument]) -> str:
    """Return the round as JSON lines for a sequence labelling project.

    Raises:
        ValueError: Two documents have the same id.
    """
    by_id(documents)
    return "".join(
        _line(
            document,
            [
                [to_utf16(document.text, entity.start), to_utf16(document.text, entity.end), entity.label]
                for entity in document.entities
            ],
        )
        for document in documents
    )


def from_doccano(content: str, documents: Sequence[AnnotationDocument], *, annotator: str) -> Imported:
    """Return what one annotator said; doccano exports a file a person.

    Args:
        content: JSON lines of either kind.
        documents: The round as it went out.
        annotator: The person, i.e. the file's name without `.jsonl`, where a line does not say it itself.
    """
    known = by_id(documents)
    ids_by_text = {document.text: document.document_id for document in documents}
    annotations: list[Annotation] = []
    refused: list[AnnotationRefused] = []
    num_skipped = 0
    for row, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _record(row, line)
            one = _annotation(row, record, known, ids_by_text, annotator)
        except AnnotationRefused as problem:
            refused.append(problem)
            continue
        if one.labels or one.entities:
            annotations.append(one)
        else:
            num_skipped += 1
    return Imported(annotations=tuple(annotations), refused=tuple(refused), num_skipped=num_skipped)


def _line(document: AnnotationDocument, label: list[Any]) -> str:
    record = {
        "text": document.text,
        "label": label,
        "document_id": document.document_id,
        "text_sha256": document.digest,
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def _record(row: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise AnnotationRefused(
            row, f"the line is no JSON: {error}", next_step="export it from doccano as JSONL"
        ) from error
    if not isinstance(record, dict):
        raise AnnotationRefused(row, "the line is no JSON object", next_step="export it from doccano as JSONL")
    return record


def _annotation(
    row: int,
    record: Mapping[str, Any],
    known: Mapping[str, AnnotationDocument],
    ids_by_text: Mapping[str, str],
    annotator: str,
) -> Annotation:
    text = text_field(row, record, "data" if "data" in record and "text" not in record else "text")
    document_id = _document_id(record) or ids_by_text.get(text)
    document = known_document(row, document_id, text, known)
    labels: list[str] = []
    entities: list[Entity] = []
    for value in _values(row, record):
        if isinstance(value, str) and value:
            labels.append(value)
        else:
            entities.append(_entity(row, value, text))
    return Annotation(
        document_id=document.document_id,
        annotator=str(record.get("username") or annotator),
        labels=tuple(dict.fromkeys(labels)),
        entities=tuple(sorted(set(entities))),
    )


def _document_id(record: Mapping[str, Any]) -> object:
    meta = record.get("meta")
    return record.get("document_id") or (meta.get("document_id") if isinstance(meta, dict) else None)


def _values(row: int, record: Mapping[str, Any]) -> Iterator[object]:
    for name in LABEL_FIELDS:
        values = record.get(name) or []
        if not isinstance(values, list):
            raise AnnotationRefused(row, f"the field {name} is no list", next_step="export it from doccano as JSONL")
        yield from values


def _entity(row: int, value: object, text: str) -> Entity:
    if isinstance(value, dict):
        value = [value.get("start_offset"), value.get("end_offset"), value.get("label")]
    if not isinstance(value, list) or len(value) != TRIPLE or not isinstance(value[2], str):
        raise AnnotationRefused(row, f"{value!r} is no label", next_step="export it from doccano as JSONL")
    start, end = (from_utf16(text, whole_number(row, offset, "an offset")) for offset in value[:2])
    return checked_entity(row, Entity(start, end, value[2]), text)
