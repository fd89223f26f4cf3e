"""The check for breaking changes, on changes of every kind."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts import topics
from contracts.topics import Topic
from tests.contracts import regenerate
from tests.contracts.compatibility import breaking_changes
from tests.contracts.goldens import schema_of

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
        (EVALUATED, lambda schema: schema["$defs"]["Score"]["properties"]["n"].update(minimum=5), "minimum rose"),
        (
            topics.DOCUMENTS_SUBMITTED,
            lambda schema: schema["properties"]["documents"].update(maxItems=9),
            "maxItems fell from 5000 to 9",
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
        lambda schema: schema["properties"]["reason"]["enum"].append("schedule"),
        lambda schema: schema["required"].remove("reason"),
        lambda schema: schema["properties"]["domain"].pop("pattern"),
        lambda schema: schema.update(description="other words"),
    ],
)
def test_a_change_that_still_takes_everything_is_let_through(change: Change) -> None:
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

    assert regenerate.main() == 1

    assert ".urgency: the field went" in capsys.readouterr().err
    assert json.loads(path.read_text()) == promised
