"""Writes the golden schemas and the AsyncAPI document: `python -m tests.contracts.regenerate`.

It refuses a change that breaks what is out there, and says what to do instead. Until version 1.0 nothing is promised yet: there
`--accept TOPIC` writes a breaking change of that topic all the same. Name it in the commit's message.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from contracts.topics import EVENT_TOPICS, TOPICS_BY_NAME, Topic
from tests.contracts.compatibility import breaking_changes, breaking_channel_changes, explanation
from tests.contracts.goldens import (
    ASYNCAPI,
    SCHEMAS,
    asyncapi_document,
    asyncapi_text,
    golden_path,
    project_version,
    schema_of,
    schema_text,
)


def main(arguments: Sequence[str] = ()) -> int:
    """Write the schema of every event topic and the AsyncAPI document; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.regenerate", description=__doc__)
    parser.add_argument("--accept", metavar="TOPIC", action="append", default=[], choices=sorted(TOPICS_BY_NAME))
    accepted = set(parser.parse_args(arguments).accept)
    if accepted and not project_version().startswith("0."):
        print(f"version {project_version()} has users: nothing is accepted any more", file=sys.stderr)  # noqa: T201
        return 1
    broken = {name: changes for name, changes in _broken().items() if name not in accepted}
    for name, changes in broken.items():
        print(explanation(name, changes), file=sys.stderr)  # noqa: T201
    if broken:
        return 1
    SCHEMAS.mkdir(exist_ok=True)
    for topic in EVENT_TOPICS:
        golden_path(topic).write_text(schema_text(topic), encoding="utf-8")
    ASYNCAPI.write_text(asyncapi_text(), encoding="utf-8")
    return 0


def _broken() -> dict[str, list[str]]:
    broken = {topic.name: changes for topic in EVENT_TOPICS if (changes := _breaking(topic))}
    if ASYNCAPI.exists():
        for change in breaking_channel_changes(json.loads(ASYNCAPI.read_text(encoding="utf-8")), asyncapi_document()):
            broken.setdefault(change.partition(":")[0].removesuffix("-dlq"), []).append(change)
    return broken


def _breaking(topic: Topic) -> list[str]:
    path = golden_path(topic)
    return breaking_changes(json.loads(path.read_text(encoding="utf-8")), schema_of(topic)) if path.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
