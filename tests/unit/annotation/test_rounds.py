"""A round's documents go out and come back as documents: the same ones, with what most of their annotators say."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.corpus import Document
from contracts.corpus import Entity as Span
from shared.annotation.doccano import from_doccano
from shared.annotation.label_studio import from_label_studio
from shared.annotation.records import Annotation, Entity
from shared.annotation.rounds import (
    DOCCANO_LINES,
    LABEL_STUDIO_CONFIG,
    LABEL_STUDIO_TASKS,
    Task,
    Tool,
    chosen,
    files_of,
    going_out,
    names_of,
    outcome,
)

NOW = datetime(2025, 6, 1, 9, 30, tzinfo=UTC)
ARTICLE = Document(
    document_id="劳动合同法/7",
    text="用人单位自用工之日起即与劳动者建立劳动关系。",
    label="社会法",
    group="劳动合同法",
    published_on=date(2012, 12, 28),
    labels=("社会法", "劳动"),
    entities=(Span(start=0, end=4, label="主体"),),
    licence="CC0-1.0",
)
OTHER = Document(document_id="行政诉讼法/15", text="中级人民法院管辖下列第一审行政案件。", group="行政诉讼法")
ROUND = [ARTICLE, OTHER]


def said(document: Document, by: str, *labels: str, entities: tuple[Entity, ...] = ()) -> Annotation:
    return Annotation(document_id=document.document_id, annotator=by, labels=labels, entities=entities)


@pytest.mark.parametrize(
    ("task", "field"), [(Task.CLASS, "label"), (Task.CLASSES, "labels"), (Task.ENTITIES, "entities")]
)
def test_what_is_confirmed_in_label_studio_is_the_document_as_it_was(task: Task, field: str) -> None:
    tasks = json.loads(files_of(Tool.LABEL_STUDIO, task, ROUND, ())[LABEL_STUDIO_TASKS])
    for one in tasks:
        one["annotations"] = [{"completed_by": 1, "result": part["result"]} for part in one.pop("predictions")]
    imported = from_label_studio(json.dumps(tasks), going_out(ROUND))

    found = outcome(ROUND, imported.annotations, task, annotated_at=NOW)

    # Only the first has an answer; of it nothing else is another, and the order of several classes does not matter.
    (document,) = found.documents
    changed = ARTICLE.model_copy(update={"annotated_at": NOW, "labels": document.labels})
    assert document == changed
    assert set(document.labels) == set(ARTICLE.labels)
    assert getattr(document, field)
    assert found.num_unanswered == 1


@pytest.mark.parametrize(
    ("task", "field"), [(Task.CLASS, "label"), (Task.CLASSES, "labels"), (Task.ENTITIES, "entities")]
)
def test_what_is_confirmed_in_doccano_is_the_document_as_it_was(task: Task, field: str) -> None:
    lines = files_of(Tool.DOCCANO, task, ROUND, ())[DOCCANO_LINES]
    imported = from_doccano(lines, going_out(ROUND), annotator="李")

    (document,) = outcome(ROUND, imported.annotations, task, annotated_at=NOW).documents

    assert document.model_dump(exclude={"labels", "annotated_at"}) == ARTICLE.model_dump(
        exclude={"labels", "annotated_at"}
    )
    assert getattr(document, field)


def test_the_configuration_offers_all_labels() -> None:
    config = files_of(Tool.LABEL_STUDIO, Task.CLASS, ROUND, ["行政法"])[LABEL_STUDIO_CONFIG]

    assert '<Choice value="社会法"/>' in config
    assert '<Choice value="行政法"/>' in config
    assert 'choice="single"' in config
    assert names_of(ARTICLE, Task.ENTITIES) == {"主体"}
    assert names_of(ARTICLE, Task.CLASSES) == {"社会法", "劳动"}


def test_the_majority_decides_and_the_rest_is_told() -> None:
    third = Document(document_id="民法典/1", text="为了保护民事主体的合法权益，根据宪法，制定本法。")
    annotations = [
        *(said(ARTICLE, by, label) for by, label in (("李", "社会法"), ("吴", "社会法"), ("王", "经济法"))),
        *(said(OTHER, by, label) for by, label in (("李", "诉讼法"), ("吴", "行政法"))),
    ]

    found = outcome([*ROUND, third], annotations, Task.CLASS, annotated_at=NOW)

    assert [(one.document_id, one.label, one.annotated_at) for one in found.documents] == [
        ("劳动合同法/7", "社会法", NOW)
    ]
    assert (found.undecided, found.num_disputed, found.num_unanswered) == (("行政诉讼法/15",), 2, 1)


def test_several_classes_are_no_class() -> None:
    annotations = [said(OTHER, "李", "诉讼法", "行政法")]

    assert outcome(ROUND, annotations, Task.CLASS, annotated_at=NOW).undecided == ("行政诉讼法/15",)
    assert outcome(ROUND, annotations, Task.CLASSES, annotated_at=NOW).documents[0].labels == ("行政法", "诉讼法")


def test_that_there_are_no_entities_is_an_answer_unless_somebody_marked_one() -> None:
    nothing = [said(ARTICLE, "李"), said(ARTICLE, "吴")]

    (document,) = outcome(ROUND, nothing, Task.ENTITIES, annotated_at=NOW).documents
    assert document.entities == ()

    marked = [said(ARTICLE, "李"), said(ARTICLE, "吴", entities=(Entity(0, 4, "主体"),))]
    assert outcome(ROUND, marked, Task.ENTITIES, annotated_at=NOW).undecided == ("劳动合同法/7",)


def test_a_label_that_no_document_may_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="100"):
        outcome(ROUND, [said(OTHER, "李", "长" * 101)], Task.CLASS, annotated_at=NOW)


def documents_with(ids: list[int]) -> list[Document]:
    return [
        Document(document_id=str(one), text=f"第{number}版", published_on=date(2000 + number, 1, 1))
        for number, one in enumerate(ids)
    ]


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 8), st.randoms())
def test_the_same_documents_are_drawn_in_whatever_order_and_the_newest_of_each_id(
    ids: list[int], limit: int, rng: Any
) -> None:
    documents = documents_with(ids)
    shuffled = rng.sample(documents, len(documents))

    drawn = chosen(shuffled, task=Task.CLASS, limit=limit, only_unlabelled=False)
    every = chosen(documents, task=Task.CLASS, limit=None, only_unlabelled=False)

    assert drawn == chosen(documents, task=Task.CLASS, limit=limit, only_unlabelled=False)
    assert len(drawn) == min(limit, len(set(ids)))
    newest = {one.document_id: one for one in documents}
    assert every == [newest[one] for one in sorted(newest)]
    assert set(map(repr, drawn)) <= set(map(repr, every))


def test_what_has_an_answer_may_stay_at_home() -> None:
    assert chosen(ROUND, task=Task.ENTITIES, limit=None, only_unlabelled=True) == [OTHER]
    assert chosen([ARTICLE], task=Task.CLASS, limit=1, only_unlabelled=True) == []
