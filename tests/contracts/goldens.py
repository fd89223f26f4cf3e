"""Golden JSON Schemas and example payloads: where they lie, and what the code says today."""

import json
from pathlib import Path
from typing import Any

import contracts
from contracts.topics import Topic

ROOT = Path(contracts.__file__).parent
SCHEMAS = ROOT / "schemas"
EXAMPLES = ROOT / "examples"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def golden_path(topic: Topic) -> Path:
    """Return where a topic's golden schema lies."""
    return SCHEMAS / f"{topic.name}.schema.json"


def schema_of(topic: Topic) -> dict[str, Any]:
    """Return the JSON Schema of what a topic carries today."""
    assert topic.event is not None
    schema = topic.event.model_json_schema(mode="validation")
    return {"$schema": DIALECT, "$id": f"urn:plumbline:schema:{topic.ce_type}", **schema}


def schema_text(topic: Topic) -> str:
    """Return the golden file's text: stable, since the keys are sorted."""
    return json.dumps(schema_of(topic), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def example_paths(topic: Topic) -> list[Path]:
    """Return the topic's example payloads, sorted by name."""
    return sorted((EXAMPLES / topic.name).glob("*.json"))
