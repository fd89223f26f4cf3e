"""A round: which documents go out and as what, and which documents come of what people said.

Nothing is lost on the way: the documents stay here as they are, only their texts and labels travel, and what comes back is put
into them.
"""

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts import corpus
from contracts.corpus import Document
from shared.annotation.agreement import Agreed, merge
from shared.annotation.doccano import to_doccano_classes, to_doccano_entities
from shared.annotation.label_studio import labelling_config, to_label_studio
from shared.annotation.records import Annotation, AnnotationDocument, Entity

SOURCE = "plumbline"
"""Who says what is known of a document before anybody looked; Label Studio shows it."""
LABEL_STUDIO_TASKS = "label-studio.json"
LABEL_STUDIO_CONFIG = "label-studio-config.xml"
DOCCANO_LINES = "doccano.jsonl"


class Task(StrEnum):
    """What people are asked for, and the field of a document that their answer goes to."""

    CLASS = "class"
    """One class: `label`."""
    CLASSES = "classes"
    """Several: `labels`."""
    ENTITIES = "entities"
    """Stretches of the text: `entities`."""


class Tool(StrEnum):
    """Where people label."""

    LABEL_STUDIO = "label-studio"
    DOCCANO = "doccano"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a round.

    Attributes:
        documents: Those with an answer, in the round's order, otherwise as they went out.
        undecided: Ids of documents for whose answer there is no majority, or that have several classes where one was asked for.
        num_disputed: Documents on which not all annotators said the same, undecided ones included.
        num_unanswered: Documents of the round that nobody annotated.
    """

    documents: tuple[Document, ...]
    undecided: tuple[str, ...]
    num_disputed: int
    num_unanswered: int


def chosen(documents: Iterable[Document], *, task: Task, limit: int | None, only_unlabelled: bool) -> list[Document]:
    """Return the documents of a round, by id: of several with one id the newest, as an id stands for one text in a round.

    Args:
        documents: In any order, which does not matter.
        task: What is asked for.
        limit: So many are drawn, by their ids alone: the same ones of the same documents. None: all.
        only_unlabelled: Leave out documents that have an answer already.
    """
    kept: dict[str, Document] = {}
    drawn: list[tuple[int, str]] = []
    for document in documents:
        if only_unlabelled and names_of(document, task):
            continue
        document_id = document.document_id
        if document_id in kept:
            kept[document_id] = max(kept[document_id], document, key=_age)
            continue
        kept[document_id] = document
        if limit is None:
            continue
        # A heap with the largest number on top, negated: a million documents go by, and `limit` of them are held.
        heapq.heappush(drawn, (-_draw(document_id), document_id))
        if len(drawn) > limit:
            del kept[heapq.heappop(drawn)[1]]
    return [kept[document_id] for document_id in sorted(kept)]


def files_of(tool: Tool, task: Task, documents: Sequence[Document], names: Iterable[str]) -> dict[str, str]:
    """Return what the tool imports, by file name.

    Args:
        tool: The tool.
        task: What is asked for.
        documents: A round.
        names: Labels to choose among, beside those that the round's documents have.

    Raises:
        ValueError: Two documents have the same id.
    """
    out = [_going_out(document, task) for document in documents]
    if tool is Tool.DOCCANO:
        lines = to_doccano_entities(out) if task is Task.ENTITIES else to_doccano_classes(out)
        return {DOCCANO_LINES: lines}
    every = sorted({*names, *(name for document in documents for name in names_of(document, task))})
    classes, spans = ([], every) if task is Task.ENTITIES else (every, [])
    return {
        LABEL_STUDIO_TASKS: to_label_studio(out, model_version=SOURCE),
        LABEL_STUDIO_CONFIG: labelling_config(classes, spans, several=task is Task.CLASSES),
    }


def names_of(document: Document, task: Task) -> frozenset[str]:
    """Return the labels that a document has of the kind that is asked for."""
    out = _going_out(document, task)
    return frozenset({*out.labels, *(entity.label for entity in out.entities)})


def going_out(documents: Sequence[Document]) -> list[AnnotationDocument]:
    """Return a round's documents as what comes back is compared with."""
    return [AnnotationDocument(document_id=one.document_id, text=one.text) for one in documents]


def outcome(
    documents: Sequence[Document], annotations: Sequence[Annotation], task: Task, *, annotated_at: datetime
) -> Outcome:
    """Return the round's documents with the answers on which more than half of their annotators agree.

    Args:
        documents: The round as it went out.
        annotations: What people said.
        task: What they were asked for.
        annotated_at: When.

    Raises:
        ValidationError: An answer is no label of a document, e.g. longer than 100 characters.
    """
    answers = {one.document_id: one for one in merge(annotations)}
    labelled, undecided = [], []
    for document in documents:
        agreed = answers.get(document.document_id)
        if agreed is None:
            continue
        fields = _answer(agreed, task)
        if fields is None:
            undecided.append(document.document_id)
        else:
            labelled.append(Document.model_validate({**document.model_dump(), **fields, "annotated_at": annotated_at}))
    return Outcome(
        documents=tuple(labelled),
        undecided=tuple(undecided),
        num_disputed=sum(one.is_disputed for one in answers.values()),
        num_unanswered=len(documents) - len(labelled) - len(undecided),
    )


def _going_out(document: Document, task: Task) -> AnnotationDocument:
    labels: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    match task:
        case Task.CLASS:
            labels = (document.label,) if document.label else ()
        case Task.CLASSES:
            labels = document.labels
        case Task.ENTITIES:
            entities = tuple(Entity(one.start, one.end, one.label) for one in document.entities)
    return AnnotationDocument(document_id=document.document_id, text=document.text, labels=labels, entities=entities)


def _answer(agreed: Agreed, task: Task) -> dict[str, object] | None:
    """Return the document's fields that the answer stands for; None: there is no answer."""
    match task:
        case Task.CLASS:
            return {"label": agreed.labels[0]} if len(agreed.labels) == 1 else None
        case Task.CLASSES:
            return {"labels": agreed.labels} if agreed.labels else None
        case Task.ENTITIES:
            # That there are none is an answer, unless somebody marked one.
            if not agreed.entities and agreed.is_disputed:
                return None
            spans = (corpus.Entity(start=one.start, end=one.end, label=one.label) for one in agreed.entities)
            return {"entities": tuple(spans)}


def _age(document: Document) -> tuple[str, str]:
    return document.published_on.isoformat() if document.published_on else "", document.text


def _draw(document_id: str) -> int:
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8])
