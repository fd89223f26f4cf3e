"""All of Kafka goes away for longer than a message lives in a producer, and comes back: publishing goes on, nothing is lost.

An idempotent producer of aiokafka would answer OutOfOrderSequenceNumber from then on.
"""

import asyncio
from collections.abc import Iterator

import pytest

from contracts import topics
from shared.settings import KafkaSettings
from tests.broker.harness import PATIENCE_S, make_bus, running, until
from tests.broker.test_broker_killed import ids_of
from tests.contracts.payloads import example
from tests.engines import NODES, Cluster, empty_topics, kafka_cluster

pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.timeout(300)]
AWAY_S = 50.0
"""Longer than a producer's request timeout, and so than the life of a batch."""
NUM_BEFORE = 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with kafka_cluster() as found:
        yield found


async def test_publishing_goes_on_after_all_brokers_were_away_and_nothing_acknowledged_is_lost(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    empty_topics(cluster.bootstrap_servers)
    kafka = KafkaSettings(bootstrap_servers=cluster.bootstrap_servers)
    bus = make_bus("inference-gateway", kafka)
    acknowledged: list[str] = []

    async def publish_for_ever() -> None:
        while True:
            event = example(topics.BATCH_RECEIVED)
            await bus.until_done(lambda event=event: bus.publish(topics.BATCH_RECEIVED, event))
            acknowledged.append(str(event.event_id))
            await asyncio.sleep(0.1)

    async with running(bus):
        publishing = asyncio.create_task(publish_for_ever())
        await until(lambda: len(acknowledged) >= NUM_BEFORE)
        for node in NODES:
            await asyncio.to_thread(cluster.kill, node)
        await asyncio.sleep(AWAY_S)
        num_then = len(acknowledged)
        await asyncio.to_thread(cluster.start)
        await until(lambda: len(acknowledged) >= num_then + NUM_BEFORE, within_s=3 * PATIENCE_S)
        publishing.cancel()
        await asyncio.wait([publishing])

    said = await ids_of(kafka, topics.BATCH_RECEIVED)
    assert set(acknowledged) <= set(said)
    num_messages = sum(one in acknowledged for one in said)
    with capsys.disabled():
        print(f"\nKafka away for {AWAY_S:.0f} s: {len(acknowledged)} acknowledged, 0 lost, {num_messages} messages")  # noqa: T201
