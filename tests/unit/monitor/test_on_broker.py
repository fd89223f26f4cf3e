"""The whole monitor on a real broker: a gateway's telemetry in, an alert and explanations out."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from contracts import topics
from contracts.api import MeshStatus, Why
from contracts.monitoring import AlertState, TrafficObserved
from services.monitor.app import SERVICE, wire
from services.monitor.settings import Settings
from shared.bus import Bus
from shared.clock import SystemClock
from shared.forwarder import SpooledSink
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.spool import Spool
from shared.telemetry import Telemetry, current_trace_id
from tests.broker.harness import Inbox, header, make_bus, records, running, until
from tests.contracts.payloads import example
from tests.unit.monitor.samples import A, B, KeptSink, Observed

pytestmark = pytest.mark.broker


@asynccontextmanager
async def running_monitor(kafka: KafkaSettings, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_member(kafka, folder) as (_, http):
        yield http


@asynccontextmanager
async def running_member(kafka: KafkaSettings, folder: Path) -> AsyncIterator[tuple[Bus, httpx.AsyncClient]]:
    settings = Settings(state_dir=folder / "monitor", artifacts=ArtifactSettings(url=folder.as_uri()), kafka=kafka)
    telemetry = Telemetry(SERVICE, TelemetrySettings(), KeptSink())
    app = wire(settings, Bus(SERVICE, kafka, telemetry), telemetry, SystemClock())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://monitor")

    async def ready() -> bool:
        return (await http.get("/readyz")).status_code == 200

    async with app.router.lifespan_context(app), http:
        await until(ready)
        yield app.state.bus, http


def observed_gateway(kafka: KafkaSettings, folder: Path) -> Observed:
    gateway = Observed()
    gateway.telemetry.close()
    sink = SpooledSink(Spool(folder / "spool.db", max_bytes=64 << 20), kafka, "inference-gateway")
    gateway.telemetry = Telemetry("inference-gateway", TelemetrySettings(), sink)
    gateway.telemetry.start()
    return gateway


async def test_slow_answers_of_one_bundle_become_its_alert_within_ten_seconds(kafka: KafkaSettings, tmp_path: Path):
    alerts = Inbox()
    bus = make_bus("release-manager", kafka, {topics.ALERT_CHANGED: alerts})
    async with running_monitor(kafka, tmp_path) as http, running(bus):
        gateway = observed_gateway(kafka, tmp_path)
        with gateway.telemetry.tracer.start_as_current_span("answer classify") as span:
            span.set_attributes({"plumbline.answer.id": "answer-1", "plumbline.bundle.digest": B})
        await bus.publish(topics.MODEL_TRAINED, example(topics.MODEL_TRAINED, bundle_digest=B, domain="law"))

        async def answer_for_ever() -> None:
            while True:
                gateway.answer(450, digest=B)
                gateway.answer(20, digest=A)
                await asyncio.sleep(0.05)

        began = time.time()
        answering = asyncio.create_task(answer_for_ever())
        try:
            fired = next(change for change in [await alerts.next(within_s=15)] if change.state is AlertState.FIRING)
        finally:
            answering.cancel()
            await asyncio.to_thread(gateway.telemetry.close)
        assert (fired.bundle_digest, fired.rule) == (B, "answer-latency")
        took_s = fired.occurred_at.timestamp() - began
        assert took_s < 10

        status = MeshStatus.model_validate((await http.get("/v1/status")).json())
        [domain] = [domain for domain in status.domains if domain.domain == "law"]
        assert [(alert.bundle_digest, alert.state) for alert in domain.alerts] == [(B, "firing")]

        async def explained() -> bool:
            return (await http.get("/v1/why/answer-1")).status_code == 200

        await until(explained)
        walk = Why.model_validate((await http.get("/v1/why/answer-1")).json())
        assert [step.kind for step in walk.steps][:2] == ["answer", "bundle"]


async def test_bytes_that_are_no_telemetry_become_dead_letters_and_the_rest_is_kept(
    kafka: KafkaSettings, tmp_path: Path
):
    gateway = Observed()
    with gateway.telemetry.tracer.start_as_current_span("still here"):
        trace_id = current_trace_id()
    [good] = gateway.close().payloads(topics.OTLP_SPANS)
    sender = make_bus("inference-gateway", kafka)
    async with running_monitor(kafka, tmp_path) as http, running(sender):
        for topic in topics.OTLP_TOPICS:
            await sender.broker.publish(b"not protobuf", topic.name, key=b"gateway")
        await sender.broker.publish(good, topics.OTLP_SPANS.name, key=b"gateway")
        for topic in topics.OTLP_TOPICS:
            [dead] = await records(kafka, topic.dead_letter_name, 1)
            assert dead.value == b"not protobuf"
            assert header(dead, "plumbline_error_type") == "MalformedOtlp"

        async def kept() -> bool:
            found = (await http.get(f"/v1/traces/{trace_id}")).json()
            return [span["name"] for span in found.get("spans", ())] == ["still here"]

        await until(kept)
        assert (await http.get("/readyz")).status_code == 200


async def test_of_two_monitors_only_the_owner_speaks_and_the_other_goes_on_where_it_fell_silent(
    kafka: KafkaSettings, tmp_path: Path
):
    observed = Inbox()
    bus = make_bus("release-manager", kafka, {topics.TRAFFIC_OBSERVED: observed})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(bus))
        members = {}
        for name in "ab":
            own = await stack.enter_async_context(AsyncExitStack())
            member, _ = await own.enter_async_context(running_member(kafka, tmp_path / name))
            members[member] = own
        await until(lambda: [member.owns("law") for member in members].count(True) == 1)
        gateway = observed_gateway(kafka, tmp_path)
        num_answers = 0

        async def answer_for_ever() -> None:
            nonlocal num_answers
            while True:
                gateway.answer(20, digest=A)
                num_answers += 1
                await asyncio.sleep(0.05)

        answering = asyncio.create_task(answer_for_ever())
        try:
            await until(lambda: len(observed.events) >= 3)
            owner = next(member for member in members if member.owns("law"))
            num_before = len(observed.events)
            assert len({event.second for event in observed.events}) == num_before, "both spoke"
            await members[owner].aclose()
            await until(lambda: len({event.second for event in observed.events}) >= num_before + 5, within_s=40)
        finally:
            answering.cancel()
        await asyncio.to_thread(gateway.telemetry.close)
        await until(lambda: counted(observed.events) >= num_answers)
    # What both said of a second has one id and says the same; together they leave no answer out.
    assert counted(observed.events) == num_answers
    assert len({event.event_id for event in observed.events}) == len({event.second for event in observed.events})


def counted(events: Sequence[TrafficObserved]) -> int:
    """Return the answers in seconds of traffic, as a consumer counts them: one event a second."""
    return sum({event.second: event.num_answers for event in reversed(events)}.values())
