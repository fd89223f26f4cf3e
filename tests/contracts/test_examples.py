"""Every topic has example payloads; each is taken by the contract and says the same after a round trip."""

import json

import pytest

from contracts.corpus import Document, DocumentsSubmitted
from contracts.topics import DOCUMENTS_SUBMITTED, EVENT_TOPICS, Topic
from shared.errors import InvalidEvent, UnknownEventVersion
from shared.messages import cloudevent_headers, decode
from tests.contracts.goldens import EXAMPLES, example_paths, schema_of

CASES = [
    pytest.param(topic, path, id=f"{topic.name}/{path.stem}") for topic in EVENT_TOPICS for path in example_paths(topic)
]


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_a_topic_has_a_minimal_and_a_full_example(topic: Topic) -> None:
    assert {"minimal", "full"} <= {path.stem for path in example_paths(topic)}


def test_every_example_belongs_to_a_topic() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == {topic.name for topic in EVENT_TOPICS}


@pytest.mark.parametrize(("topic", "path"), CASES)
def test_an_example_survives_the_wire(topic: Topic, path) -> None:
    body = path.read_bytes()
    event = decode(topic, body, {})
    headers = cloudevent_headers(topic, event, service="test")

    again = decode(topic, event.model_dump_json().encode(), headers)

    assert again == event
    assert headers["ce_id"] == str(event.event_id)
    assert headers["ce_subject"] == event.domain


@pytest.mark.parametrize(("topic", "path"), CASES)
def test_an_example_has_no_field_that_the_contract_lacks(topic: Topic, path) -> None:
    # Unknown fields are ignored, so a misspelt one would pass unseen.
    written = json.loads(path.read_text(encoding="utf-8"))
    understood = json.loads(decode(topic, path.read_bytes(), {}).model_dump_json())

    assert _paths(written) <= _paths(understood)


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_the_full_example_shows_every_field(topic: Topic) -> None:
    full = json.loads((EXAMPLES / topic.name / "full.json").read_text(encoding="utf-8"))

    assert set(full) == set(schema_of(topic)["properties"])


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_each_missing_field_is_named(topic: Topic) -> None:
    minimal = json.loads((EXAMPLES / topic.name / "minimal.json").read_text(encoding="utf-8"))
    for field in schema_of(topic)["required"]:
        body = json.dumps({name: value for name, value in minimal.items() if name != field}).encode()
        with pytest.raises(InvalidEvent, match=f"{field}: Field required") as caught:
            decode(topic, body, {})
        assert topic.name in (caught.value.next_step or "")


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_another_version_is_refused_by_name(topic: Topic) -> None:
    later = topic.ce_type.replace(".v1", ".v2")
    body = example_paths(topic)[0].read_bytes()

    with pytest.raises(UnknownEventVersion, match=later):
        decode(topic, body, {"ce_type": later})


def test_a_field_that_a_newer_producer_added_is_ignored() -> None:
    minimal = json.loads((EXAMPLES / DOCUMENTS_SUBMITTED.name / "minimal.json").read_text(encoding="utf-8"))
    minimal["documents"][0]["colour"] = "red"

    event = decode(DOCUMENTS_SUBMITTED, json.dumps(minimal | {"mood": "calm"}).encode(), {})

    assert isinstance(event, DocumentsSubmitted)
    assert event.documents[0].split_group == "note-1"


def test_the_sample_file_holds_twenty_documents_of_eight_departments() -> None:
    lines = (EXAMPLES / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [Document.model_validate_json(line) for line in lines]

    assert len({document.document_id for document in documents}) == len(lines) == 20
    assert len({document.label for document in documents}) == 8
    usual = {"document_id", "text", "label", "group", "published_on", "source"}
    assert all(set(json.loads(line)) == usual for line in lines)


def _paths(value: object, at: str = "") -> set[str]:
    """Return the paths of all leaves and containers; list items share one path."""
    match value:
        case dict():
            return {at} | {path for key, item in value.items() for path in _paths(item, f"{at}.{key}")}
        case list():
            return {at} | {path for item in value for path in _paths(item, f"{at}[]")}
        case _:
            return {at}
