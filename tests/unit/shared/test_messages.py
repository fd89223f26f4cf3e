"""The wire form of events, and clocks that tests set."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.corpus import BatchCleaned
from contracts.training import TrainingRequested
from shared.clock import FakeClock, SystemClock
from shared.errors import InvalidEvent, UnknownEventVersion
from shared.messages import cloudevent_headers, decode
from tests.contracts.payloads import example

FIELDS = st.sampled_from(["event_id", "causation_id", "occurred_at", "domain", "reason", "batch_ids"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner)
)
NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


def test_headers_are_cloudevents_in_binary_mode() -> None:
    event = example(topics.BATCH_RECEIVED, occurred_at=NOW)

    assert cloudevent_headers(topics.BATCH_RECEIVED, event, service="ingest") == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(event.event_id),
        "ce_type": "plumbline.batch-received.v1",
        "ce_source": "/plumbline/ingest",
        "ce_subject": "law",
        "ce_time": "2026-03-02T08:15:00+00:00",
    }


@given(
    body=st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode),
    headers=st.dictionaries(st.sampled_from(["ce_type", "other"]), st.text(max_size=40)),
)
@settings(deadline=None)
def test_whatever_arrives_is_an_event_or_a_named_error(body: bytes, headers: dict[str, str]) -> None:
    try:
        event = decode(topics.TRAINING_REQUESTED, body, headers)
    except (InvalidEvent, UnknownEventVersion):
        return
    assert isinstance(event, TrainingRequested)


def test_a_caused_event_has_its_causes_domain_and_an_id_that_follows_from_it() -> None:
    cause = example(topics.BATCH_RECEIVED, domain="medicine")
    fields = example(topics.BATCH_CLEANED).model_dump(exclude={"event_id", "causation_id", "occurred_at", "domain"})

    first = BatchCleaned.caused_by(cause, now=NOW, **fields)
    again = BatchCleaned.caused_by(cause, now=NOW + timedelta(hours=1), **fields)
    other = BatchCleaned.caused_by(cause, now=NOW, key="second", **fields)

    assert first.event_id == again.event_id != other.event_id
    assert first.causation_id == cause.event_id
    assert first.domain == "medicine"


def test_a_fake_clock_stands_still_until_it_is_set() -> None:
    clock = FakeClock(NOW)
    assert clock.now() == clock.now() == NOW
    clock.set(NOW + timedelta(seconds=5))
    assert clock.now() == NOW + timedelta(seconds=5)


def test_the_system_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)
    assert SystemClock().now().utcoffset() == timedelta(0)
