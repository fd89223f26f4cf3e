"""A look at a process that is just ending must not end the mesh."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.embedded import supervisor as supervising
from shared.embedded.layout import layout_of
from shared.embedded.plan import ProcessSpec, Protocol, Tier
from shared.embedded.policy import Phase, started
from shared.embedded.probes import Answer
from shared.embedded.settings import SupervisorSettings
from shared.embedded.supervisor import Supervisor

NAME = "ingest"


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor whose one process has answered a poll, and ends before it is looked at."""

    async def answer(*_: object, **__: object) -> Answer:
        return Answer()

    monkeypatch.setattr(supervising, "probe", answer)
    spec = ProcessSpec(name=NAME, tier=Tier.DAEMON, argv=("true",), environment={}, port=1, protocol=Protocol.HTTP)
    made = Supervisor(
        specs={NAME: spec},
        layout=layout_of(tmp_path),
        settings=SupervisorSettings(),
        environment={},
        create_topics=lambda: None,
        publish=lambda _: None,
    )
    made.watched[NAME] = started(made.watched[NAME], epoch=1, now=0.0)
    with subprocess.Popen(spec.argv) as child:
        made._children[NAME] = child
        yield made


async def test_a_process_that_ended_after_its_answer_is_left_to_the_next_look(supervisor: Supervisor) -> None:
    supervisor._children[NAME].wait(10)

    await supervisor._poll(NAME)

    assert supervisor.watched[NAME].phase is Phase.STARTING


async def test_a_zombie_is_left_to_the_next_look(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.ZombieProcess(process.pid)

    monkeypatch.setattr(psutil.Process, "memory_info", refuse)
    monkeypatch.setattr(psutil.Process, "__init__", lambda process, pid: setattr(process, "_pid", pid))

    await supervisor._poll(NAME)

    assert supervisor.watched[NAME].phase is Phase.STARTING
