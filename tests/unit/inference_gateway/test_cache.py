"""The answer cache on a real server: what it keeps, for how long, and that losing it costs no answer."""

import asyncio

import pytest
from redis.asyncio import Redis

from services.inference_gateway import adapters
from services.inference_gateway.adapters import AnswerCache
from shared.settings import RedisSettings
from tests.broker.harness import until

pytestmark = pytest.mark.cache
NUM_AT_ONCE = 300


def settings_of(url: str) -> RedisSettings:
    # Two busy cores may take longer than an answer is worth; what is tested here is not the limit.
    return RedisSettings(url=url, timeout_s=5.0)


async def test_an_answer_is_kept_under_its_key_until_its_time_is_over(cache: str) -> None:
    async with AnswerCache(settings_of(cache), ttl_s=1) as answers, Redis.from_url(cache) as client:
        assert await answers.get("a") is None
        await answers.put("a", "刑法".encode())
        assert await answers.get("a") == "刑法".encode()
        assert await answers.get("b") is None
        assert 0 < await client.pttl("a") <= 1000

        async def expired() -> bool:
            return await answers.get("a") is None

        await until(expired)


async def test_many_at_once_share_the_connections_and_none_is_a_miss(cache: str) -> None:
    async with AnswerCache(settings_of(cache), ttl_s=60) as answers:
        keys = [f"key-{number}" for number in range(NUM_AT_ONCE)]
        await asyncio.gather(*(answers.put(key, key.encode()) for key in keys))
        assert await asyncio.gather(*(answers.get(key) for key in keys)) == [key.encode() for key in keys]


async def test_connections_that_the_server_cut_cost_at_most_a_pause(
    cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "CACHE_PAUSE_S", 0.1)
    async with AnswerCache(settings_of(cache), ttl_s=60) as answers, Redis.from_url(cache) as client:
        await answers.put("a", b"kept")
        assert await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1

        async def found() -> bool:
            return await answers.get("a") == b"kept"

        await until(found)


async def test_a_server_that_keeps_everybody_waiting_is_left_alone(cache: str) -> None:
    async with (
        AnswerCache(RedisSettings(url=cache, timeout_s=0.1), ttl_s=60) as answers,
        Redis.from_url(cache) as client,
    ):
        await client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        assert await answers.get("a") is None
        assert answers._is_paused
        async with asyncio.timeout(0.1):
            await answers.put("a", b"not kept")
            assert await answers.get("a") is None
        await client.execute_command("CLIENT", "UNPAUSE")
