"""How every daemon's subscribers are built: what FastStream and aiokafka would default to is not what the mesh needs."""

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import TestKafkaBroker

from contracts import topics
from contracts.topics import ALL_DAEMONS, topics_consumed_by, topics_read_by
from shared.bus import Bus
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from tests.broker.harness import Inbox, KeptSink, ignore
from tests.contracts.payloads import example


@pytest.fixture
def make(request: pytest.FixtureRequest):
    def made(service: str) -> Bus:
        telemetry = Telemetry(service, TelemetrySettings(), KeptSink())
        request.addfinalizer(telemetry.close)
        return Bus(service, KafkaSettings(group_suffix="-x"), telemetry)

    return made


@pytest.mark.parametrize("service", [name for name in ALL_DAEMONS if topics_consumed_by(name)])
def test_a_daemon_has_one_group_subscriber_that_loses_nothing(make, service: str) -> None:
    bus = make(service)
    bus.consume(dict.fromkeys(topics_consumed_by(service), ignore))

    (subscriber,) = bus.broker.subscribers
    options = subscriber._connection_args
    assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
    assert subscriber.group_id == f"{service}-x"
    assert set(subscriber.topic_names_for_subscribe) == {topic.name for topic in topics_consumed_by(service)}
    assert options["enable_auto_commit"] is False
    assert options["auto_offset_reset"] == "earliest"
    assert options["session_timeout_ms"] == 6_000
    assert options["heartbeat_interval_ms"] == 2_000
    assert options["max_poll_interval_ms"] == 24 * 3600 * 1000
    assert list(options["partition_assignment_strategy"]) == [RangePartitionAssignor]
    assert options["max_partition_fetch_bytes"] > topics.MAX_MESSAGE_BYTES


@pytest.mark.parametrize("service", [name for name in ALL_DAEMONS if topics_read_by(name)])
def test_a_daemon_reads_state_without_a_group(make, service: str) -> None:
    bus = make(service)
    bus.read(dict.fromkeys(topics_read_by(service), ignore))

    (subscriber,) = bus.broker.subscribers
    assert subscriber.group_id is None
    assert subscriber._connection_args["auto_offset_reset"] == "earliest"


def test_handlers_that_the_topic_table_does_not_know_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"evaluator consumes \['model-trained-v1'\]"):
        make("evaluator").consume({topics.BATCH_RECEIVED: ignore})
    with pytest.raises(ValueError, match="cleaner consumes"):
        make("cleaner").consume({topics.BATCH_RECEIVED: ignore})
    with pytest.raises(ValueError, match="evaluator reads"):
        make("evaluator").read({})


def test_a_bus_is_unready_until_its_group_is_joined(make) -> None:
    bus = make("evaluator")
    assert bus.unready_because is None
    bus.consume({topics.MODEL_TRAINED: ignore})
    assert "not been joined" in (bus.unready_because or "")


@pytest.mark.mesh
async def test_daemons_are_wired_together_in_memory(make) -> None:
    inbox, state = Inbox(), Inbox()
    cleaner, trainer = make("cleaner"), make("trainer")
    event = example(topics.TOKENIZER_READY, "full")
    cleaner.consume(dict.fromkeys(topics_consumed_by("cleaner"), ignore))
    trainer.consume({topics.TOKENIZER_READY: inbox})
    trainer.read({topics.RELEASE_CHANGED: state})

    async with TestKafkaBroker(cleaner.broker, trainer.broker):
        await cleaner.publish(topics.TOKENIZER_READY, event)
        released = example(topics.RELEASE_CHANGED, "full")
        await cleaner.publish(topics.RELEASE_CHANGED, released)

    assert inbox.events == [event]
    assert state.events == [released]
