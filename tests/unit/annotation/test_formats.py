"""Annotation rounds: what goes out comes back, and what does not fit is refused with its row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.annotation.agreement import agreement, cohen_kappa, fleiss_kappa, merge
from shared.annotation.conflicts import LabelledText, label_conflicts
from shared.annotation.doccano import from_doccano, to_doccano_classes, to_doccano_entities
from shared.annotation.label_studio import from_label_studio, labelling_config, to_label_studio
from shared.annotation.records import (
    Annotation,
    AnnotationDocument,
    AnnotationRefused,
    Entity,
    from_utf16,
    text_digest,
    to_utf16,
)

ARTICLE = "用人单位自用工之日起即与劳动者建立劳动关系。"
RARE = "𠮷林省高级人民法院审理行政案件。"
ROUND = (
    AnnotationDocument(document_id="劳动合同法7", text=ARTICLE, labels=("社会法",), entities=(Entity(0, 4, "主体"),)),
    AnnotationDocument(
        document_id="x2", text=RARE, labels=("诉讼法", "行政法"), entities=(Entity(3, 9, "机关"), Entity(0, 3, "地名"))
    ),
    AnnotationDocument(document_id="x3", text="没有标签。"),
)


def answered(exported: str, *, by: object = 1) -> str:
    """What Label Studio exports when an annotator submits the predictions unchanged."""
    tasks = json.loads(exported)
    for number, task in enumerate(tasks):
        predictions = task.pop("predictions")
        task["id"] = number + 100
        task["annotations"] = [
            {"id": number, "completed_by": by, "was_cancelled": False, "result": one["result"]} for one in predictions
        ]
    return json.dumps(tasks)


def a_task(result: list[Any], **changes: Any) -> str:
    data = {"text": ARTICLE, "document_id": "劳动合同法7"} | changes
    return json.dumps(
        [{"data": data, "annotations": [{"completed_by": {"id": 4, "email": "a@b.cn"}, "result": result}]}]
    )


def test_label_studio_brings_back_what_went_out():
    imported = from_label_studio(answered(to_label_studio(ROUND, model_version="m1")), ROUND)

    assert imported.refused == ()
    assert imported.num_skipped == 1
    assert [(one.document_id, set(one.labels), set(one.entities)) for one in imported.annotations] == [
        (document.document_id, set(document.labels), set(document.entities)) for document in ROUND[:2]
    ]
    assert {one.annotator for one in imported.annotations} == {"1"}


def test_label_studio_counts_as_a_browser_does():
    task = json.loads(to_label_studio(ROUND, model_version="m1"))[1]

    value = task["predictions"][0]["result"][0]["value"]

    assert value == {"start": 4, "end": 10, "text": "高级人民法院", "labels": ["机关"]}
    assert task["predictions"][0]["model_version"] == "m1"
    assert task["data"]["text_sha256"] == text_digest(RARE)


def test_label_studio_in_code_points_is_understood_by_the_marked_text():
    result = [{"type": "labels", "value": {"start": 3, "end": 9, "text": RARE[3:9], "labels": ["机关"]}}]

    imported = from_label_studio(a_task(result, text=RARE, document_id="x2"), ROUND)

    assert imported.annotations[0].entities == (Entity(3, 9, "机关"),)
    assert imported.annotations[0].annotator == "a@b.cn"


def test_label_studio_lines_and_cancelled_annotations():
    tasks = json.loads(answered(to_label_studio(ROUND, model_version="m1")))
    tasks[0]["annotations"][0]["was_cancelled"] = True

    imported = from_label_studio("\n".join(json.dumps(task, ensure_ascii=False) for task in tasks), ROUND)

    assert [one.document_id for one in imported.annotations] == ["x2"]
    assert imported.num_skipped == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(a_task([], document_id="y"), "no document", id="unknown id"),
        pytest.param(a_task([], text=ARTICLE + "改"), "not the one", id="other text"),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": 2, "end": 99, "labels": ["主体"]}}]),
            "not inside",
            id="outside",
        ),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": 2, "end": 2, "labels": ["主体"]}}]), "not inside", id="empty"
        ),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": -1, "end": 2, "labels": ["主体"]}}]),
            "not inside",
            id="negative",
        ),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": 0, "end": 2, "text": "劳动", "labels": ["主体"]}}]),
            "does not stand",
            id="moved",
        ),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": "0", "end": 2, "labels": ["主体"]}}]),
            "whole number",
            id="text",
        ),
        pytest.param(
            a_task([{"type": "labels", "value": {"start": 0, "end": 2, "labels": []}}]), "no label", id="unlabelled"
        ),
        pytest.param(a_task([{"type": "choices", "value": {}}]), "no label", id="no choice"),
        pytest.param(a_task([{"type": "rating", "value": {"rating": 3}}]), "not known", id="other tag"),
        pytest.param('[{"annotations": [{"result": []}]}]', "no data", id="no data"),
    ],
)
def test_label_studio_refuses_a_row(content: str, says: str):
    good = answered(to_label_studio(ROUND[1:2], model_version="m1"))
    both = json.dumps(json.loads(good) + json.loads(content))

    imported = from_label_studio(both, ROUND)

    assert len(imported.annotations) == 1
    (refused,) = imported.refused
    assert refused.row == 2
    assert says in str(refused)
    assert refused.next_step


def test_label_studio_refuses_what_is_no_json():
    with pytest.raises(AnnotationRefused, match="no JSON"):
        from_label_studio("id,text\n1,a\n", ROUND)


def test_configuration_names_what_results_name():
    config = labelling_config(["民法", '"特别"法'], ["主体"])

    assert '<Choices name="classes" toName="text" choice="single">' in config
    assert "&quot;特别&quot;法" in config
    assert '<Labels name="spans" toName="text">' in config
    assert "Labels" not in labelling_config(["民法"], [])


def test_doccano_brings_back_what_went_out():
    classes = from_doccano(to_doccano_classes(ROUND), ROUND, annotator="甲")
    entities = from_doccano(to_doccano_entities(ROUND), ROUND, annotator="甲")

    assert [one.labels for one in classes.annotations] == [("社会法",), ("诉讼法", "行政法")]
    assert [one.entities for one in entities.annotations] == [ROUND[0].entities, tuple(sorted(ROUND[1].entities))]
    assert (classes.num_skipped, entities.num_skipped) == (1, 1)
    assert classes.refused == entities.refused == ()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({"id": 7, "text": RARE, "label": [[4, 10, "机关"]], "Comments": []}, id="found by its text"),
        pytest.param({"id": 7, "text": RARE, "labels": [[4, 10, "机关"]], "document_id": "x2"}, id="labels"),
        pytest.param(
            {"id": 7, "data": RARE, "label": [[4, 10, "机关"]], "meta": {"document_id": "x2"}}, id="data and meta"
        ),
        pytest.param(
            {
                "id": 7,
                "text": RARE,
                "entities": [{"id": 1, "start_offset": 4, "end_offset": 10, "label": "机关"}],
                "relations": [],
            },
            id="with relations",
        ),
    ],
)
def test_doccano_in_all_its_versions(line: dict[str, Any]):
    imported = from_doccano(json.dumps(line), ROUND, annotator="乙")

    assert imported.annotations == (Annotation(document_id="x2", annotator="乙", entities=(Entity(3, 9, "机关"),)),)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"label": ["a"]}', "is no text"),
        ('{"text": "别的", "label": ["a"]}', "no document"),
        (json.dumps({"text": ARTICLE + "改", "document_id": "x2", "label": []}), "not the one"),
        (json.dumps({"text": ARTICLE, "label": [[0, 99, "主体"]]}), "not inside"),
        (json.dumps({"text": ARTICLE, "label": [[0, 2, ""]]}), "no label"),
        (json.dumps({"text": ARTICLE, "label": [[0, 2]]}), "is no label"),
        (json.dumps({"text": ARTICLE, "label": "社会法"}), "is no list"),
        (json.dumps({"text": ARTICLE, "label": [[0, True, "主体"]]}), "whole number"),
    ],
)
def test_doccano_refuses_a_row(line: str, says: str):
    imported = from_doccano(to_doccano_classes(ROUND[:1]) + "\n" + line, ROUND, annotator="甲")

    (refused,) = imported.refused
    assert len(imported.annotations) == 1
    assert (refused.row, says in str(refused), bool(refused.next_step)) == (3, True, True)


def test_refuses_a_round_with_one_id_twice():
    with pytest.raises(ValueError, match="same id"):
        to_label_studio([ROUND[0], ROUND[0]], model_version="m1")


spans = st.tuples(st.text(min_size=1, max_size=12), st.data())


@given(spans)
def test_offsets_survive_both_tools(drawn: Any):
    text, data = drawn
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    sent = [AnnotationDocument(document_id="d", text=text, entities=(Entity(start, end, "l"),))]

    studio = from_label_studio(answered(to_label_studio(sent, model_version="m")), sent)
    doccano = from_doccano(to_doccano_entities(sent), sent, annotator="a")

    assert studio.annotations[0].entities == doccano.annotations[0].entities == sent[0].entities
    assert from_utf16(text, to_utf16(text, end)) == end


FIELD_NAMES = (
    "data text document_id annotations result type value label labels entities choices start end completed_by meta"
)
FIELDS = st.sampled_from(FIELD_NAMES.split())
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
    max_leaves=12,
)


@given(JUNK)
def test_nothing_crashes_an_import(junk: Any):
    task = {
        "data": {"text": ARTICLE, "document_id": "劳动合同法7"},
        "annotations": [junk],
        "text": ARTICLE,
        "label": junk,
    }

    studio = from_label_studio(json.dumps([junk, task]), ROUND)
    doccano = from_doccano(f"{json.dumps(junk)}\n{json.dumps(task)}", ROUND, annotator="a")

    assert all(one.next_step for one in studio.refused + doccano.refused)


def said(document_id: str, annotator: str, *labels: str, entities: tuple[Entity, ...] = ()) -> Annotation:
    return Annotation(document_id=document_id, annotator=annotator, labels=labels, entities=entities)


def test_the_majority_is_taken_and_the_rest_reported():
    court, place = Entity(3, 9, "机关"), Entity(0, 3, "地名")
    merged = merge(
        [
            said("b", "甲", "诉讼法", entities=(court,)),
            said("b", "乙", "行政法"),
            said("b", "丙", "诉讼法", "行政法", entities=(court, place)),
            said("a", "甲", "民法"),
            said("a", "甲", "刑法"),
            said("a", "乙", "刑法"),
            said("c", "甲", "民法"),
            said("c", "乙", "刑法"),
        ]
    )

    assert [one.document_id for one in merged] == ["a", "b", "c"]
    assert [one.labels for one in merged] == [("刑法",), ("行政法", "诉讼法"), ()]
    assert [one.is_disputed for one in merged] == [False, True, True]
    assert merged[1].entities == (court,)
    assert merged[1].votes == {"行政法": 2, "诉讼法": 2}
    assert merged[1].annotators == ("丙", "乙", "甲")


def test_cohen_kappa_of_the_literature():
    # Two readers of 50 grant proposals: 20 both yes, 15 both no, 5 and 10 apart.
    answers = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15

    assert cohen_kappa(answers) == pytest.approx(0.4)
    assert cohen_kappa([("a", "b"), ("b", "a")]) == pytest.approx(-1)
    assert cohen_kappa([("a", "a")]) is None
    assert cohen_kappa([]) is None


def test_fleiss_kappa_of_the_literature():
    # Ten subjects, fourteen raters, five categories; the value is 0.210.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    answers = [[category for category, count in enumerate(row) for _ in range(count)] for row in table]

    assert fleiss_kappa(answers) == pytest.approx(0.210, abs=0.0005)
    assert fleiss_kappa([]) is None
    assert fleiss_kappa([["a", "a"]]) is None
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([["a", "b"], ["a"]])


def test_agreement_between_people():
    found = agreement(
        [
            said("1", "甲", "民法"), said("1", "乙", "民法"), said("1", "丙", "民法"),
            said("2", "甲", "刑法"), said("2", "乙", "民法"), said("2", "丙", "刑法"),
            said("3", "甲", "刑法"), said("3", "乙", "刑法"),
            said("4", "甲", "刑法"),
        ]
    )  # fmt: skip

    assert (found.num_documents, found.num_disputed) == (3, 1)
    assert found.pairs["乙", "甲"] == cohen_kappa([("民", "民"), ("民", "刑"), ("刑", "刑")])
    assert found.pairs["丙", "甲"] == pytest.approx(1)
    assert found.fleiss == fleiss_kappa([["民", "民", "民"], ["刑", "民", "刑"]])
    assert agreement([]).fleiss is None


def test_conflicts_of_labels():
    def labelled(document_id: str, digest: str, *labels: str, family: str | None = None) -> LabelledText:
        return LabelledText(document_id=document_id, digest=digest, labels=labels, family=family)

    records = [
        labelled("1", "aa", "民法", family="f"),
        labelled("2", "aa", "刑法", family="f"),
        labelled("3", "aa", "民法", family="f"),
        labelled("4", "bb", "民法", "刑法"),
        labelled("5", "bb", "刑法", "民法"),
        labelled("6", "cc", "社会法", family="g"),
        labelled("7", "dd", "经济法", family="g"),
        labelled("8", "ee", family="g"),
    ]

    exact, near = label_conflicts(records)

    assert (exact.key, exact.is_exact) == ("aa", True)
    assert list(exact.document_ids.items()) == [(("民法",), ("1", "3")), (("刑法",), ("2",))]
    assert (near.key, near.is_exact) == ("g", False)
    assert near.document_ids == {("社会法",): ("6",), ("经济法",): ("7",)}
    assert label_conflicts(reversed(records)) == [exact, near]
