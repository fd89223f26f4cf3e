"""Events for tests: the example payloads, with an id of their own each time."""

import json
from typing import Any
from uuid import uuid4

from contracts.envelope import Event
from contracts.topics import Topic
from tests.contracts.goldens import EXAMPLES


def example(topic: Topic, name: str = "minimal", **changes: Any) -> Event:
    """Return an example payload of a topic as an event with a fresh id, unless `changes` name one."""
    written = json.loads((EXAMPLES / topic.name / f"{name}.json").read_text(encoding="utf-8"))
    assert topic.event is not None
    return topic.event.model_validate(written | {"event_id": uuid4()} | changes)
