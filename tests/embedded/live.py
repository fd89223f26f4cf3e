"""The whole mesh as its users have it: `plumb` as a command, the daemons as processes, HTTP and Kafka from outside."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.envelope import Event
from contracts.topics import EVENT_TOPICS, Topic
from shared.embedded.launch import strays
from shared.embedded.layout import Layout
from shared.embedded.record import MeshRecord, ProcessRecord, find, read_record
from shared.embedded.settings import inherited_environment

PLUMB = Path(sys.executable).with_name("plumb")
COMMAND_TIMEOUT_S = 150.0
PATIENCE_S = 90.0
POLL_S = 0.05

SETTINGS = {
    "PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "5000",  # so that a training is asked for
    "PLUMBLINE_CORPUS__QUIET_S": "0.5",
    "PLUMBLINE_TOKENIZER__VOCAB_SIZE": "1500",
    "PLUMBLINE_RECIPE__FIRST_TOKENS": "100000",
    "PLUMBLINE_CHECKPOINT_INTERVAL_S": "0.4",
    "PLUMBLINE_ROLLOUT__MIN_CANARY_S": "1",
    "PLUMBLINE_ROLLOUT__SETTLE_S": "0.5",
    "PLUMBLINE_ROLLOUT__WINDOW_S": "1",
}
"""How this mesh differs from a user's: everything is over sooner."""

AnyEvent = TypeVar("AnyEvent", bound=Event)
Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, within_s: float = PATIENCE_S) -> Found:
    """Return the first true value of `look`."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s"
        time.sleep(POLL_S)
    return found


@dataclass(frozen=True)
class Message:
    """What lies on a topic."""

    topic: str
    body: bytes
    headers: Mapping[str, str]


@dataclass
class Tail:
    """Reads all event topics and their dead letters from the start, in a thread; keeps what comes, whatever it is."""

    bootstrap_servers: str
    messages: list[Message] = field(default_factory=list)

    def events(
        self, topic: Topic, kind: type[AnyEvent], *, start: int = 0, domain: str | None = None
    ) -> list[AnyEvent]:
        """Return the events of a topic, or of one domain, from the `start`-th message on, each once, without other versions."""
        found = [message for message in self.messages[start:] if message.topic == topic.name]
        events = [kind.model_validate_json(one.body) for one in found if one.headers["ce_type"] == topic.ce_type]
        return list({event.event_id: event for event in events if domain in (None, event.domain)}.values())

    def dead_letters(self, topic: Topic, error: str) -> list[Message]:
        found = [message for message in self.messages if message.topic == topic.dead_letter_name]
        return [message for message in found if message.headers["plumbline_error_type"] == error]

    @contextmanager
    def reading(self) -> Iterator["Tail"]:
        loop = asyncio.new_event_loop()
        reader = loop.create_task(self._read())
        thread = threading.Thread(target=_run_to_the_end, args=(loop, reader))
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(reader.cancel)
            thread.join()
            loop.close()

    async def _read(self) -> None:
        dead = [topic.dead_letter_name for topic in EVENT_TOPICS if topic.has_dead_letters]
        topics = [*(topic.name for topic in EVENT_TOPICS), *dead]
        consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=self.bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        await consumer.start()
        try:
            async for record in consumer:
                headers = {name: value.decode() for name, value in record.headers}
                self.messages.append(Message(record.topic, record.value, headers))
        finally:
            await consumer.stop()


class LiveMesh:
    """A mesh in a state directory, seen from outside."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def plumb(self, *arguments: str, columns: int = 200) -> subprocess.CompletedProcess[str]:
        """Call the command line, from a folder that is not the project's."""
        return subprocess.run(
            [PLUMB, *arguments, "--state-dir", str(self.layout.root)],
            env={**inherited_environment(), **SETTINGS, "COLUMNS": str(columns)},
            cwd=self.layout.root.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )

    def json(self, *arguments: str) -> Any:
        """Return what a command prints with `--json`."""
        result = self.plumb(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    @property
    def record(self) -> MeshRecord:
        record = read_record(self.layout.record)
        assert record
        return record

    @property
    def token(self) -> str:
        """The operator's."""
        return self.layout.token.read_text(encoding="ascii").strip()

    def process(self, name: str) -> ProcessRecord:
        return next(process for process in self.record.processes if process.name == name)

    def running(self, name: str) -> psutil.Process:
        mark = self.process(name).mark
        assert mark
        return psutil.Process(mark.pid)

    def url(self, name: str, path: str) -> str:
        return f"{self.record.urls[name]}{path}"

    def get(self, name: str, path: str) -> httpx.Response:
        return httpx.get(self.url(name, path), trust_env=False, timeout=PATIENCE_S)

    def post(self, name: str, path: str, **body: Any) -> httpx.Response:
        return httpx.post(self.url(name, path), trust_env=False, timeout=PATIENCE_S, **body)

    def tail(self) -> Tail:
        return Tail(self.record.bootstrap_servers)

    def produce(self, topic: Topic, *bodies: bytes, key: str, ce_type: str | None = None) -> None:
        """Produce messages as a foreign system would."""
        headers = [("ce_type", (ce_type or topic.ce_type).encode())]
        asyncio.run(_produce(self.record.bootstrap_servers, topic.name, bodies, key=key.encode(), headers=headers))

    def survivors(self) -> list[psutil.Process]:
        """Return what still runs of the mesh."""
        marks = [self.record.supervisor, *self.record.marks()]
        return [*(process for mark in marks if (process := find(mark))), *strays(str(self.layout.root))]


async def _produce(
    bootstrap_servers: str, topic: str, bodies: tuple[bytes, ...], *, key: bytes, headers: list[tuple[str, bytes]]
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        for body in bodies:
            await producer.send_and_wait(topic, body, key=key, headers=headers)
    finally:
        await producer.stop()


def _run_to_the_end(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    asyncio.set_event_loop(loop)
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
