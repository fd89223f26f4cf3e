"""What every telemetry store must do; a subclass names the store in a fixture called `store`."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts import topics
from contracts.telemetry import AttributeName
from services.monitor.core.events import record_of
from shared.telemetry_store.patterns import TEMPLATE_ATTRIBUTE
from shared.telemetry_store.records import LogQuery, LogRecord, MetricPoint, Span, SpanLink, TelemetryStore
from tests.contracts.payloads import example
from tests.unit.monitor.samples import CORPUS_1, NOON_S, A, at, evaluated, received, released, trained


def span(trace: str, number: int, *, second: float = 0, links: tuple[str, ...] = (), **attributes: object) -> Span:
    start_ns = int((NOON_S + second) * 1e9)
    return Span(
        trace_id=trace * 32, span_id=f"{number:016x}", parent_span_id=None, service="cleaner", name="clean",
        start_ns=start_ns, end_ns=start_ns + 1_000_000, status="ok",
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        links=tuple(SpanLink(trace_id=link * 32, span_id="1" * 16) for link in links),
    )  # fmt: skip


def log(
    uid: str,
    body: str = "第一条 cleaned",
    *,
    second: float = 0,
    trace_id: str | None = None,
    service: str = "cleaner",
    severity: str = "INFO",
    **attributes: str,
) -> LogRecord:
    return LogRecord(
        uid=uid, time_ns=int((NOON_S + second) * 1e9), service=service, severity=severity, body=body, trace_id=trace_id,
        span_id=None, attributes=attributes or {"n": 1, "nested": {"a": [1, None]}},
    )  # fmt: skip


MIXED = (
    log("1", "Bundle 劳动合同法 not loaded, will try again"),
    log("2", "the labour contract 劳动与合同 was cleaned", second=1),
    log("3", "bundle loaded", second=2, bundle_digest="07daf0d1c2b3" + "a" * 52),
    log("4", "用人单位第12条：死刑", second=3, service="trainer"),
    log("5", "ＢＵＮＤＬＥ refused by shared.bus", second=4, error="KafkaError('劳动')", severity="ERROR"),
)
SEARCHES = {
    "bundle": "531",
    "BUNDLE loaded": "31",
    "not loaded": "1",
    "劳动": "521",
    "劳动合同": "1",
    "劳动 合同": "21",
    "合同法": "1",
    "动与": "2",
    "刑": "4",
    "第12条": "4",
    "第1条": "",
    "07daf0d*": "3",
    "07daf0d": "",
    "bus": "5",
    "shared.bus": "5",
    "bus.shared": "",
    "kafkaerror 劳动": "5",
    "the": "2",
    "!!": "",
    "不存在": "",
    '"loaded" AND': "",
    "": "54321",
    " ": "54321",
}


def metric(series: str, *, second: float = 0, value: float = 1.5, name: str = "m") -> MetricPoint:
    return MetricPoint(
        series=series, service="trainer", name=name, kind="histogram", is_delta=True, time_ns=int((NOON_S + second) * 1e9),
        value=value, bounds=(1.0, 2.0), counts=(1, 0, 3), attributes={"plumbline.domain": "law"},
    )  # fmt: skip


class TelemetryStoreContract:
    """The tests; they never look inside the store."""

    async def test_the_spans_of_a_trace_come_back_as_they_were_earliest_first(self, store: TelemetryStore):
        late, early = span("a", 1, second=2, n=1, text="量刑"), span("a", 2, second=1, links=("b", "c"))
        await store.add_spans([late, early, span("b", 3)])
        assert await store.spans_of_trace("a" * 32) == (early, late)
        assert await store.spans_of_trace("a" * 32, limit=1) == (early,)
        assert await store.spans_of_trace("f" * 32) == ()

    async def test_whatever_is_added_again_changes_nothing(self, store: TelemetryStore):
        event = record_of(topics.BATCH_RECEIVED, received(uuid4()), "a" * 32)
        for _ in range(2):
            await store.add_spans([span("a", 1, links=("b",), plumbline__batch__id="x")] * 2)
            await store.add_logs([log("1")] * 2)
            await store.add_metrics([metric("s")] * 2)
            await store.add_events([event] * 2)
        assert len(await store.spans_of_trace("a" * 32)) == 1
        assert len(await store.spans_linked_to("b" * 32)) == 1
        assert len(await store.spans_with_attribute("plumbline.batch.id", "x")) == 1
        assert len(await store.logs()) == 1
        assert len(await store.metrics("m")) == 1
        assert await store.events() == (event,)

    async def test_nothing_to_add_is_no_error(self, store: TelemetryStore):
        await store.add_spans([])
        await store.add_logs([])
        await store.add_metrics([])
        await store.add_events([])
        assert await store.events() == ()

    async def test_spans_are_found_by_what_they_are_about_newest_first(self, store: TelemetryStore):
        old = span("a", 1, plumbline__bundle__digest=A)
        new = span("b", 2, second=9, plumbline__bundle__digest=A)
        await store.add_spans([old, new, span("c", 3, plumbline__bundle__digest="other")])
        assert await store.spans_with_attribute("plumbline.bundle.digest", A) == (new, old)
        assert await store.spans_with_attribute("plumbline.bundle.digest", A, limit=1) == (new,)
        assert await store.spans_with_attribute("plumbline.answer.id", A) == ()

    @pytest.mark.parametrize("name", ["error.type", "plumbline.domain"])
    async def test_an_attribute_that_names_nothing_is_refused(self, store: TelemetryStore, name: AttributeName):
        with pytest.raises(ValueError, match=name):
            await store.spans_with_attribute(name, "x")

    async def test_spans_are_found_by_the_trace_that_they_link_to(self, store: TelemetryStore):
        cut, own = span("b", 1, links=("a", "c")), span("a", 2, links=("a",))
        await store.add_spans([cut, own])
        assert await store.spans_linked_to("a" * 32) == (cut,)
        assert await store.spans_linked_to("b" * 32) == ()

    async def test_logs_are_found_by_trace_service_and_time(self, store: TelemetryStore):
        first, second = log("1", trace_id="a" * 32), log("2", second=5, trace_id="a" * 32, service="trainer")
        third = log("3", second=9)
        await store.add_logs([third, second, first])
        assert await store.logs() == (first, second, third)
        assert await store.logs(limit=2) == (first, second)
        assert await store.logs(trace_id="a" * 32) == (first, second)
        assert await store.logs(trace_id="a" * 32, service="trainer") == (second,)
        assert await store.logs(service="cleaner", after=at(0)) == (third,)

    async def test_logs_are_found_by_chinese_and_english_words_newest_first(self, store: TelemetryStore):
        await store.add_logs(MIXED)
        found = {words: await store.search_logs(LogQuery(words=words)) for words in SEARCHES}
        assert {words: "".join(record.uid for record in records) for words, records in found.items()} == SEARCHES

    async def test_a_search_in_logs_can_be_narrowed(self, store: TelemetryStore):
        await store.add_logs([*MIXED, log("6", "bundle loaded", second=5, trace_id="a" * 32, severity="WARN")])

        async def uids(**asked: Any) -> str:
            return "".join(found.uid for found in await store.search_logs(LogQuery(**asked)))

        assert await uids(words="bundle", min_level=13) == "65"
        assert await uids(min_level=17) == "5"
        assert await uids(trace_id="a" * 32) == "6"
        assert await uids(service="trainer") == "4"
        assert await uids(service="trainer", words="bundle") == ""
        assert await uids(words="bundle", after=at(2), before=at(5)) == "5"
        assert await uids(words="bundle", limit=2) == "65"
        assert await uids(limit=1) == "6"
        assert (await store.search_logs(LogQuery(words="labour"))) == (MIXED[1],)

    @pytest.mark.parametrize("year", [1, 300, 1969, 2263, 9999])
    async def test_any_time_may_be_asked_for(self, store: TelemetryStore, year: int):
        edge = datetime(year, 6, 1, tzinfo=UTC)
        is_past = year < 2000
        await store.add_logs([log("1")])
        await store.add_metrics([metric("a")])
        await store.add_events([record_of(topics.BATCH_RECEIVED, received(uuid4()), None)])
        assert bool(await store.search_logs(LogQuery(after=edge))) == is_past
        assert bool(await store.search_logs(LogQuery(before=edge))) != is_past
        assert bool(await store.logs(after=edge)) == is_past
        assert bool(await store.metrics("m", after=edge)) == is_past
        assert bool(await store.events(after=edge)) == is_past

    async def test_logs_are_counted_by_service_and_pattern(self, store: TelemetryStore):
        refused = [log(f"r{number}", f"batch {number} refused", second=number, severity="ERROR") for number in range(3)]
        templated = [
            log("t1", "child a died", second=9, severity="ERROR", **{TEMPLATE_ATTRIBUTE: "child %s died"}),
            log("t2", "child b died", second=8, severity="ERROR", **{TEMPLATE_ATTRIBUTE: "child %s died"}),
        ]
        elsewhere = log("e", "batch 7 refused", service="ingest", severity="WARNING")
        await store.add_logs([*refused, *templated, elsewhere, log("i", "batch 1 cleaned")])
        patterns = await store.log_patterns(LogQuery(min_level=13))
        assert [(found.service, found.pattern, found.count) for found in patterns] == [
            ("cleaner", "batch <n> refused", 3),
            ("cleaner", "child %s died", 2),
            ("ingest", "batch <n> refused", 1),
        ]
        assert (patterns[0].first_seen, patterns[0].last_seen, patterns[0].example) == (at(0), at(2), refused[2])
        assert patterns[1].example == templated[0]
        assert [found.count for found in await store.log_patterns(LogQuery(words="refused", limit=1))] == [3]
        [later] = await store.log_patterns(LogQuery(words="refused", service="cleaner", after=at(0)))
        assert (later.count, later.first_seen) == (2, at(1))
        assert await store.log_patterns(LogQuery(words="refused", min_level=21)) == ()

    async def test_many_logs_of_one_moment_are_all_kept(self, store: TelemetryStore):
        await store.add_logs([log(f"{number:04}") for number in range(2000)])
        await store.add_logs([log(f"{number:04}") for number in range(1000, 3000)])
        assert len(await store.logs(limit=10_000)) == 3000
        assert len(await store.search_logs(LogQuery(words="cleaned", limit=10_000))) == 3000

    async def test_metrics_are_found_by_name_and_time(self, store: TelemetryStore):
        first, second = metric("s"), metric("s", second=1)
        await store.add_metrics([second, first, metric("t", name="other")])
        assert await store.metrics("m") == (first, second)
        assert await store.metrics("m", after=at(0)) == (second,)
        assert await store.metrics("m", limit=1) == (first,)

    async def test_a_loss_that_is_no_number_is_kept(self, store: TelemetryStore):
        await store.add_metrics([metric("s", value=math.nan)])
        [point] = await store.metrics("m")
        assert math.isnan(point.value)

    async def test_events_come_in_the_order_in_which_they_came_in(self, store: TelemetryStore):
        late, early = (record_of(topics.BATCH_RECEIVED, received(uuid4(), second=s), None) for s in (9, 1))
        other = record_of(topics.MODEL_TRAINED, trained(A, CORPUS_1), "a" * 32)
        elsewhere = late.model_copy(update={"event_id": uuid4(), "domain": "medicine"})
        await store.add_events([late, early])
        await store.add_events([other, elsewhere])
        assert await store.events() == (late, early, other, elsewhere)
        assert await store.events(domain="law", topic="batch-received-v1") == (late, early)
        assert await store.events(after=early.event_id) == (other, elsewhere)
        assert await store.events(after=at(4)) == (late, elsewhere)
        assert await store.events(after=uuid4()) == ()
        assert await store.events(limit=1) == (late,)
        assert await store.event(other.event_id) == other
        assert await store.event(uuid4()) is None
        assert await store.events_of_trace("a" * 32) == (other,)

    async def test_events_are_found_by_what_they_are_about(self, store: TelemetryStore):
        batch_id = uuid4()
        batch = record_of(topics.BATCH_RECEIVED, received(batch_id), None)
        bundle = record_of(topics.MODEL_TRAINED, trained(A, CORPUS_1), None)
        judged = record_of(topics.MODEL_EVALUATED, evaluated(A, CORPUS_1), None)
        traffic = record_of(topics.TRAFFIC_OBSERVED, example(topics.TRAFFIC_OBSERVED, bundle_digest=A), None)
        await store.add_events([batch, bundle, judged, traffic])
        assert await store.events_by_digest(A) == (bundle, judged)
        assert await store.events_by_digest(CORPUS_1) == (bundle, judged)
        assert await store.events_by_batch(batch_id) == (batch,)
        assert await store.events_by_batch(uuid4()) == ()

    async def test_the_latest_event_of_each_domain_and_topic(self, store: TelemetryStore):
        late, early = (record_of(topics.BATCH_RECEIVED, received(uuid4(), second=s), None) for s in (9, 1))
        elsewhere = early.model_copy(update={"event_id": uuid4(), "domain": "medicine"})
        release = record_of(topics.RELEASE_CHANGED, released(A), None)
        await store.add_events([late, early, elsewhere, release])
        assert await store.latest_events() == (late, elsewhere, release)

    async def test_expired_telemetry_goes_and_lifecycle_events_stay(self, store: TelemetryStore):
        def traffic(occurred_at: datetime):
            return record_of(topics.TRAFFIC_OBSERVED, example(topics.TRAFFIC_OBSERVED, occurred_at=occurred_at), None)

        async def left() -> str:
            found = [
                await store.metrics("m"), await store.logs(), await store.search_logs(LogQuery(words="cleaned")),
                await store.spans_of_trace("a" * 32), await store.spans_linked_to("b" * 32),
                await store.spans_with_attribute("plumbline.batch.id", "x"), await store.events(),
            ]  # fmt: skip
            return " ".join(str(len(records)) for records in found)

        kept = record_of(topics.BATCH_RECEIVED, received(uuid4()), None)
        await store.add_metrics([metric("s")])
        await store.add_logs([log("1")])
        await store.add_spans([span("a", 1, links=("b",), plumbline__batch__id="x")])
        await store.add_events([kept, traffic(at(0))])

        for passed, expected in (
            (timedelta(hours=47), "1 1 1 1 1 1 2"),
            (timedelta(hours=73), "0 1 1 1 1 1 1"),
            (timedelta(days=89, hours=23), "0 1 1 1 1 1 1"),
            (timedelta(days=92), "0 0 0 0 0 0 1"),
        ):
            await store.delete_expired(at(passed.total_seconds()))
            assert await left() == expected
        assert await store.events() == (kept,)
        assert await store.delete_expired(at(timedelta(days=92).total_seconds())) == 0

    async def test_what_expired_is_counted(self, store: TelemetryStore):
        await store.add_logs([log(str(number)) for number in range(5)])
        assert await store.delete_expired(at(timedelta(days=92).total_seconds())) == 5
        assert await store.log_patterns(LogQuery()) == ()
