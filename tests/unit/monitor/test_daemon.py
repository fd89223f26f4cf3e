"""The monitor's handlers, ticker and API in memory: wiring and what a user sees."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from fastapi import FastAPI
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import ValidationError

from contracts import topics
from contracts.api import Accepted, EventRecord, MeshStatus, Problem, Why, WhySpan
from contracts.envelope import Event
from contracts.monitoring import AlertState
from services.monitor import api, handlers
from services.monitor.app import SERVICE, terms_of
from services.monitor.core.events import record_of
from services.monitor.run import Monitor
from services.monitor.settings import WatchSettings
from shared import problems
from shared.bus import Bus
from shared.clock import FakeClock
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry, current_trace_id
from shared.telemetry_store.records import StoreUnavailable
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.contracts.payloads import example
from tests.unit.monitor import samples
from tests.unit.monitor.samples import CORPUS_1, A, KeptSink, Observed, at

SAID = (topics.TRAFFIC_OBSERVED, topics.ALERT_CHANGED, topics.TRAINING_REQUESTED)


class Daemon:
    """A monitor, a producer that it hears, and what it says."""

    def __init__(self, store: SqliteTelemetryStore) -> None:
        self.sink = KeptSink()
        self.telemetry = Telemetry(SERVICE, TelemetrySettings(metric_interval_s=3600), self.sink)
        self.bus, self.others = (Bus(name, KafkaSettings(), self.telemetry) for name in (SERVICE, "others"))
        self.clock = FakeClock(at(0))
        self.store = store
        self.monitor = Monitor(self.bus, store, self.telemetry, clock=self.clock, terms=terms_of(WatchSettings()))
        handlers.register(self.bus, monitor=self.monitor)
        self.said: list[Event] = []
        self.broker = KafkaBroker()
        for topic in SAID:
            self.broker.subscriber(topic.name, group_id="listener")(self._listener(topic))
        app = FastAPI()
        problems.install(app)
        app.include_router(api.routes(self.bus, self.monitor, store, clock=self.clock))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://monitor")

    def _listener(self, topic: topics.Topic) -> Any:
        async def listen(message: KafkaMessage) -> None:
            assert topic.event is not None
            self.said.append(topic.event.model_validate_json(message.body))

        return listen

    async def hears(self, topic: topics.Topic, event: Event) -> None:
        await self.others.publish(topic, event)

    async def hears_telemetry(self, service: Observed) -> None:
        for name, payload in service.close().messages:
            await self.others.broker.publish(payload, name, key=b"inference-gateway")

    async def watches(self, seconds: int, *, slow: bool, from_s: int = 0) -> None:
        """Let seconds pass in which 12 answers a second are given."""
        for second in range(from_s, from_s + seconds):
            await self.monitor.take_metrics(answers(second, slow=slow))
            self.clock.set(at(second + 2))
            await self.monitor.tick()


def answers(second: int, *, slow: bool) -> bytes:
    """Return an export of 12 answers that is stamped within `second`."""
    service = Observed()
    for _ in range(12):
        service.answer(450 if slow else 20)
    request = ExportMetricsServiceRequest.FromString(service.close().payloads(topics.OTLP_METRICS)[0])
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.histogram.data_points:
            point.time_unix_nano = (samples.NOON_S + second) * 10**9 + 5 * 10**8
    return request.SerializeToString()


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Daemon]:
    store = SqliteTelemetryStore(path)
    daemon = Daemon(store)
    async with TestKafkaBroker(daemon.bus.broker, daemon.others.broker, daemon.broker):
        await daemon.monitor.restore()
        yield daemon
    await daemon.http.aclose()
    await store.aclose()
    daemon.telemetry.close()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "telemetry.db") as running_daemon:
        yield running_daemon


async def test_slow_answers_become_traffic_and_an_alert(daemon: Daemon):
    await daemon.watches(3, slow=True)
    kinds = [type(event).__name__ for event in daemon.said]
    assert kinds == ["TrafficObserved", "TrafficObserved", "TrafficObserved", "AlertChanged"]
    alert = daemon.said[-1]
    assert (alert.state, alert.bundle_digest) == (AlertState.FIRING, A)
    assert alert.causation_id == daemon.said[-2].event_id
    assert [record.event_id for record in await daemon.store.events()] == [event.event_id for event in daemon.said]


async def test_a_change_of_an_alert_has_a_trace_that_a_rollback_can_continue(daemon: Daemon):
    await daemon.watches(3, slow=True)
    [record] = await daemon.store.events(topic=topics.ALERT_CHANGED.name)
    assert record.trace_id is not None
    [traffic, *_] = await daemon.store.events(topic=topics.TRAFFIC_OBSERVED.name)
    assert traffic.trace_id is None


async def test_the_same_telemetry_twice_is_counted_and_kept_once(daemon: Daemon):
    payload = answers(0, slow=False)
    for _ in range(2):
        await daemon.others.broker.publish(payload, topics.OTLP_METRICS.name)
    daemon.clock.set(at(3))
    await daemon.monitor.tick()
    assert [event.num_answers for event in daemon.said] == [12]
    assert len(await daemon.store.metrics("plumbline.answer.latency")) == 1


async def test_spans_logs_and_metrics_of_a_daemon_are_kept_and_make_no_span(daemon: Daemon):
    service = Observed("trainer")
    with service.telemetry.tracer.start_as_current_span("train"):
        trace_id = current_trace_id()
        service.log("hello")
    service.answer(10)
    await daemon.hears_telemetry(service)
    assert [span.name for span in await daemon.store.spans_of_trace(str(trace_id))] == ["train"]
    assert [record.body for record in await daemon.store.logs()] == ["hello"]
    assert len(await daemon.store.metrics("plumbline.answer.latency")) == 1
    daemon.telemetry.start()
    daemon.telemetry.close()
    assert daemon.sink.payloads(topics.OTLP_SPANS) == []


async def test_answers_that_cannot_be_counted_are_logged(daemon: Daemon, caplog: pytest.LogCaptureFixture):
    service = Observed()
    service.answer(10, digest="broken")
    await daemon.hears_telemetry(service)
    assert [record.message for record in caplog.records] == ["answers not counted"]


async def test_what_the_broker_does_not_take_is_said_later(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    async def refuse(*_: object) -> None:
        raise KafkaConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(daemon.bus, "publish", refuse)
        await daemon.watches(3, slow=True)
        assert daemon.said == []
    await daemon.monitor.tick()
    assert [type(event).__name__ for event in daemon.said].count("AlertChanged") == 1
    assert len(daemon.said) == 4


async def test_alerts_do_not_wait_for_the_store(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(daemon.store, "add_events", refuse)
        broken.setattr(daemon.store, "delete_expired", refuse)
        await daemon.watches(3, slow=True)
        await daemon.monitor.clean_up()
        assert len(daemon.said) == 4
    assert await daemon.store.events() == ()
    await daemon.monitor.tick()
    assert len(await daemon.store.events()) == 4


async def test_expired_telemetry_is_deleted(daemon: Daemon):
    old = example(topics.TRAFFIC_OBSERVED, occurred_at=at(-90 * 3600))
    await daemon.monitor.take_event(topics.TRAFFIC_OBSERVED, old)
    await daemon.monitor.clean_up()
    assert await daemon.store.events() == ()


async def test_status_survives_a_restart_without_the_broker(tmp_path: Path):
    async with running(tmp_path / "t.db") as first:
        for topic, event in (
            (topics.BATCH_CLEANED, samples.cleaned(uuid4(), pending=312)),
            (topics.MODEL_EVALUATED, samples.evaluated(A, CORPUS_1)),
            (topics.RELEASE_CHANGED, samples.released(A)),
        ):
            await first.hears(topic, event)
        await first.watches(3, slow=True)
        before = (await first.http.get("/v1/status")).json()
    async with running(tmp_path / "t.db") as second:
        second.clock.set(at(10))
        after = (await second.http.get("/v1/status")).json()
        for said in (before, after):
            said.pop("at")
            said["domains"][0]["traffic"] = []
        assert after == before
        [domain] = MeshStatus.model_validate(after | {"at": at(10)}).domains
        assert domain.missing == "312 of 1,000 documents; or `plumb train now`"
        assert [(alert.rule, alert.state) for alert in domain.alerts] == [("answer-latency", "firing")]

        await second.watches(4, slow=True, from_s=8)
        assert AlertState.FIRING not in {getattr(event, "state", None) for event in second.said}


async def test_more_alerts_than_a_page_are_restored(tmp_path: Path):
    changes = [example(topics.ALERT_CHANGED, rule=f"r{n}", occurred_at=at(-n), domain="law") for n in range(1200)]
    async with running(tmp_path / "t.db") as first:
        await first.store.add_events([record_of(topics.ALERT_CHANGED, change, None) for change in changes])
    async with running(tmp_path / "t.db") as second:
        assert len(second.monitor._view["law"].alerts) == 1200


# ---- the API


async def test_training_is_requested(daemon: Daemon):
    batch_id = uuid4()
    answer = await daemon.http.post("/v1/training-requests", json={"domain": "law", "batch_ids": [str(batch_id)]})
    assert answer.status_code == 202
    accepted = Accepted.model_validate(answer.json())
    [event] = daemon.said
    assert (event.event_id, event.batch_ids, event.reason) == (accepted.event_id, (batch_id,), "operator")
    [record] = await daemon.store.events()
    assert record.topic == topics.TRAINING_REQUESTED.name
    assert record.trace_id is not None


async def test_events_are_listed_by_domain_topic_and_place(daemon: Daemon):
    first, second = samples.cleaned(uuid4(), second=0), samples.cleaned(uuid4(), second=5)
    for event in (first, second):
        await daemon.hears(topics.BATCH_CLEANED, event)
    await daemon.hears(topics.BATCH_RECEIVED, samples.received(uuid4()).model_copy(update={"domain": "medicine"}))

    async def ids(**query: str) -> list[UUID]:
        records = (await daemon.http.get("/v1/events", params=query)).raise_for_status().json()
        return [EventRecord.model_validate(record).event_id for record in records]

    assert await ids(domain="law") == [first.event_id, second.event_id]
    assert await ids(topic="batch-cleaned-v1", limit="1") == [first.event_id]
    assert await ids(topic="batch-cleaned-v1", after=str(first.event_id)) == [second.event_id]
    assert await ids(topic="batch-cleaned-v1", after=at(2).isoformat()) == [second.event_id]
    [record] = (await daemon.http.get("/v1/events", params={"domain": "medicine"})).json()
    assert record["event"]["num_documents"] == 500


async def test_why_and_traces_are_answered(daemon: Daemon):
    await daemon.hears(topics.MODEL_TRAINED, samples.trained(A, CORPUS_1))
    service = Observed()
    with service.telemetry.tracer.start_as_current_span("answer classify") as span:
        span.set_attributes({"plumbline.answer.id": "answer-1", "plumbline.bundle.digest": A})
        trace_id = current_trace_id()
    await daemon.hears_telemetry(service)
    walk = Why.model_validate((await daemon.http.get("/v1/why/answer-1")).json())
    assert [step.kind for step in walk.steps] == ["answer", "bundle", "corpus-version"]
    spans = (await daemon.http.get(f"/v1/traces/{trace_id}")).json()
    assert [WhySpan.model_validate(found).name for found in spans] == ["answer classify"]


async def test_why_of_nothing_is_a_404_that_says_what_to_do(daemon: Daemon):
    answer = await daemon.http.get("/v1/why/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "try again" in str(Problem.model_validate(answer.json()).next)


@pytest.mark.parametrize("query", [{"after": "yesterday"}, {"domain": "NOT A DOMAIN"}, {"limit": "0"}])
async def test_a_wrong_query_is_a_problem(daemon: Daemon, query: dict[str, str]):
    assert (await daemon.http.get("/v1/events", params=query)).status_code == 422


# ---- settings


def test_the_latency_limit_must_be_a_boundary():
    assert WatchSettings(latency_limit_ms=500).latency_limit_ms == 500
    with pytest.raises(ValidationError, match="no boundary of the latency histogram"):
        WatchSettings(latency_limit_ms=301)


def test_the_rule_says_the_limit_that_is_set():
    assert terms_of(WatchSettings(latency_limit_ms=500)).rules[0].wording == "answers over 500 ms"
