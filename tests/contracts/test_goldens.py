"""The committed schemas are what the code says, and every field is required unless it is documented as optional."""

import json
from typing import Any

import pytest

from contracts.topics import EVENT_TOPICS, Topic
from tests.contracts.compatibility import breaking_changes
from tests.contracts.goldens import SCHEMAS, golden_path, schema_of, schema_text

OPTIONAL = {
    # What users write by hand may leave out what has an obvious default.
    "DocumentsSubmitted": {"causation_id"},
    "Document": {
        "label", "group", "published_on", "source", "labels", "entities", "licence", "language", "picture", "tenant",
        "annotated_at", "augmented_from",
    },
    # Added later.
    "BatchCleaned": {"num_near_duplicate_documents", "changed", "masked", "rejected"},
    "BatchReceived": {"num_refused_documents", "statistics"},
    # What a batch does not have counts as none of it.
    "BatchStatistics": {
        "num_documents", "num_chars", "length_counts", "script_chars", "character_counts", "languages", "labels", "sources",
        "licences", "num_dated", "num_fresh", "num_repeated", "num_known", "num_bigrams", "num_distinct_bigrams",
        "num_compared_bigrams", "num_known_bigrams", "num_compared_texts", "num_unlike_texts",
    },
    "TokenizerReady": {
        "decision", "reason", "parent_tokenizer_digest", "num_new_tokens", "lexicon_digest", "report_digest",
    },
    # A domain's first state is the empty one.
    "ReleaseState": {
        "revision", "serving_digest", "previous_digest", "routes", "warm_digests", "rollout", "queued", "rolled_back_digests",
        "finished", "firing_alerts", "handled_request_ids",
    },
    "Rollout": {"candidate_tally", "baseline_tally", "elapsed_s", "counted_until"},
    "Tally": {"num_answers", "num_errors", "num_slow", "last_second"},
}  # fmt: skip


def objects_in(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {schema["title"]: schema, **schema.get("$defs", {})}
    return {name: one for name, one in found.items() if "properties" in one}


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_the_golden_schema_is_what_the_code_says(topic: Topic) -> None:
    golden = golden_path(topic).read_text(encoding="utf-8")

    assert golden == schema_text(topic), "run `python -m tests.contracts.regenerate` and look at the difference"


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_nothing_breaks_what_the_golden_schema_promised(topic: Topic) -> None:
    golden = json.loads(golden_path(topic).read_text(encoding="utf-8"))

    assert breaking_changes(golden, schema_of(topic)) == []


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_every_field_is_required_unless_documented_as_optional(topic: Topic) -> None:
    for name, schema in objects_in(schema_of(topic)).items():
        optional = set(schema["properties"]) - set(schema.get("required", ()))
        assert optional == OPTIONAL.get(name, set()), name


def test_every_schema_belongs_to_a_topic() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {golden_path(topic).name for topic in EVENT_TOPICS}
