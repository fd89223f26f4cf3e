"""Consumer groups: who works what off, and who takes over. Readers without a group see everything from the start."""

import asyncio
import logging
import time
from collections import Counter, defaultdict

import pytest

from contracts import topics
from contracts.topics import NUM_PARTITIONS, topics_consumed_by
from shared.bus import Bus
from shared.membership import OWN_EVERY, partition_of
from shared.settings import KafkaSettings
from tests.broker.harness import Inbox, make_bus, records, running, send_raw, until
from tests.broker.member import started_member
from tests.contracts.payloads import example

pytestmark = pytest.mark.broker
TAKEOVER_S = 15.0


def assignment(bus: Bus) -> dict[str, set[int]]:
    """Return the partitions that a member has, by topic."""
    found: dict[str, set[int]] = defaultdict(set)
    for subscriber in bus.broker.subscribers:
        for place in subscriber.consumer.assignment():
            found[place.topic].add(place.partition)
    return found


async def test_a_reader_sees_everything_from_the_start_and_so_does_the_next(kafka: KafkaSettings) -> None:
    states = [example(topics.RELEASE_CHANGED, "full") for _ in range(3)]
    async with running(make_bus("release-manager", kafka)) as writer:
        for state in states[:2]:
            await writer.publish(topics.RELEASE_CHANGED, state)
        for _ in range(2):
            inbox = Inbox()
            async with running(make_bus("inference-gateway", kafka, readers={topics.RELEASE_CHANGED: inbox})):
                assert [await inbox.next(), await inbox.next()] == states[:2]
        async with running(make_bus("inference-gateway", kafka, readers={topics.RELEASE_CHANGED: inbox})):
            assert [await inbox.next(), await inbox.next()] == states[:2]
            await writer.publish(topics.RELEASE_CHANGED, states[2])
            assert await inbox.next() == states[2]


async def test_a_reader_goes_past_what_it_cannot_read_and_says_so(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    defective, good = example(topics.RELEASE_CHANGED), example(topics.RELEASE_CHANGED)

    async def on_release_changed(event: object) -> None:
        if event == defective:
            raise KeyError("oops")
        await inbox(event)

    await send_raw(kafka, topics.RELEASE_CHANGED, b"{}")
    await send_raw(kafka, topics.RELEASE_CHANGED, defective.model_dump_json().encode())
    await send_raw(kafka, topics.RELEASE_CHANGED, good.model_dump_json().encode())
    async with running(make_bus("inference-gateway", kafka, readers={topics.RELEASE_CHANGED: on_release_changed})):
        assert await inbox.next() == good

    left = [record for record in caplog.records if record.message == "state message left unread"]
    assert [record.exc_info[0].__name__ for record in left if record.exc_info] == ["InvalidEvent", "KeyError"]
    assert all(record.levelno == logging.ERROR for record in left)


async def test_a_reader_does_not_wait_behind_work(kafka: KafkaSettings) -> None:
    working = asyncio.Event()
    inbox = Inbox()

    async def long_work(_: object) -> None:
        working.set()
        await asyncio.Event().wait()

    handlers = {topics.TOKENIZER_READY: long_work}
    async with running(make_bus("trainer", kafka, handlers, readers={topics.RELEASE_CHANGED: inbox})) as bus:
        await bus.publish(topics.TOKENIZER_READY, example(topics.TOKENIZER_READY))
        await asyncio.wait_for(working.wait(), 10)
        state = example(topics.RELEASE_CHANGED)
        await bus.publish(topics.RELEASE_CHANGED, state)
        assert await inbox.next() == state


async def test_two_members_share_a_group_and_each_has_a_domain_on_all_its_topics(kafka: KafkaSettings) -> None:
    inboxes = [Inbox(), Inbox()]
    work = topics_consumed_by("cleaner")
    buses = [make_bus("cleaner", kafka, dict.fromkeys(work, inbox)) for inbox in inboxes]
    async with running(buses[0]) as first, running(buses[1]) as second:
        await until(lambda: all(sum(map(len, assignment(bus).values())) == 2 * len(work) for bus in buses))
        for bus in buses:
            shares = list(assignment(bus).values())
            assert len(shares) == len(work)
            assert all(share == shares[0] for share in shares)
        assert not set(assignment(first)[work[0].name]) & set(assignment(second)[work[0].name])

        owners = {domain: next(bus for bus in buses if bus.owns(domain)) for domain in ("law", "medicine", "finance")}
        for domain in owners:
            for topic in work:
                await first.publish(topic, example(topic, domain=domain))
        await until(lambda: sum(len(inbox.events) for inbox in inboxes) == len(owners) * len(work))

    for bus, inbox in zip(buses, inboxes, strict=True):
        keyed = {event.domain for event in inbox.events if not isinstance(event, topics.BATCH_RECEIVED.event)}
        assert keyed == {domain for domain in owners if owners[domain] is bus}


async def test_what_is_spread_goes_to_all_partitions_so_that_members_share_a_domain(kafka: KafkaSettings) -> None:
    num_events, domains = OWN_EVERY * (NUM_PARTITIONS - 1) + 1, ("law", "medicine")
    async with running(make_bus("inference-gateway", kafka)) as sender:
        for _ in range(num_events):
            for domain in domains:
                await sender.publish(topics.BATCH_RECEIVED, example(topics.BATCH_RECEIVED, domain=domain))
    found = await records(kafka, topics.BATCH_RECEIVED.name, len(domains) * num_events)

    for domain in domains:
        others = {number: OWN_EVERY for number in range(NUM_PARTITIONS) if number != partition_of(domain)}
        partitions = Counter(record.partition for record in found if record.key == domain.encode())
        assert partitions == others | {partition_of(domain): 1}


async def test_a_domain_lies_on_the_partition_that_the_bus_computes(kafka: KafkaSettings) -> None:
    domains = ["law", "medicine", "finance", "patents", "tax", "labour-law"]
    async with running(make_bus("inference-gateway", kafka)) as sender:
        for domain in domains:
            await sender.publish(topics.BATCH_PREPARED, example(topics.BATCH_PREPARED, domain=domain))
    found = await records(kafka, topics.BATCH_PREPARED.name, len(domains))

    assert {record.key.decode(): record.partition for record in found} == {name: partition_of(name) for name in domains}
    assert {record.partition for record in found} <= set(range(NUM_PARTITIONS))


async def test_a_killed_member_is_taken_over(kafka: KafkaSettings) -> None:
    inbox = Inbox()
    event = example(topics.BATCH_RECEIVED)
    with started_member("clean", kafka) as member:
        assert await asyncio.to_thread(member.says, "joined")
        async with running(make_bus("cleaner", kafka, {topics.BATCH_RECEIVED: inbox})) as standby:
            before = example(topics.BATCH_RECEIVED)
            await standby.publish(topics.BATCH_RECEIVED, before)
            await until(lambda: before in inbox.events or member.heard("handled", str(before.event_id)))

            member.kill()
            killed_at = time.monotonic()
            await standby.publish(topics.BATCH_RECEIVED, event)
            await until(lambda: all(len(share) == NUM_PARTITIONS for share in assignment(standby).values()))
            await until(lambda: event in inbox.events)
            assert time.monotonic() - killed_at < TAKEOVER_S
