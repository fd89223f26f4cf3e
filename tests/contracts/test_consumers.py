"""Every example payload is fed to every daemon that the topic table names for it, through the daemon's own wiring."""

import asyncio
import logging

import pytest

from contracts.topics import Topic
from shared.errors import ArtifactMissing, RunFailed
from shared.messages import cloudevent_headers, decode
from tests.contracts.daemons import DAEMONS_AND_TOPICS, Watched, running, watched
from tests.contracts.goldens import example_paths
from tests.keys import command_headers

__all__ = ["watched"]

PATIENCE_S = 90.0
GONE = (ArtifactMissing, RunFailed)
"""What the examples name lies in no store, and to say so is the right answer to them."""


@pytest.mark.mesh
@pytest.mark.parametrize(("daemon", "topic"), DAEMONS_AND_TOPICS)
async def test_a_daemon_takes_every_example_of_its_topics(
    daemon: str, topic: Topic, watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(PATIENCE_S), running(daemon, watched, monkeypatch) as bus:
        for path in example_paths(topic):
            event = decode(topic, path.read_bytes(), {})
            headers = cloudevent_headers(topic, event, service="test")
            headers |= command_headers(topic, event.domain, path.read_bytes())
            await bus.broker.publish(path.read_bytes(), topic.name, key=event.domain.encode(), headers=headers)

    assert [error for error in watched.refused if not isinstance(error, GONE)] == []
    unread = [record.exc_info for record in caplog.records if record.message == "state message left unread"]
    assert unread == []
    defects = [
        record for record in caplog.records if record.levelno >= logging.ERROR and record.message == "work ended"
    ]
    assert defects == []
