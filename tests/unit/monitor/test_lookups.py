import json
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from contracts import topics
from services.monitor.adapters import open_store
from services.monitor.core.events import record_of
from services.monitor.settings import StoreSettings
from shared.clock import SystemClock
from shared.telemetry import current_trace_id
from shared.telemetry_store.elastic import ElasticsearchTelemetryStore
from shared.telemetry_store.records import SpanLink
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor.harness import Daemon
from tests.unit.monitor.samples import Observed, at, received
from tests.unit.monitor.store_contract import MIXED, span


async def told(daemon: Daemon, path: str, **asked: object) -> dict:
    answer = await daemon.http.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_logs_are_searched_over_http(daemon: Daemon):
    await daemon.store.add_logs(MIXED)
    found = (await told(daemon, "/v1/logs", words="劳动 bundle", limit=1))["logs"]
    assert [line["message"] for line in found] == ["ＢＵＮＤＬＥ refused by shared.bus"]
    assert (found[0]["level"], found[0]["attributes"]) == ("error", {"error": "KafkaError('劳动')"})
    assert found[0]["at"] == "2025-06-01T12:00:04Z"
    asked = {"since": at(0).isoformat(), "before": at(3).isoformat(), "service": "cleaner", "level": "info"}
    assert len((await told(daemon, "/v1/logs", **asked))["logs"]) == 2
    assert (await told(daemon, "/v1/logs", level="fatal")) == {"logs": []}


@pytest.mark.parametrize(
    "asked", [{"level": "loud"}, {"limit": 0}, {"since": "yesterday"}, {"trace_id": "x"}, {"words": "x" * 1001}]
)
async def test_a_question_that_does_not_fit_is_refused(daemon: Daemon, asked: dict):
    assert (await daemon.http.get("/v1/logs", params=asked)).status_code == 422


async def test_what_daemons_log_is_counted_by_the_template_that_they_used(daemon: Daemon):
    service = Observed("trainer")
    for number in range(3):
        service.log(f"child {number} died", number=number)
    await daemon.hears_telemetry(service)
    await daemon.kept()
    [pattern] = (await told(daemon, "/v1/log-patterns"))["patterns"]
    assert (pattern["service"], pattern["pattern"], pattern["count"]) == ("trainer", "child <n> died", 3)
    assert pattern["example"]["level"] == "warning"
    assert (await told(daemon, "/v1/log-patterns", level="error"))["patterns"] == []


async def test_a_trace_is_found_by_its_id_an_answer_and_an_event_with_its_logs(daemon: Daemon):
    answer_id = uuid4().hex
    gateway = Observed()
    with gateway.telemetry.tracer.start_as_current_span("answer", attributes={"plumbline.answer.id": answer_id}):
        trace_id = current_trace_id()
        gateway.log("slow today")
    await daemon.hears_telemetry(gateway)
    store = await daemon.kept()
    event = record_of(topics.BATCH_RECEIVED, received(uuid4()), trace_id)
    await store.add_events([event])
    assert trace_id
    link = SpanLink(trace_id=trace_id, span_id="1" * 16)
    await store.add_spans([replace(span("f", 1), links=(link,))])
    views = [await told(daemon, f"/v1/traces/{subject}") for subject in (trace_id, answer_id, str(event.event_id))]
    for view in views:
        assert view["trace_id"] == trace_id
        assert [(found["name"], found["status"]) for found in view["spans"]] == [("answer", "unset")]
        assert [line["message"] for line in view["logs"]] == ["slow today"]
        assert view["logs"][0]["span_id"] == view["spans"][0]["span_id"]
        assert [found["trace_id"] for found in view["linked_from"]] == ["f" * 32]


@pytest.mark.parametrize("subject", ["e" * 32, "nonsense", "35092ec8-e010-4548-a3bf-632a45ec5dcb"])
async def test_a_trace_that_is_not_known_is_said_to_be(daemon: Daemon, subject: str):
    answer = await daemon.http.get(f"/v1/traces/{subject}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:plumbline:problem:unknown-trace")


async def test_a_store_that_is_gone_is_a_503_that_says_where(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    settings = StoreSettings(url="http://somebody:secret@127.0.0.1:9", timeout_s=1)
    gone = open_store(settings, Path(), SystemClock())
    monkeypatch.setattr(daemon.store, "search_logs", gone.search_logs)
    answer = await daemon.http.get("/v1/logs")
    await gone.aclose()
    assert answer.status_code == 503
    assert "http://127.0.0.1:9 cannot be used" in answer.json()["detail"]
    assert "secret" not in answer.text


async def test_the_settings_choose_the_store(tmp_path: Path):
    default = open_store(StoreSettings(), tmp_path, SystemClock())
    named = open_store(StoreSettings(url=f"sqlite://{tmp_path}/new/t.db", retention_days=7), tmp_path, SystemClock())
    remote = open_store(StoreSettings(url="http://e:9200", api_key=SecretStr("k")), tmp_path, SystemClock())
    assert (tmp_path / "telemetry.db").exists()
    assert (tmp_path / "new" / "t.db").exists()
    assert isinstance(default, SqliteTelemetryStore)
    assert isinstance(named, SqliteTelemetryStore)
    assert isinstance(remote, ElasticsearchTelemetryStore)
    for store in (default, named, remote):
        await store.aclose()


@pytest.mark.parametrize(
    "wrong", [{"url": "e:9200"}, {"url": "ftp://e"}, {"index_prefix": "Plumb*"}, {"retention_days": 0}]
)
def test_settings_that_name_no_store_are_refused(wrong: dict):
    with pytest.raises(ValidationError):
        StoreSettings(**wrong)


def test_a_monitor_with_sqlite_does_without_the_client():
    code = "import sys, services.monitor.app, json; print(json.dumps([m for m in sys.modules if m == 'elasticsearch']))"
    said = run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(said.stdout) == []
