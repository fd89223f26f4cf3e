"""Every field of every event at its edges, to every daemon that takes it: handled, or refused with what, where and what to do."""

import asyncio
import json
import logging
from uuid import uuid4

import pytest

from contracts.topics import EVENT_TOPICS, Topic
from shared.errors import PermanentError, PlumblineError
from shared.messages import decode
from tests.badinput.edges import variants
from tests.contracts.daemons import DAEMONS_AND_TOPICS, Watched, running, watched
from tests.contracts.goldens import example_paths
from tests.keys import command_headers

__all__ = ["watched"]

PATIENCE_S = 110.0
LONGEST_REASON = 5_000
STARTS_A_PROCESS = {"tokenizer-builder": 20, "trainer": 2}
"""Daemons that begin each of these events in a process of its own, and how many of them are tried; spread over all fields."""


def bodies(topic: Topic) -> list[tuple[str, bytes]]:
    """Return every example of a topic with every field at every edge; each with an id of its own, unless that is the edge."""
    found = []
    for path in example_paths(topic):
        written = json.loads(path.read_text(encoding="utf-8"))
        for name, body in variants(written):
            fresh = body.replace(written["event_id"].encode(), str(uuid4()).encode())
            found.append((f"{path.stem}: {name}", fresh))
    return found


def refusal(topic: Topic, body: bytes) -> PermanentError | None:
    """Return why a body does not fit the topic's contract, or None."""
    try:
        decode(topic, body, {})
    except PermanentError as error:
        return error
    return None


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_what_does_not_fit_the_contract_is_refused_with_field_and_next_step(topic: Topic) -> None:
    refused = [(name, error) for name, body in bodies(topic) if (error := refusal(topic, body))]
    unclear = [name for name, error in refused if not str(error).startswith("not a valid ") or not error.next_step]
    assert unclear == []
    assert [name for name, error in refused if len(str(error)) > LONGEST_REASON] == []
    assert len(refused) > 100


@pytest.mark.mesh
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("daemon", "topic"), DAEMONS_AND_TOPICS)
async def test_what_fits_is_handled_or_refused_but_never_a_defect(
    daemon: str, topic: Topic, watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = [(name, body) for name, body in bodies(topic) if refusal(topic, body) is None]
    assert len(given) > 20
    if daemon in topic.consumers and daemon in STARTS_A_PROCESS:
        given = given[:: len(given) // STARTS_A_PROCESS[daemon]]
    defects: list[str] = []
    async with asyncio.timeout(PATIENCE_S), running(daemon, watched, monkeypatch) as bus:
        for name, body in given:
            watched.refused.clear()
            caplog.clear()
            domain = str(json.loads(body)["domain"])
            headers = {"ce_type": topic.ce_type} | command_headers(topic, domain, body)
            await bus.broker.publish(body, topic.name, key=domain.encode(), headers=headers)
            defects += [f"{name}: {error!r}" for error in watched.refused if not isinstance(error, PlumblineError)]
            defects += [f"{name}: {error}" for error in watched.refused if not str(error)]
            defects += [
                f"{name}: {record.getMessage()} {record.exc_info}"
                for record in caplog.records
                if record.levelno >= logging.ERROR and record.message in {"state message left unread", "work ended"}
            ]
    assert defects == []
