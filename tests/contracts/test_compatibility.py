"""The check for breaking changes, on changes of every kind."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts import topics
from contracts.topics import Topic
from tests.contracts import regenerate
from tests.contracts.compatibility import breaking_changes, breaking_channel_changes, explanation, next_version
from tests.contracts.goldens import asyncapi_document, schema_of

Change = Callable[[dict[str, Any]], object]
EVALUATED = topics.MODEL_EVALUATED
REQUESTED = topics.TRAINING_REQUESTED


@pytest.mark.parametrize(
    ("topic", "change", "where"),
    [
        (EVALUATED, lambda schema: schema["properties"].pop("passed"), ".passed: the field went"),
        (EVALUATED, lambda schema: schema["$defs"]["Score"]["properties"].pop("n"), ".scores[].n: the field went"),
        (REQUESTED, lambda schema: schema["required"].append("urgency"), ".urgency: the field is required now"),
        (EVALUATED, lambda schema: schema["properties"]["passed"].update(type="string"), ".passed: type was 'boolean'"),
        (REQUESTED, lambda schema: schema["properties"]["reason"]["enum"].remove("drift"), "the values ['drift'] went"),
        (EVALUATED, lambda schema: schema["properties"]["bundle_digest"].update(pattern="^x$"), ".bundle_digest: pattern"),
        (EVALUATED, lambda schema: schema["$defs"]["Score"]["properties"]["n"].update(minimum=5), "minimum rose from 0 to 5"),
        (
            topics.DOCUMENTS_SUBMITTED,
            lambda schema: schema["properties"]["documents"].update(maxItems=9),
            "maxItems fell from 5000 to 9",
        ),
        (REQUESTED, lambda schema: schema["properties"]["reason"]["enum"].append("schedule"), "['schedule'] are new"),
        (REQUESTED, lambda schema: schema["required"].remove("reason"), ".reason: the field may be absent now"),
        (REQUESTED, lambda schema: schema["properties"]["domain"].pop("pattern"), ".domain: pattern was"),
        (
            EVALUATED,
            lambda schema: schema["properties"]["serving_digest"]["anyOf"].append({"type": "integer"}),
            ".serving_digest: the alternative integer is new",
        ),
        (
            EVALUATED,
            lambda schema: schema["properties"]["serving_digest"].update(anyOf=[{"type": "string"}]),
            ".serving_digest: the alternative null",
        ),
    ],
)  # fmt: skip
def test_a_breaking_change_is_named(topic: Topic, change: Change, where: str) -> None:
    changed = copy.deepcopy(schema_of(topic))
    change(changed)

    found = breaking_changes(schema_of(topic), changed)

    assert any(where in line for line in found), found


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["properties"].update(note={"type": "string", "default": ""}),
        lambda schema: schema.update(description="other words"),
    ],
)
def test_what_old_and_new_daemons_both_read_is_let_through(change: Change) -> None:
    changed = copy.deepcopy(schema_of(REQUESTED))
    change(changed)

    assert breaking_changes(schema_of(REQUESTED), changed) == []


def test_regenerating_refuses_to_overwrite_a_promise(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = schema_of(REQUESTED)
    promised["properties"]["urgency"] = {"type": "integer"}
    path = tmp_path / "training-requested-v1.schema.json"
    path.write_text(json.dumps(promised))
    monkeypatch.setattr(regenerate, "golden_path", lambda topic: tmp_path / f"{topic.name}.schema.json")

    monkeypatch.setattr(regenerate, "ASYNCAPI", tmp_path / "asyncapi.json")
    monkeypatch.setattr(regenerate, "SCHEMAS", tmp_path)

    assert regenerate.main() == 1

    said = capsys.readouterr().err
    assert ".urgency: the field went" in said
    assert "`training-requested-v2`" in said
    assert json.loads(path.read_text()) == promised
    assert regenerate.main(["--accept", "batch-received-v1"]) == 1
    monkeypatch.setattr(regenerate, "project_version", lambda: "1.0.0")
    assert regenerate.main(["--accept", "training-requested-v1"]) == 1
    assert json.loads(path.read_text()) == promised
    monkeypatch.setattr(regenerate, "project_version", lambda: "0.9.0")
    assert regenerate.main(["--accept", "training-requested-v1"]) == 0
    assert json.loads(path.read_text()) == schema_of(REQUESTED)
    assert json.loads((tmp_path / "asyncapi.json").read_text()) == asyncapi_document()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda doc: doc["channels"].pop("alert-changed-v1"), "alert-changed-v1: the topic went"),
        (
            lambda doc: doc["channels"]["batch-received-v1"]["bindings"]["kafka"].update(partitions=8),
            "batch-received-v1: partitions were 4, are 8",
        ),
        (
            lambda doc: doc["channels"]["release-changed-v1"]["bindings"]["kafka"]["topicConfiguration"].update(
                {"cleanup.policy": ["delete"]}
            ),
            "release-changed-v1: cleanup.policy was ['compact'], is ['delete']",
        ),
        (
            lambda doc: doc["components"]["messages"]["model-trained-v1"]["bindings"]["kafka"].update(
                key={"type": "string", "description": "the bundle"}
            ),
            "model-trained-v1: the key was",
        ),
        (
            lambda doc: doc["components"]["messages"]["model-trained-v1"]["headers"].update(required=["signature"]),
            "model-trained-v1: the headers ['signature'] are required now",
        ),
    ],
)
def test_a_change_of_what_a_topic_is_is_named(change: Change, reason: str) -> None:
    changed = asyncapi_document()
    change(changed)

    assert breaking_channel_changes(asyncapi_document(), asyncapi_document()) == []
    (found,) = breaking_channel_changes(asyncapi_document(), changed)
    assert found.startswith(reason)


def test_a_longer_life_and_a_new_topic_break_nothing() -> None:
    changed = asyncapi_document()
    changed["channels"]["alert-changed-v2"] = changed["channels"]["alert-changed-v1"]
    changed["channels"]["alert-changed-v1"]["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] = 1
    assert breaking_channel_changes(asyncapi_document(), changed) == []


@pytest.mark.parametrize(
    ("topic", "after"), [("batch-received-v1", "batch-received-v2"), ("a-v9", "a-v10"), ("otlp_spans", "otlp_spans-v2")]
)
def test_the_next_version_is_asked_for_by_name(topic: str, after: str) -> None:
    assert next_version(topic) == after
    assert f"add the topic `{after}`" in explanation(topic, [".x: the field went"])


# ---- properties: any field of any contract, and messages that really are read by both

FIELDS = [
    (topic, holder, name)
    for topic in topics.EVENT_TOPICS
    for holder, part in {"": schema_of(topic), **schema_of(topic).get("$defs", {})}.items()
    for name in part.get("properties", {})
]


def holder_of(schema: dict[str, Any], holder: str) -> dict[str, Any]:
    return dict.__getitem__(schema, "$defs")[holder] if holder else schema


@settings(deadline=None)
@given(st.sampled_from(FIELDS))
def test_no_field_of_any_contract_can_go_or_change_its_name(field: tuple[Topic, str, str]) -> None:
    topic, holder, name = field
    changed = copy.deepcopy(schema_of(topic))
    part = holder_of(changed, holder)
    part["properties"][f"{name}_renamed"] = part["properties"].pop(name)
    assert any(f".{name}: the field went" in line for line in breaking_changes(schema_of(topic), changed))


@settings(deadline=None)
@given(st.sampled_from(FIELDS), st.sampled_from(["string", "integer", "boolean"]))
def test_a_field_with_a_default_can_come_anywhere_and_a_required_one_nowhere(
    field: tuple[Topic, str, str], kind: str
) -> None:
    topic, holder, _ = field
    changed = copy.deepcopy(schema_of(topic))
    part = holder_of(changed, holder)
    part["properties"]["note"] = {"type": kind, "default": None}
    assert breaking_changes(schema_of(topic), changed) == []
    part.setdefault("required", []).append("note")
    assert any(".note: the field is required now" in line for line in breaking_changes(schema_of(topic), changed))


KINDS = st.one_of(
    st.builds(
        lambda low, high: {"type": "integer", "minimum": min(low, high), "maximum": max(low, high)},
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    st.lists(st.sampled_from("abc"), min_size=1, unique=True).map(lambda some: {"type": "string", "enum": some}),
    st.just({"type": "boolean"}),
    st.sampled_from(["integer", "string"]).map(lambda kind: {"anyOf": [{"type": kind}, {"type": "null"}]}),
)
VALUES = st.one_of(st.integers(-1, 4), st.sampled_from("abcd"), st.booleans(), st.none())


@st.composite
def small_schemas(draw: st.DrawFn) -> dict[str, Any]:
    properties = {name: draw(KINDS) for name in draw(st.sets(st.sampled_from("xyz")))}
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required}


@settings(deadline=None)
@given(small_schemas(), small_schemas(), st.dictionaries(st.sampled_from("xyz"), VALUES))
def test_where_nothing_breaks_both_versions_read_each_others_messages(
    old: dict[str, Any], new: dict[str, Any], message: dict[str, Any]
) -> None:
    read_by_old, read_by_new = (Draft202012Validator(schema).is_valid(message) for schema in (old, new))
    written_with_all = old["properties"].keys() <= message.keys()
    if not breaking_changes(old, new) and read_by_old and message.keys() <= old["properties"].keys():
        assert read_by_new
    if not breaking_changes(old, new) and read_by_new and written_with_all:
        assert read_by_old
