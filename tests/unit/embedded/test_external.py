"""Engines that somebody else runs: where they are, and whether they answer."""

import asyncio
import socket
from pathlib import Path

import pytest

from shared.embedded.external import Engine, answers, engines_of, prepare_topics
from shared.embedded.layout import layout_of
from shared.embedded.settings import EngineSettings


def test_addresses_are_taken_apart_and_passwords_not_shown() -> None:
    settings = EngineSettings(
        kafka="k1:9092,k2:9093", redis="redis://:secret@r/0", elasticsearch="https://user:secret@e.example"
    )
    kafka, redis, elasticsearch = engines_of(settings)
    assert kafka.places == (("k1", 9092), ("k2", 9093))
    assert (redis.at, redis.places) == ("redis://r:6379", (("r", 6379),))
    assert (elasticsearch.at, elasticsearch.places) == ("https://e.example:443", (("e.example", 443),))
    assert engines_of(EngineSettings()) == ()


async def test_one_server_that_answers_is_enough() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await answers(engine(1, port), timeout_s=2)
    assert not await answers(engine(1, port), timeout_s=2)


def test_an_absent_kafka_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"{address}: Connection refused"):
            prepare_topics(address, layout_of(tmp_path), fresh=False, create_topics=lambda *_, **__: None)


def engine(*ports: int) -> Engine:
    return Engine(name="kafka", at="here", places=tuple(("127.0.0.1", port) for port in ports))
