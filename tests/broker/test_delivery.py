"""At least once: offsets move after success only, what failed comes again, in order."""

import asyncio
import time
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaProducer

from contracts import topics
from shared.errors import TransientError
from shared.settings import KafkaSettings
from tests.broker.harness import Inbox, header, make_bus, num_committed, records, running, until
from tests.broker.member import cleaned, started_member
from tests.contracts.payloads import example

pytestmark = pytest.mark.broker


async def test_the_offset_is_committed_only_after_the_handler_returned(kafka: KafkaSettings) -> None:
    entered, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        entered.set()
        await finish.wait()

    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: slow})) as bus:
        await bus.publish(topics.MODEL_TRAINED, example(topics.MODEL_TRAINED))
        await asyncio.wait_for(entered.wait(), 10)
        assert await num_committed(kafka, "evaluator", topics.MODEL_TRAINED) == 0

        finish.set()

        async def committed() -> bool:
            return await num_committed(kafka, "evaluator", topics.MODEL_TRAINED) == 1

        await until(committed)


async def test_a_message_that_was_being_handled_at_a_stop_comes_again(kafka: KafkaSettings) -> None:
    entered = asyncio.Event()

    async def never_ends(_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    event = example(topics.MODEL_TRAINED)
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: never_ends})) as bus:
        await bus.publish(topics.MODEL_TRAINED, event)
        await asyncio.wait_for(entered.wait(), 10)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5

    inbox = Inbox()
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox})):
        assert await inbox.next() == event


async def test_a_handler_killed_after_its_effect_says_the_same_thing_again(kafka: KafkaSettings) -> None:
    cause = example(topics.BATCH_RECEIVED, "full")
    async with running(make_bus("inference-gateway", kafka)) as sender:
        await sender.publish(topics.BATCH_RECEIVED, cause)

    with started_member("clean-and-die", kafka) as killed:
        assert await asyncio.to_thread(killed.wait) == -9
    with started_member("clean", kafka) as member:
        assert await asyncio.to_thread(member.says, "handled", str(cause.event_id))

    first, second = await records(kafka, topics.BATCH_CLEANED.name, 2)
    assert header(first, "ce_id") == header(second, "ce_id")
    assert header(first, "ce_id") == str(cleaned(cause, now=cause.occurred_at).event_id)


async def test_transient_errors_are_retried_with_growing_pauses_and_order_is_kept(kafka: KafkaSettings) -> None:
    errors = [TransientError("try later"), OSError("disk full"), TimeoutError(), TransientError("again")]
    attempts: list[tuple[float, object]] = []
    inbox = Inbox()

    async def recovering(event: object) -> None:
        attempts.append((time.monotonic(), event))
        if errors:
            raise errors.pop(0)
        await inbox(event)

    first, second = example(topics.MODEL_TRAINED), example(topics.MODEL_TRAINED)
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: recovering})) as bus:
        await bus.publish(topics.MODEL_TRAINED, first)
        await bus.publish(topics.MODEL_TRAINED, second)
        assert [await inbox.next(), await inbox.next()] == [first, second]

    assert [event for _, event in attempts] == [first] * 5 + [second]
    times = [at for at, _ in attempts[:5]]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.2


async def test_events_of_a_domain_keep_their_order(kafka: KafkaSettings) -> None:
    inbox = Inbox()
    sent = [example(topics.MODEL_TRAINED) for _ in range(30)]
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox})) as bus:
        for event in sent:
            await bus.publish(topics.MODEL_TRAINED, event)
        assert [await inbox.next() for _ in sent] == sent


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_a_message_is_read_however_its_sender_compressed_it(kafka: KafkaSettings, codec: str) -> None:
    event = example(topics.DOCUMENTS_SUBMITTED, "full")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type=codec)
    await producer.start()
    try:
        await producer.send_and_wait(topics.DOCUMENTS_SUBMITTED.name, event.model_dump_json().encode(), key=b"law")
    finally:
        await producer.stop()

    inbox = Inbox()
    async with running(make_bus("ingest", kafka, {topics.DOCUMENTS_SUBMITTED: inbox})):
        assert await inbox.next() == event
