"""Label Studio's JSON: tasks with predictions go out, tasks with annotations come back.

The format is that of Label Studio's guide, "Task format" and "Import pre-annotated data". Its offsets are the browser's, in
UTF-16 code units (HumanSignal/label-studio issue 1347), in some versions code points; the marked text tells which.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
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
    to_utf16,
    whole_number,
)

TEXT, CLASSES, SPANS = "text", "classes", "spans"
"""Names of the tags in the labelling configuration, which every result repeats."""


def labelling_config(classes: Sequence[str], spans: Sequence[str], *, several: bool = False) -> str:
    """Return the configuration that the exported tasks fit, for a new Label Studio project.

    Args:
        classes: Names of the classes of a text.
        spans: Names of the kinds of entities.
        several: Whether a text may have several classes.
    """
    lines = ["<View>"]
    if spans:
        lines += [f'  <Labels name="{SPANS}" toName="{TEXT}">', *_options("Label", spans), "  </Labels>"]
    lines.append(f'  <Text name="{TEXT}" value="$text"/>')
    if classes:
        choice = "multiple" if several else "single"
        lines.append(f'  <Choices name="{CLASSES}" toName="{TEXT}" choice="{choice}">')
        lines += [*_options("Choice", classes), "  </Choices>"]
    return "\n".join([*lines, "</View>"]) + "\n"


def to_label_studio(documents: Sequence[AnnotationDocument], *, model_version: str) -> str:
    """Return the tasks as a JSON array; what is known of a document is its prediction.

    Args:
        documents: A round.
        model_version: Who says so, e.g. a bundle's digest; the tool shows it.

    Raises:
        ValueError: Two documents have the same id.
    """
    by_id(documents)
    return json.dumps([_task(document, model_version) for document in documents], ensure_ascii=False, indent=1)


def from_label_studio(content: str, documents: Sequence[AnnotationDocument]) -> Imported:
    """Return what annotators said, from an exported JSON array, or JSON lines of tasks.

    Args:
        content: The file.
        documents: The round as it went out.

    Raises:
        AnnotationRefused: The file is no JSON; single rows are refused in the result.
    """
    known = by_id(documents)
    annotations: list[Annotation] = []
    refused: list[AnnotationRefused] = []
    num_skipped = 0
    for row, task in enumerate(_tasks(content), start=1):
        given = [one for one in _dicts(task.get("annotations")) if not one.get("was_cancelled")]
        num_skipped += not given
        try:
            annotations += list(_annotations(row, task, given, known))
        except AnnotationRefused as problem:
            refused.append(problem)
    return Imported(annotations=tuple(annotations), refused=tuple(refused), num_skipped=num_skipped)


def _options(tag: str, names: Sequence[str]) -> list[str]:
    return [f'    <{tag} value="{escape(name, quote=True)}"/>' for name in names]


def _task(document: AnnotationDocument, model_version: str) -> dict[str, Any]:
    data = {"text": document.text, "document_id": document.document_id, "text_sha256": document.digest}
    results = [_span(document.text, entity) for entity in document.entities]
    if document.labels:
        value = {"choices": list(document.labels)}
        results.append({"from_name": CLASSES, "to_name": TEXT, "type": "choices", "value": value})
    predictions = [{"model_version": model_version, "result": results}] if results else []
    return {"data": data, "predictions": predictions}


def _span(text: str, entity: Entity) -> dict[str, Any]:
    value = {
        "start": to_utf16(text, entity.start),
        "end": to_utf16(text, entity.end),
        "text": text[entity.start : entity.end],
        "labels": [entity.label],
    }
    return {"from_name": SPANS, "to_name": TEXT, "type": "labels", "value": value}


def _tasks(content: str) -> list[dict[str, Any]]:
    try:
        if content.lstrip().startswith("["):
            tasks = json.loads(content)
        else:
            tasks = [json.loads(line) for line in content.split("\n") if line.strip()]
    except ValueError as error:
        raise AnnotationRefused(
            1, f"the file is no JSON: {error}", next_step="export it from Label Studio as JSON"
        ) from error
    return [task if isinstance(task, dict) else {} for task in tasks]


def _annotations(
    row: int, task: Mapping[str, Any], given: Sequence[Mapping[str, Any]], known: Mapping[str, AnnotationDocument]
) -> Iterator[Annotation]:
    data = task.get("data")
    if not isinstance(data, dict):
        raise AnnotationRefused(row, "the task has no data", next_step="export as JSON, not as JSON-MIN")
    document = known_document(row, data.get("document_id"), data.get("text"), known)
    for one in given:
        labels: list[str] = []
        entities: list[Entity] = []
        for result in _dicts(one.get("result")):
            value = result.get("value")
            _take(row, result.get("type"), value if isinstance(value, dict) else {}, document.text, labels, entities)
        yield Annotation(
            document_id=document.document_id,
            annotator=_annotator(one.get("completed_by")),
            labels=tuple(dict.fromkeys(labels)),
            entities=tuple(sorted(set(entities))),
        )


def _take(
    row: int, kind: object, value: Mapping[str, Any], text: str, labels: list[str], entities: list[Entity]
) -> None:
    if kind == "choices":
        labels += _names(row, value.get("choices"))
    elif kind == "labels":
        start, end = _offsets(row, value, text)
        entities += [checked_entity(row, Entity(start, end, label), text) for label in _names(row, value.get("labels"))]
    else:
        raise AnnotationRefused(
            row,
            f"results of type {kind!r} are not known here",
            next_step="use the labelling configuration of the export",
        )


def _offsets(row: int, value: Mapping[str, Any], text: str) -> tuple[int, int]:
    start, end = (whole_number(row, value.get(name), name) for name in ("start", "end"))
    marked = value.get("text")
    in_units = from_utf16(text, start), from_utf16(text, end)
    if not isinstance(marked, str):
        return in_units
    for begin, stop in (in_units, (start, end)):
        if text[begin:stop] == marked:
            return begin, stop
    raise AnnotationRefused(
        row, f"{marked!r} does not stand at {start} to {end}", next_step="mark the entity again in the labelling tool"
    )


def _names(row: int, value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise AnnotationRefused(row, "a result has no label", next_step="choose a label in the labelling tool")
    return value


def _annotator(completed_by: object) -> str:
    """Label Studio writes a person's number, or in full exports an object."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "unknown" if completed_by is None else str(completed_by)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
