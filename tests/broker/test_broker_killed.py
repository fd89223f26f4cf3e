"""One of three Kafka brokers is killed in the middle of production and consumption: nothing that was acknowledged is lost.

`PLUMBLINE_TEST_CLUSTER` names three brokers (host:port, comma-separated, node ids 1 to 3 in this order) of a Kafka with
replication factor 3, two in sync, and `broker.session.timeout.ms` of 6,000; `PLUMBLINE_TEST_CLUSTER_KILL` a command that kills
one, e.g. `local-kafka kill {n}`, and `PLUMBLINE_TEST_CLUSTER_START` one that starts again what was killed. Without them three
containers are started.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaAdminClient

from contracts import topics
from contracts.envelope import Event
from shared.bus import Bus
from shared.membership import partition_of
from shared.settings import KafkaSettings
from tests.broker.harness import PATIENCE_S, header, make_bus, running, until
from tests.broker.member import cleaned
from tests.contracts.payloads import example
from tests.engines import Cluster, empty_topics, kafka_cluster

pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.timeout(240)]
NUM_EVENTS = 400
EVENTS_PER_S = 40
KILLED_AFTER = 100
TAKEOVER_S = 15.0
"""Kafka gives a killed broker's partitions to another after `broker.session.timeout.ms`, here 6 s; the rest is ours."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with kafka_cluster() as found:
        yield found


@pytest.fixture
def three_brokers(cluster: Cluster) -> Iterator[KafkaSettings]:
    """Settings for three brokers with all topics, empty and in sync everywhere; what a test killed is started again."""
    empty_topics(cluster.bootstrap_servers)
    yield KafkaSettings(bootstrap_servers=cluster.bootstrap_servers, group_suffix=f"-{uuid4().hex[:8]}")
    cluster.start()
    deadline = time.monotonic() + 90
    while not in_sync(cluster.bootstrap_servers):
        assert time.monotonic() < deadline, "the broker that was started again did not catch up"
        time.sleep(0.5)


@dataclass
class Cleaner:
    """Answers each batch with a `batch-cleaned`, as the daemon does, and notes when."""

    kafka: KafkaSettings
    bus: Bus = field(init=False)
    handled: list[tuple[float, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = make_bus("cleaner", self.kafka, {topics.BATCH_RECEIVED: self._clean})

    async def _clean(self, event: Event) -> None:
        await self.bus.publish(topics.BATCH_CLEANED, cleaned(event, now=datetime.now(UTC)))
        self.handled.append((time.monotonic(), event))

    @property
    def coordinator(self) -> int:
        """The node that coordinates the group."""
        (subscriber,) = self.bus.broker.subscribers
        return int(subscriber.consumer._coordinator.coordinator_id)


@pytest.mark.parametrize("victim", ["leader of the partition", "coordinator of the group"])
async def test_what_was_acknowledged_is_handled_and_its_effects_are_not_doubled(
    three_brokers: KafkaSettings, cluster: Cluster, victim: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaner = Cleaner(three_brokers)
    sender = make_bus("inference-gateway", three_brokers)
    acknowledged: list[tuple[float, Event]] = []
    async with running(cleaner.bus), running(sender):
        producing = asyncio.create_task(produce(sender, acknowledged))
        await until(lambda: len(acknowledged) >= KILLED_AFTER and len(cleaner.handled) > KILLED_AFTER // 2)
        leads = leader_of(cluster.bootstrap_servers, topics.BATCH_RECEIVED.name, partition_of("law"))
        await asyncio.to_thread(cluster.kill, leads if victim.startswith("leader") else cleaner.coordinator)
        killed_at = time.monotonic()
        sent = {event.event_id for _, event in acknowledged}
        await asyncio.wait_for(producing, 120)
        await until(lambda: len({event.event_id for _, event in cleaner.handled}) == NUM_EVENTS, within_s=60)

    assert len(acknowledged) == NUM_EVENTS
    takeover_s = next(at for at, event in cleaner.handled if at > killed_at and event.event_id not in sent) - killed_at
    waited_s = max(later - earlier for (earlier, _), (later, _) in pairwise(acknowledged))
    said = Counter(await ids_of(three_brokers, topics.BATCH_CLEANED))
    assert set(said) == {effect_of(event) for _, event in acknowledged}, (
        "each event has one effect, whatever was sent twice"
    )
    again = len(cleaner.handled) - NUM_EVENTS
    with capsys.disabled():
        print(  # noqa: T201 (figures for people)
            f"\n{victim} killed: {NUM_EVENTS} acknowledged, 0 lost, {len(said)} effects, {again} handled again, "
            f"{said.total() - len(said)} messages more than effects; longest wait for an acknowledgement {waited_s:.1f} s, "
            f"first new event handled {takeover_s:.1f} s after the kill"
        )
    assert takeover_s < TAKEOVER_S


async def produce(bus: Bus, acknowledged: list[tuple[float, Event]]) -> None:
    """Publish events at a steady rate, each until it is acknowledged."""
    for _ in range(NUM_EVENTS):
        event = example(topics.BATCH_RECEIVED)

        async def publish(event: Event = event) -> None:
            await bus.publish(topics.BATCH_RECEIVED, event)

        await bus.until_done(publish)
        acknowledged.append((time.monotonic(), event))
        await asyncio.sleep(1 / EVENTS_PER_S)


def effect_of(event: Event) -> str:
    """Return the id of the `batch-cleaned` that answers an event."""
    return str(cleaned(event, now=event.occurred_at).event_id)


async def ids_of(kafka: KafkaSettings, topic: topics.Topic) -> list[str]:
    """Return the ids of all events of a topic, up to its end."""
    places = [TopicPartition(topic.name, number) for number in range(topics.NUM_PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    consumer.assign(places)
    await consumer.start()
    ids: list[str] = []
    try:
        ends = await consumer.end_offsets(places)
        async with asyncio.timeout(PATIENCE_S):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    ids += [str(header(record, "ce_id")) for record in records]
    finally:
        await consumer.stop()
    return ids


def leader_of(bootstrap_servers: str, name: str, partition: int) -> int:
    return int(partitions_of(bootstrap_servers, [name])[partition]["leader_id"])


def in_sync(bootstrap_servers: str) -> bool:
    """Tell whether every copy of every partition of the table is in sync."""
    names = [topic.name for topic in topics.TOPICS]
    found = partitions_of(bootstrap_servers, names)
    return all(len(one["isr_nodes"]) == len(one["replica_nodes"]) == 3 for one in found)


def partitions_of(bootstrap_servers: str, names: list[str]) -> list[dict[str, Any]]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","))
    try:
        return [one for topic in admin.describe_topics(names) for one in sorted(topic["partitions"], key=_index)]
    finally:
        admin.close()


def _index(partition: dict[str, Any]) -> int:
    return int(partition["partition_index"])
