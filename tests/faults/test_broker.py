"""The embedded broker forgets everything when it ends, and a power cut ends everything: what was acknowledged goes on from disk.

It is one test, since each chapter needs the mesh that the one before left.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import DOCUMENTS_SUBMITTED, MAX_MESSAGE_BYTES
from shared.embedded.layout import layout_of
from shared.embedded.plan import BROKER
from shared.embedded.record import MeshPhase
from tests.embedded.live import eventually
from tests.faults.campaign import come_to_rest
from tests.faults.census import take_kept
from tests.faults.feed import DOMAIN, Feed, Questions
from tests.faults.harness import Faults

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("faults"), pytest.mark.timeout(500)]

READY_WITHIN_S = 30.0
MB = 1_000_000
LIMIT_BYTES = 70 * MB
"""A broker of this mesh holds some 20 MB, 30 after minutes."""


@pytest.fixture
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """A mesh whose broker is recycled soon; nothing is left of it."""
    settings = {
        "PLUMBLINE_SUPERVISOR__BROKER_LIMIT_BYTES": str(LIMIT_BYTES),
        "PLUMBLINE_SUPERVISOR__POLL_INTERVAL_S": "0.2",
    }
    faults = Faults(layout_of(tmp_path_factory.mktemp("broker") / "mesh"), settings=settings)
    yield faults
    faults.down()


def test_everything_acknowledged_comes_to_its_end_whatever_the_broker_forgets(faults: Faults) -> None:
    faults.up()
    feed = Feed(faults.live)
    feed.post()
    eventually(lambda: faults.release().serving_digest)

    with Questions(faults.live) as questions:
        the_broker_is_killed_with_two_versions_under_way(faults, feed)
        everything_came_to_its_end(faults, feed)
        the_broker_is_recycled_at_a_quiet_moment(faults, feed)
        everything_came_to_its_end(faults, feed)
        answered = questions.num_answered
        eventually(lambda: questions.num_answered > answered)
        for is_the_moment in (
            faults.num_under_way,
            lambda: faults.is_busy("trainer"),
            lambda: faults.release().rollout,
        ):
            feed.post()
            eventually(is_the_moment)
            after_a_power_cut_the_mesh_goes_on(faults)
        everything_came_to_its_end(faults, feed)


def the_broker_is_killed_with_two_versions_under_way(faults: Faults, feed: Feed) -> None:
    number = faults.num_versions()
    for more in (1, 2):
        feed.post()
        eventually(lambda more=more: faults.num_versions() == number + more)
    assert faults.num_under_way()
    feed.post()
    broker = faults.kill(BROKER)
    feed.post()
    eventually(lambda: is_another(faults, broker) and faults.live.record.phase is MeshPhase.READY)


def the_broker_is_recycled_at_a_quiet_moment(faults: Faults, feed: Feed) -> None:
    restarts = faults.live.process(BROKER).restarts
    mark = faults.live.process(BROKER).mark
    assert mark
    number = faults.num_versions()
    feed.post()
    eventually(lambda: faults.num_versions() > number)
    assert faults.is_busy("cleaner"), "it hands a version over"
    eventually(lambda: faults.is_busy("trainer"))
    asyncio.run(fill(faults.live.record.bootstrap_servers, psutil.Process(mark.pid), LIMIT_BYTES))
    assert not is_another(faults, mark.pid), "a training is under way"
    eventually(lambda: is_another(faults, mark.pid))
    assert faults.num_under_way() == 0, "it waited for a quiet moment"
    feed.post()
    eventually(lambda: faults.live.record.phase is MeshPhase.READY)
    assert faults.live.process(BROKER).restarts == restarts, "it was planned"


def after_a_power_cut_the_mesh_goes_on(faults: Faults) -> None:
    assert faults.kill_everything() >= len(faults.live.record.processes)
    num_torn = tear(faults.layout.root)
    assert num_torn > 5
    assert faults.up() < READY_WITHIN_S


def everything_came_to_its_end(faults: Faults, feed: Feed) -> None:
    come_to_rest(faults, feed)
    census = take_kept(faults.store, feed.acknowledged, DOMAIN)
    assert (census.lost, census.doubled) == ([], [])
    assert faults.release().serving_digest


async def fill(bootstrap_servers: str, broker: psutil.Process, limit_bytes: int) -> None:
    """Produce what nobody consumes, dead letters, until the broker holds more than its limit, and hardly more: at half as much
    again it would wait for no quiet moment.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_request_size=MAX_MESSAGE_BYTES)
    await producer.start()
    try:
        while broker.memory_info().rss <= limit_bytes:
            await producer.send_and_wait(DOCUMENTS_SUBMITTED.dead_letter_name, os.urandom(MAX_MESSAGE_BYTES // 2))
    finally:
        await producer.stop()


def is_another(faults: Faults, pid: int) -> bool:
    mark = faults.live.process(BROKER).mark
    return bool(mark and mark.pid != pid)


def tear(root: Path) -> int:
    """Leave in a state directory what a power cut may: every kind of draft, half a frame in each log of SQLite; return how many.

    Jobs of children are cut short, although they are flushed: a run begins anew then. The record names a process that is another
    one now: this one.
    """
    logs = [*root.rglob("*-wal")]
    for log in logs:
        with log.open("ab") as file:
            file.write(os.urandom(700))
    whole = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    drafts = [
        *(path.with_name(f".{path.name}.partial") for path in whole if path.suffix in {"", ".json"}),
        *(path.with_name(f".{path.name}.{uuid4().hex}") for path in whole if path.parent.parent.name == "sha256"),
    ]
    for draft in drafts:
        draft.write_bytes(b'{"event_id": "0')
    jobs = [path for path in whole if path.name == "job.json"]
    for job in jobs:
        job.write_bytes(job.read_bytes()[:40])
    record = json.loads((root / "mesh.json").read_text())
    record["supervisor"]["pid"] = os.getpid()
    (root / "mesh.json").write_text(json.dumps(record))
    return len(logs) + len(drafts) + len(jobs)
