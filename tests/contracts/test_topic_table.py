"""The topic table's own rules, and those of the names beside it."""

import re
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from contracts import telemetry, topics
from contracts.envelope import derived_id
from contracts.topics import ALL_DAEMONS, EVENT_TOPICS, OTLP_TOPICS, TOPICS, Topic

EVENT_TOPIC_NAME = re.compile(r"^[a-z]+(-[a-z]+)+-v[1-9][0-9]*$")


def source_of(*folders: str) -> str:
    root = Path(__file__).parents[2]
    return "".join(path.read_text(encoding="utf-8") for folder in folders for path in (root / folder).rglob("*.py"))


def test_names_and_events_are_unique() -> None:
    names = [name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)]
    assert len(set(names)) == len(names)
    events = [topic.event for topic in EVENT_TOPICS]
    assert len(set(events)) == len(events)


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_an_event_topic_is_kebab_case_with_its_version_last(topic: Topic) -> None:
    # Kafka's metrics confuse `.` with `_`, so event topics use neither.
    assert EVENT_TOPIC_NAME.match(topic.name)


def test_otlp_topics_have_the_names_that_the_collector_reads() -> None:
    assert {topic.name for topic in OTLP_TOPICS} == {"otlp_spans", "otlp_metrics", "otlp_logs"}
    assert all(topic.event is None and not topic.traced for topic in OTLP_TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_somebody_writes_a_topic_and_somebody_reads_it(topic: Topic) -> None:
    assert topic.producers
    assert topic.consumers or topic.readers or topic.keepers
    assert topic.why
    known = {*ALL_DAEMONS, "user"}
    assert {*topic.producers, *topic.consumers, *topic.readers, *topic.followers, *topic.keepers} <= known
    assert not set(topic.consumers) & {*topic.readers, *topic.followers}


@pytest.mark.parametrize("topic", EVENT_TOPICS, ids=lambda topic: topic.name)
def test_topic_type_and_event_class_carry_one_name(topic: Topic) -> None:
    assert topic.event is not None
    stem, _, version = topic.name.rpartition("-")
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", topic.event.__name__).lower()
    assert stem == words
    assert topic.ce_type == f"plumbline.{words}.{version}"


def test_only_whole_state_is_compacted_and_everything_else_expires() -> None:
    assert [topic.name for topic in TOPICS if topic.retention_h is None] == ["release-changed-v1"]
    assert all(topic.retention_h >= topics.DAY_H for topic in TOPICS if topic.retention_h is not None)


def test_every_daemon_has_a_part_in_the_loop() -> None:
    assert set(ALL_DAEMONS) == {name for topic in EVENT_TOPICS for name in topic.producers} - {"user"}
    for daemon in ALL_DAEMONS:
        assert topics.topics_consumed_by(daemon) or topics.topics_read_by(daemon)


def test_a_derived_id_is_pinned() -> None:
    # A change would make every redelivery after an upgrade a new event. Source: uuid5 of the cause over the joined parts.
    cause = UUID("12345678-1234-5678-1234-567812345678")
    assert derived_id(cause, "BatchCleaned", "") == UUID("ba3c2b50-ef87-5e51-8a29-8ef26aced685")


def test_metric_names_are_unique_and_their_bounds_rise() -> None:
    names = [metric.name for metric in telemetry.METRICS]
    assert len(set(names)) == len(names)
    assert set(names) == set(telemetry.MetricName.__args__)
    for metric in telemetry.METRICS:
        assert (metric.kind == "histogram") == bool(metric.bounds)
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert set(metric.attributes) <= set(telemetry.AttributeName.__args__)


def test_the_latency_histogram_has_a_boundary_at_the_limit() -> None:
    assert telemetry.LATENCY_LIMIT_MS == 300
    assert 300 in telemetry.ANSWER_LATENCY.bounds


@pytest.mark.parametrize("name", get_args(telemetry.AttributeName))
def test_every_attribute_name_is_used(name: str) -> None:
    sources = [
        path.read_text(encoding="utf-8") for folder in ("shared", "services") for path in Path(folder).rglob("*.py")
    ]
    assert any(f'"{name}"' in source for source in sources)


def test_every_metric_is_recorded() -> None:
    constants = {name for name, value in vars(telemetry).items() if isinstance(value, telemetry.Metric)}
    assert {name for name in constants if not re.search(rf"\b{name}\b", source_of("shared", "services"))} == set()
