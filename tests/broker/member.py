"""A member of the cleaner's group in a process that can be killed: `python -m tests.broker.member MODE SETTINGS`.

It says what it does as JSON lines. Modes: `clean` answers each batch with a `batch-cleaned`; `clean-and-die` kills itself
between that and the commit.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from contracts import topics
from contracts.corpus import BatchCleaned
from contracts.envelope import Event
from shared.bus import Bus
from shared.settings import KafkaSettings
from tests.broker.harness import make_bus, running

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


def cleaned(cause: Event, *, now: datetime) -> BatchCleaned:
    """Return what the member answers a batch with."""
    return BatchCleaned.caused_by(
        cause, now=now, batch_id=cause.event_id, shard_digest="0" * 64, num_documents=1, num_new_documents=1,
        num_duplicate_documents=0, num_rejected_documents=0, num_pending_documents=1, min_new_documents=1000,
    )  # fmt: skip


class MemberProcess:
    """A member as seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[dict[str, str]] = []
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        self._process.kill()

    def says(self, what: str, value: str | None = None) -> bool:
        """Wait until the member has said something."""
        with self._news:
            return self._news.wait_for(lambda: self.heard(what, value), PATIENCE_S)

    def heard(self, what: str, value: str | None = None) -> bool:
        """Tell whether the member has said something."""
        return any(line["what"] == what and value in {None, line["value"]} for line in self.said)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()


@contextmanager
def started_member(mode: str, kafka: KafkaSettings) -> Iterator[MemberProcess]:
    """Run a member in its own process until the block ends."""
    argv = [sys.executable, "-m", __name__, mode, kafka.model_dump_json()]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield MemberProcess(process)
        finally:
            process.kill()


def assignment_of(bus: Bus) -> str:
    """Return what the member of a group was given, as sorted `topic/partition` words."""
    (subscriber,) = bus.broker.subscribers
    return " ".join(sorted(f"{place.topic}/{place.partition}" for place in subscriber.consumer.assignment()))


def say(what: str, value: str) -> None:
    print(json.dumps({"what": what, "value": value}), flush=True)  # noqa: T201


async def main(mode: str, settings: str) -> None:
    kafka = KafkaSettings.model_validate_json(settings)

    async def on_batch_received(event: Event) -> None:
        await bus.publish(topics.BATCH_CLEANED, cleaned(event, now=datetime.now(UTC)))
        if mode == "clean-and-die":
            os.kill(os.getpid(), signal.SIGKILL)
        say("handled", str(event.event_id))

    bus = make_bus("cleaner", kafka, {topics.BATCH_RECEIVED: on_batch_received})
    async with running(bus):
        say("joined", assignment_of(bus))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
