"""Writes the golden schemas: `python -m tests.contracts.regenerate`. It refuses a change that breaks what is out there."""

import json
import sys

from contracts.topics import EVENT_TOPICS, Topic
from tests.contracts.compatibility import breaking_changes
from tests.contracts.goldens import SCHEMAS, golden_path, schema_of, schema_text


def main() -> int:
    """Write the schema of every event topic; return the exit code."""
    broken = {topic.name: changes for topic in EVENT_TOPICS if (changes := _breaking(topic))}
    for name, changes in broken.items():
        print(f"{name}: this change breaks messages that exist; give the topic its next version", file=sys.stderr)  # noqa: T201
        print("\n".join(f"  {change}" for change in changes), file=sys.stderr)  # noqa: T201
    if broken:
        return 1
    SCHEMAS.mkdir(exist_ok=True)
    for topic in EVENT_TOPICS:
        golden_path(topic).write_text(schema_text(topic), encoding="utf-8")
    return 0


def _breaking(topic: Topic) -> list[str]:
    path = golden_path(topic)
    return breaking_changes(json.loads(path.read_text(encoding="utf-8")), schema_of(topic)) if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
