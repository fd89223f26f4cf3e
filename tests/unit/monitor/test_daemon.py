"""The monitor's handlers, ticker and API in memory: wiring and what a user sees."""

from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import ValidationError

from contracts import topics
from contracts.api import Accepted, EventRecord, MeshStatus, Problem, Why, WhySpan
from contracts.monitoring import AlertState
from contracts.telemetry import MESSAGE_DEAD_LETTERS
from contracts.training import TrainingRequested
from services.monitor.app import terms_of
from services.monitor.core.events import record_of
from services.monitor.settings import WatchSettings
from shared.errors import PermanentError
from shared.telemetry import current_trace_id
from tests.contracts.payloads import example
from tests.unit.monitor import samples
from tests.unit.monitor.harness import Daemon, answers, running
from tests.unit.monitor.samples import CORPUS_1, CORPUS_2, A, Observed, at
from tests.unit.monitor.store_contract import log


async def test_slow_answers_become_traffic_and_an_alert(daemon: Daemon):
    await daemon.watches(3, slow=True)
    kinds = [type(event).__name__ for event in daemon.said]
    assert kinds == ["TrafficObserved", "TrafficObserved", "TrafficObserved", "AlertChanged"]
    alert = daemon.said[-1]
    assert (alert.state, alert.bundle_digest) == (AlertState.FIRING, A)
    assert alert.causation_id == daemon.said[-2].event_id
    assert [record.event_id for record in await (await daemon.kept()).events()] == [
        event.event_id for event in daemon.said
    ]


async def test_a_change_of_an_alert_has_a_trace_that_a_rollback_can_continue(daemon: Daemon):
    await daemon.watches(3, slow=True)
    [record] = await (await daemon.kept()).events(topic=topics.ALERT_CHANGED.name)
    assert record.trace_id is not None
    [traffic, *_] = await (await daemon.kept()).events(topic=topics.TRAFFIC_OBSERVED.name)
    assert traffic.trace_id is None


async def test_the_same_telemetry_twice_is_counted_and_kept_once(daemon: Daemon):
    payload = answers(0, slow=False)
    for _ in range(2):
        await daemon.others.broker.publish(payload, topics.OTLP_METRICS.name)
    daemon.clock.set(at(3))
    await daemon.monitor.tick()
    assert [event.num_answers for event in daemon.said] == [12]
    assert len(await (await daemon.kept()).metrics("plumbline.answer.latency")) == 1


async def test_spans_logs_and_metrics_of_a_daemon_are_kept_and_make_no_span(daemon: Daemon):
    service = Observed("trainer")
    with service.telemetry.tracer.start_as_current_span("train"):
        trace_id = current_trace_id()
        service.log("hello")
    service.answer(10)
    await daemon.hears_telemetry(service)
    assert [span.name for span in await (await daemon.kept()).spans_of_trace(str(trace_id))] == ["train"]
    assert [record.body for record in await (await daemon.kept()).logs()] == ["hello"]
    assert len(await (await daemon.kept()).metrics("plumbline.answer.latency")) == 1
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


async def test_expired_telemetry_is_deleted(daemon: Daemon):
    old = example(topics.TRAFFIC_OBSERVED, occurred_at=at(-90 * 3600))
    await daemon.hears(topics.TRAFFIC_OBSERVED, old)
    await daemon.kept()
    await daemon.monitor.clean_up()
    assert await (await daemon.kept()).events() == ()


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
    [record] = await (await daemon.kept()).events()
    assert record.topic == topics.TRAINING_REQUESTED.name
    assert record.trace_id is not None


async def test_events_are_listed_by_domain_topic_and_place(daemon: Daemon):
    first, second = samples.cleaned(uuid4(), second=0), samples.cleaned(uuid4(), second=5)
    for event in (first, second):
        await daemon.hears(topics.BATCH_CLEANED, event)
    await daemon.hears(topics.BATCH_RECEIVED, samples.received(uuid4()).model_copy(update={"domain": "medicine"}))
    await daemon.kept()

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
    await daemon.kept()
    walk = Why.model_validate((await daemon.http.get("/v1/why/answer-1")).json())
    assert [step.kind for step in walk.steps] == ["answer", "bundle", "corpus-version"]
    spans = (await daemon.http.get(f"/v1/traces/{trace_id}")).json()["spans"]
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


# ---- train now


async def asks_to_train(daemon: Daemon, *batch_ids: UUID) -> httpx.Response:
    body = {"domain": "law", "batch_ids": [str(batch_id) for batch_id in batch_ids]}
    return await daemon.http.post("/v1/training-requests", json=body)


def requests(daemon: Daemon) -> list[tuple[UUID, ...]]:
    return [event.batch_ids for event in daemon.said if isinstance(event, TrainingRequested)]


async def test_a_request_waits_for_the_batches_that_are_under_way(daemon: Daemon):
    first, second, third = uuid4(), uuid4(), uuid4()
    for event in (samples.received(first), samples.received(second)):
        await daemon.hears(topics.BATCH_RECEIVED, event)
    for event in (samples.cleaned(first), samples.cleaned(third)):
        await daemon.hears(topics.BATCH_CLEANED, event)
    await daemon.hears(topics.BATCH_RECEIVED, samples.received(third))
    assert (await asks_to_train(daemon)).status_code == 202
    assert requests(daemon) == [(second,)]


async def test_a_request_with_nothing_new_is_refused_and_says_what_to_do(daemon: Daemon):
    answer = await asks_to_train(daemon)
    assert answer.status_code == 409
    problem = Problem.model_validate(answer.json())
    assert problem.type.endswith("nothing-new")
    assert "plumb ingest" in str(problem.next)
    batch_id = uuid4()
    await daemon.hears(topics.BATCH_CLEANED, samples.cleaned(batch_id))
    await daemon.hears(topics.CORPUS_VERSIONED, samples.versioned(CORPUS_1, None, [batch_id]))
    assert (await asks_to_train(daemon, batch_id)).status_code == 409
    assert requests(daemon) == []


async def test_a_corpus_that_was_amended_gets_a_version_and_only_one(daemon: Daemon):
    batch_id = uuid4()
    await daemon.hears(topics.BATCH_CLEANED, samples.cleaned(batch_id))
    await daemon.hears(topics.CORPUS_VERSIONED, samples.versioned(CORPUS_1, None, [batch_id]))
    await daemon.hears(topics.CORPUS_AMENDED, samples.amended())
    assert (await asks_to_train(daemon, batch_id)).status_code == 202
    await daemon.hears(topics.CORPUS_VERSIONED, samples.versioned(CORPUS_2, CORPUS_1, [], second=4))
    assert (await asks_to_train(daemon)).status_code == 409


async def test_a_batch_that_was_left_out_and_put_back_is_nothing_new(daemon: Daemon):
    await daemon.hears(topics.CORPUS_VERSIONED, samples.versioned(CORPUS_1, None, []))
    await daemon.hears(topics.CORPUS_AMENDED, samples.amended(second=3))
    await daemon.hears(topics.CORPUS_AMENDED, samples.amended(second=4, is_changed=False))
    assert (await asks_to_train(daemon)).status_code == 409


async def test_an_amended_corpus_is_remembered_after_a_restart(tmp_path: Path):
    async with running(tmp_path / "t.db") as first:
        await first.hears(topics.CORPUS_VERSIONED, samples.versioned(CORPUS_1, None, []))
        await first.hears(topics.CORPUS_AMENDED, samples.amended())
        await first.kept()
    async with running(tmp_path / "t.db") as second:
        assert (await asks_to_train(second)).status_code == 202


async def test_a_batch_that_the_monitor_has_not_heard_of_is_waited_for(daemon: Daemon):
    batch_id = uuid4()
    assert (await asks_to_train(daemon, batch_id)).status_code == 202
    assert requests(daemon) == [(batch_id,)]


async def test_batches_under_way_survive_a_restart(tmp_path: Path):
    batch_id = uuid4()
    async with running(tmp_path / "t.db") as first:
        await first.hears(topics.BATCH_RECEIVED, samples.received(batch_id))
        await first.hears(topics.BATCH_RECEIVED, samples.received(uuid4(), second=-1))
        await first.hears(topics.BATCH_CLEANED, samples.cleaned(uuid4(), pending=0))
    async with running(tmp_path / "t.db") as second:
        assert (await asks_to_train(second)).status_code == 202
        assert batch_id in requests(second)[0]
        assert len(requests(second)[0]) == 2


async def test_many_cleaned_batches_are_not_under_way_after_a_restart(tmp_path: Path):
    batch_ids = [uuid4() for _ in range(1500)]
    waiting = uuid4()
    async with running(tmp_path / "t.db") as first:
        received = [record_of(topics.BATCH_RECEIVED, samples.received(one), None) for one in (*batch_ids, waiting)]
        cleaned = [record_of(topics.BATCH_CLEANED, samples.cleaned(one, pending=0), None) for one in batch_ids]
        await first.store.add_events([*received, *cleaned])
    async with running(tmp_path / "t.db") as second:
        assert second.monitor.domain("law").batches_under_way == (waiting,)


# ---- dead letters and wrong clocks


async def test_dead_letters_are_counted_once_and_survive_a_restart(tmp_path: Path):
    service = Observed("trainer")
    attributes = {"messaging.destination.name": "tokenizer-ready-v1", "error.type": "ArtifactMissing"}
    service.telemetry.add(MESSAGE_DEAD_LETTERS, 2, attributes)
    sent = service.close().messages
    async with running(tmp_path / "t.db") as first:
        for name, payload in (*sent, *sent):
            await first.others.broker.publish(payload, name)
        found = MeshStatus.model_validate((await first.http.get("/v1/status")).json()).dead_letters
        assert [(row.topic, row.error_type, row.count) for row in found] == [
            ("tokenizer-ready-v1", "ArtifactMissing", 2)
        ]
    async with running(tmp_path / "t.db") as second:
        for name, payload in sent:
            await second.others.broker.publish(payload, name)
        assert MeshStatus.model_validate((await second.http.get("/v1/status")).json()).dead_letters == found


async def test_points_of_a_wrong_clock_are_spoken_of_once_a_minute(daemon: Daemon, caplog: pytest.LogCaptureFixture):
    for second in (-1000, -2000, -3000):
        await daemon.monitor.take_metrics(answers(second, slow=False))
    assert [record.num_points for record in caplog.records] == [1]
    daemon.clock.set(at(61))
    await daemon.monitor.take_metrics(answers(-4000, slow=False))
    assert [record.num_points for record in caplog.records] == [1, 3]


async def test_only_the_operator_asks_for_a_training(daemon: Daemon):
    body = {"domain": "law", "batch_ids": [str(uuid4())]}
    for wrong in ("", "Bearer ", "Bearer wrong"):
        refused = await daemon.http.post("/v1/training-requests", json=body, headers={"authorization": wrong})
        assert (refused.status_code, refused.json()["type"].endswith("not-the-operator")) == (403, True)
    assert daemon.said == []


async def test_a_store_that_refuses_does_not_end_the_monitor(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def refuse(*_: object) -> None:
        raise PermanentError("refused")

    monkeypatch.setattr(daemon.store, "delete_expired", refuse)
    monkeypatch.setattr(daemon.store, "latest_events", refuse)
    daemon.monitor._restored_with = None
    await daemon.monitor.clean_up()
    await daemon.monitor.restore_soon()
    await daemon.monitor.restore_later()
    await daemon.monitor.restore_later()
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


async def test_a_clock_that_jumps_forward_deletes_nothing(daemon: Daemon):
    await daemon.store.add_logs([log("1")])
    daemon.clock.jump(365 * 86_400)
    await daemon.monitor.clean_up()
    assert len(await daemon.store.logs()) == 1
    daemon.clock.set(at(2 * 365 * 86_400))
    await daemon.monitor.clean_up()
    assert await daemon.store.logs() == ()
