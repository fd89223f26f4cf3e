"""The AsyncAPI document is what the code says, is valid by the official schema, and holds what the broker is told.

The schema is `schemas/3.0.0.json` of the npm package `@asyncapi/specs` 6.11.1 (Apache-2.0), unchanged and gzipped.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from contracts.topics import ALL_DAEMONS, EVENT_TOPICS, TOPICS, Topic
from shared.commands import KEY_ID, SIGNATURE
from shared.messages import cloudevent_headers, decode
from shared.topics_admin import _new_topics
from tests.contracts.goldens import ASYNCAPI, asyncapi_document, asyncapi_text, example_paths
from tests.keys import command_headers

OFFICIAL = json.loads(gzip.decompress((Path(__file__).parent / "asyncapi" / "3.0.0.schema.json.gz").read_bytes()))
DOCUMENT = asyncapi_document()


def resolved(reference: str) -> Any:
    part: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in references(value)]
    return [one for value in part for one in references(value)] if isinstance(part, list) else []


def test_the_golden_document_is_what_the_code_says() -> None:
    golden = ASYNCAPI.read_text(encoding="utf-8")
    assert golden == asyncapi_text(), "run `python -m tests.contracts.regenerate` and look at the difference"


def test_it_is_valid_by_the_official_schema() -> None:
    Draft7Validator.check_schema(OFFICIAL)
    problems = [
        f"{'/'.join(map(str, one.path))}: {one.message[:200]}"
        for one in Draft7Validator(OFFICIAL).iter_errors(DOCUMENT)
    ]
    assert problems == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda doc: doc.pop("info"),
        lambda doc: doc.update(asyncapi="2.6.0"),
        lambda doc: doc["operations"]["ingest-sends-batch-received-v1"].update(action="publish"),
        lambda doc: doc["channels"]["batch-received-v1"]["bindings"]["kafka"].update(partitions="many"),
        lambda doc: doc["channels"]["batch-received-v1"].update(unknown=1),
    ],
)
def test_the_official_schema_sees_what_is_wrong(spoil: Any) -> None:
    document = asyncapi_document()
    spoil(document)
    assert not Draft7Validator(OFFICIAL).is_valid(document)


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 100
    for reference in found:
        assert resolved(reference)


def test_every_row_of_the_table_is_in_it() -> None:
    dead = {topic.dead_letter_name for topic in TOPICS if topic.has_dead_letters}
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS} | dead
    parts = ("producers", "consumers", "readers", "followers", "keepers")
    expected = sum(len(getattr(topic, part)) for topic in TOPICS for part in parts)
    assert len(DOCUMENT["operations"]) == expected
    sends = {name for name, one in DOCUMENT["operations"].items() if one["action"] == "send"}
    assert sends == {f"{producer}-sends-{topic.name}" for topic in TOPICS for producer in topic.producers}
    groups = {
        name: one["bindings"]["kafka"]["groupId"]["const"]
        for name, one in DOCUMENT["operations"].items()
        if "bindings" in one
    }
    assert set(groups.values()) <= {*ALL_DAEMONS, "monitor-store"}
    assert set(groups) == {f"{daemon}-receives-{topic.name}" for topic in TOPICS for daemon in topic.consumers} | {
        f"{daemon}-stores-{topic.name}" for topic in TOPICS for daemon in topic.keepers
    }


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_broker_is_told_what_the_bindings_say(topic: Topic) -> None:
    for new in _new_topics(topic, 1):
        said = DOCUMENT["channels"][new.name]["bindings"]["kafka"]
        written = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in said["topicConfiguration"].items()
        }
        assert (said["partitions"], written) == (new.num_partitions, new.topic_configs)


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_examples_and_the_headers_that_we_send_fit(topic: Topic) -> None:
    message = DOCUMENT["components"]["messages"][topic.name]
    schemas = {"components": DOCUMENT["components"]}
    payload = Draft202012Validator(message["payload"] | schemas)
    headers = Draft202012Validator(message["headers"] | schemas)
    for path in example_paths(topic):
        body = path.read_bytes()
        event = decode(topic, body, {})
        assert payload.is_valid(json.loads(body))
        sent = cloudevent_headers(topic, event, service="test") | command_headers(topic, event.domain, body)
        assert set(sent) <= set(message["headers"]["properties"])
        assert headers.is_valid(sent)
        assert (
            headers.is_valid({name: value for name, value in sent.items() if name not in {SIGNATURE, KEY_ID}})
            is not topic.signed
        )
