"""Two release-managers as processes on a real broker: one decides, the other takes over when it stops, and none flips back.

The first is stopped (SIGSTOP) in the middle of a canary, as by a hung machine, and wakes up when the other one has long gone on.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.envelope import Event
from contracts.release import ReleaseChanged
from contracts.topics import BUNDLE_LOADED, MODEL_EVALUATED, RELEASE_CHANGED, TRAFFIC_OBSERVED, Topic
from shared.artifacts import ArtifactStore
from shared.bundle_signing import sign
from shared.embedded.settings import inherited_environment
from shared.messages import cloudevent_headers
from shared.settings import KafkaSettings
from tests.broker.harness import send_raw, until
from tests.conftest import free_port
from tests.embedded.live import eventually
from tests.keys import BUNDLE_SIGNER, write_keys
from tests.unit.release_manager.story import TRACEPARENT, evaluated, loaded, traffic

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

TAKEOVER_S = 15.0
ROOT = Path(__file__).parents[2]
RULES = {
    "MIN_ANSWERS": "40", "MIN_CANARY_S": "600", "MAX_HOLD_S": "900", "SETTLE_S": "0.3", "WINDOW_S": "0.5",
}  # fmt: skip


@dataclass
class Member:
    """A release-manager in its own process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def num_decisions(self) -> int:
        return self.log.read_text().count("release changed")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def members(kafka: KafkaSettings, folder: Path) -> Iterator[tuple[Member, Member]]:
    """Run two members of one group until the block ends."""
    (folder / "secrets").mkdir()
    write_keys(folder / "secrets")
    environment = {
        **inherited_environment(),
        "PLUMBLINE_ARTIFACTS__URL": f"file://{folder}/artifacts",
        "PLUMBLINE_SECRETS_DIR": str(folder / "secrets"),
        "PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PLUMBLINE_KAFKA__GROUP_SUFFIX": kafka.group_suffix,
        "PLUMBLINE_TICK_S": "0.1",
        **{f"PLUMBLINE_ROLLOUT__{name}": value for name, value in RULES.items()},
    }
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            state_dir, log = folder / name, folder / f"{name}.log"
            state_dir.mkdir()
            port = free_port()
            argv = [
                sys.executable,
                "-m",
                "uvicorn",
                "services.release_manager.app:build",
                "--factory",
                "--port",
                str(port),
            ]
            opened = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(
                argv, cwd=ROOT, env={**environment, "PLUMBLINE_STATE_DIR": str(state_dir)}, stdout=opened, stderr=opened
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            found.append(Member(process, f"http://127.0.0.1:{port}", log))
        for member in found:
            eventually(member.is_ready)
        yield found[0], found[1]


@dataclass
class World:
    """What the rest of the mesh says to the release-managers, and what it hears of them.

    Attributes:
        digests: Of the bundles by letter.
        heard: Every record of the topic, in order.
    """

    kafka: KafkaSettings
    store: ArtifactStore
    digests: dict[str, str] = field(default_factory=dict)
    heard: list[ReleaseChanged] = field(default_factory=list)

    def bundle(self, letter: str) -> str:
        if letter not in self.digests:
            self.digests[letter] = self.store.put_bytes(f"bundle {letter}".encode())
            sign(self.store, self.digests[letter], BUNDLE_SIGNER)
        return self.digests[letter]

    async def says(self, topic: Topic, event: Event, letter: str) -> None:
        event = event.model_copy(update={"bundle_digest": self.bundle(letter)})
        headers = cloudevent_headers(topic, event, service="test") | {"traceparent": TRACEPARENT}
        await send_raw(self.kafka, topic, event.model_dump_json().encode(), headers=headers)

    async def judges_good(self, letter: str) -> None:
        await self.says(MODEL_EVALUATED, evaluated(letter).event, letter)

    async def loads(self, letter: str) -> None:
        await self.says(BUNDLE_LOADED, loaded(letter), letter)

    async def serves(self, letter: str, *, errors: int) -> None:
        second = datetime.now(UTC).replace(microsecond=0)
        event = traffic(letter, 0, 10, errors=errors).model_copy(update={"second": second})
        await self.says(TRAFFIC_OBSERVED, event, letter)

    async def listen(self) -> None:
        """Keep what is published, until cancelled."""
        consumer = AIOKafkaConsumer(
            RELEASE_CHANGED.name, bootstrap_servers=self.kafka.bootstrap_servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            async for record in consumer:
                self.heard.append(ReleaseChanged.model_validate_json(record.value))
        finally:
            await consumer.stop()

    async def reached(self, phase: str, letter: str, *, within_s: float = TAKEOVER_S) -> None:
        await until(
            lambda: any((c.phase, c.bundle_digest) == (phase, self.bundle(letter)) for c in self.heard),
            within_s=within_s,
        )

    async def releases(self, letter: str, *, until_phase: str) -> None:
        await self.judges_good(letter)
        await self.reached("warming", letter)
        await self.loads(letter)
        await self.reached(until_phase, letter)

    def effective(self) -> list[ReleaseChanged]:
        """Return the changes that a gateway follows: it ignores what is not newer than what it knows."""
        followed: list[ReleaseChanged] = []
        for change in self.heard:
            if not followed or change.state.revision > followed[-1].state.revision:
                followed.append(change)
        return followed


async def test_a_stopped_release_manager_is_replaced_and_does_no_harm_when_it_wakes(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    world = World(kafka, ArtifactStore(f"file://{tmp_path}/artifacts"))
    with members(kafka, tmp_path) as pair:
        listening = asyncio.create_task(world.listen())
        try:
            await play(world, pair)
        finally:
            listening.cancel()
            await asyncio.wait([listening])
    story = [(change.phase, change.bundle_digest) for change in world.effective()]
    told = {(change.state.revision, change.event_id) for change in world.heard}
    a, b, c, d = (world.bundle(letter) for letter in "abcd")
    assert story == [
        *[(phase, a) for phase in ("warming", "promoting", "window", "stable")],
        *[(phase, b) for phase in ("warming", "canary", "rolling-back", "rolled-back")],
        *[(phase, c) for phase in ("warming", "canary", "rolling-back", "rolled-back")],
        *[(phase, d) for phase in ("warming", "canary")],
    ]
    assert sorted(told) == sorted((change.state.revision, change.event_id) for change in world.effective())
    assert world.heard[-1].state.revision == len(story)


async def play(world: World, pair: tuple[Member, Member]) -> None:
    await world.releases("a", until_phase="stable")
    await world.releases("b", until_phase="canary")
    owner, standby = sorted(pair, key=lambda member: -member.num_decisions)
    assert standby.num_decisions == 0

    owner.stop()
    stopped_s = time.monotonic()
    await keeps_failing(world, "b")
    takeover_s = time.monotonic() - stopped_s
    print(json.dumps({"takeover after SIGSTOP, seconds": round(takeover_s, 1)}))  # noqa: T201
    assert takeover_s < TAKEOVER_S
    await world.reached("rolled-back", "b")
    await world.releases("c", until_phase="canary")

    said = len(owner.log.read_text())
    owner.wake()
    await keeps_failing(world, "c")
    await world.reached("rolled-back", "c")
    await until(owner.is_ready)
    # The group may have given it the domain back by now; before that it decides nothing.
    assert "release changed" not in owner.log.read_text()[said:].partition("domain taken over")[0]

    standby.process.kill()
    killed_s = time.monotonic()
    await world.judges_good("d")
    await world.reached("warming", "d")
    print(json.dumps({"takeover after SIGKILL, seconds": round(time.monotonic() - killed_s, 1)}))  # noqa: T201
    assert time.monotonic() - killed_s < TAKEOVER_S
    await world.loads("d")
    await world.reached("canary", "d")
    assert "domain taken over" in owner.log.read_text()[said:]


async def keeps_failing(world: World, letter: str) -> None:
    """Let a candidate answer with errors until it is taken back."""
    deadline = time.monotonic() + TAKEOVER_S
    while not any((c.phase, c.bundle_digest) == ("rolling-back", world.bundle(letter)) for c in world.heard):
        assert time.monotonic() < deadline, f"{letter} was not taken back within {TAKEOVER_S} s"
        await world.serves(letter, errors=10)
        await world.serves("a", errors=0)
        await asyncio.sleep(0.5)
