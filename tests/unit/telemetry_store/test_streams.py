from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry_store.streams import (
    expired_streams,
    has_expired,
    kinds_of,
    pattern_of_kind,
    stream_of,
)

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
KINDS = kinds_of(timedelta(days=90))
DAYS = st.floats(min_value=-200, max_value=1)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        (datetime(2026, 11, 22, tzinfo=UTC), "p-logs-2026.11.22"),
        (datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC), "p-logs-2026.11.22"),
        (datetime(2026, 11, 23, tzinfo=UTC), "p-logs-2026.11.23"),
    ],
)
def test_a_record_lies_in_the_stream_of_its_day(moment: datetime, name: str):
    assert stream_of("p", KINDS.logs, ns(moment), NOW) == name


def test_kept_events_lie_in_one_stream_for_ever():
    assert stream_of("p", KINDS.events, 0, NOW) == "p-events" == pattern_of_kind("p", KINDS.events)
    assert not has_expired(KINDS.events, 0, NOW)
    assert expired_streams("p", KINDS.events, ["p-events"], NOW) == []


def test_a_day_goes_when_its_last_moment_is_older_than_the_retention():
    names = [f"p-logs-2026.08.{day}" for day in (25, 24, 23, 22)]
    others = ["p-logs-x", "p-traces-2026.01.01", "q-logs-2026.01.01", "p-logs-2026.08.221"]
    assert expired_streams("p", KINDS.logs, names + others, NOW) == ["p-logs-2026.08.22", "p-logs-2026.08.23"]
    assert expired_streams("p", KINDS.logs, names, NOW.replace(hour=0, minute=0))[-1] == "p-logs-2026.08.23"
    assert expired_streams("p", KINDS.logs, names, NOW - timedelta(hours=15, minutes=31))[-1] == "p-logs-2026.08.22"


@given(days=DAYS)
def test_what_is_still_written_lies_in_no_stream_that_goes(days: float):
    time_ns = ns(NOW + timedelta(days=days))
    for kind in KINDS[:4]:
        gone = expired_streams("p", kind, [stream_of("p", kind, time_ns, NOW)], NOW)
        assert has_expired(kind, time_ns, NOW) or not gone
        if days < -92:
            assert gone


def test_days_to_come_have_no_streams():
    assert stream_of("p", KINDS.logs, ns(NOW + timedelta(hours=50)), NOW) == "p-logs-2026.11.24"
    assert stream_of("p", KINDS.logs, ns(NOW + timedelta(hours=60)), NOW) == "p-logs-2026.11.22"
    assert stream_of("p", KINDS.logs, 2**63 - 1, NOW) == "p-logs-2026.11.22"
