"""Golden JSON Schemas and example payloads: where they lie, and what the code says today."""

import json
import tomllib
from pathlib import Path
from typing import Any

import contracts
from contracts.asyncapi import document
from contracts.topics import Topic

ROOT = Path(contracts.__file__).parent
SCHEMAS = ROOT / "schemas"
EXAMPLES = ROOT / "examples"
ASYNCAPI = ROOT / "asyncapi.json"
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


def project_version() -> str:
    """Return the version of the project, which the contracts carry."""
    return str(tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def asyncapi_document() -> dict[str, Any]:
    """Return the AsyncAPI document of what the code says today, as JSON reads it."""
    return dict(json.loads(asyncapi_text()))


def asyncapi_text() -> str:
    """Return the golden document's text."""
    return json.dumps(document(project_version()), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
