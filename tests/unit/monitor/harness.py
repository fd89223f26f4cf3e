"""A monitor on an in-memory broker, with the real store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from aiokafka.structs import TopicPartition
from fastapi import FastAPI
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import SecretStr

from contracts import topics
from contracts.envelope import Event
from services.monitor import api, handlers, lookups
from services.monitor.app import SERVICE, terms_of
from services.monitor.run import Monitor
from services.monitor.settings import WatchSettings
from shared import problems
from shared.bus import Bus
from shared.clock import FakeClock
from shared.settings import KafkaSettings, OperatorSettings, TelemetrySettings
from shared.telemetry import Telemetry
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.broker.memory import MemoryBatches
from tests.keys import command_guard
from tests.unit.monitor import samples
from tests.unit.monitor.samples import KeptSink, Observed, at

OPERATOR = OperatorSettings(operator_token=SecretStr("the operator's"))
AS_OPERATOR = {"authorization": "Bearer the operator's"}
SAID = (topics.TRAFFIC_OBSERVED, topics.ALERT_CHANGED, topics.TRAINING_REQUESTED)


class Daemon:
    """A monitor, a producer that it hears, and what it says."""

    def __init__(self, store: SqliteTelemetryStore) -> None:
        self.sink = KeptSink()
        self.telemetry = Telemetry(SERVICE, TelemetrySettings(metric_interval_s=3600), self.sink)
        self.bus, self.others = (
            Bus(name, KafkaSettings(), self.telemetry, guard=command_guard()) for name in (SERVICE, "others")
        )
        self.clock = FakeClock(at(0))
        self.store = store
        self.monitor = Monitor(self.bus, store, self.telemetry, clock=self.clock, terms=terms_of(WatchSettings()))
        handlers.register(self.bus, monitor=self.monitor)
        # The broker in memory has no groups: nobody else would tell the monitor that the domains are its own.
        self.bus._assignment.on_partitions_assigned([TopicPartition("any", n) for n in range(topics.NUM_PARTITIONS)])
        self.batches = MemoryBatches(self.bus)
        self.said: list[Event] = []
        self.broker = KafkaBroker()
        for topic in SAID:
            self.broker.subscriber(topic.name, group_id="listener")(self._listener(topic))
        app = FastAPI()
        problems.install(app)
        app.include_router(api.routes(self.bus, self.monitor, store, clock=self.clock, operator=OPERATOR))
        app.include_router(lookups.routes(store))
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://monitor", headers=AS_OPERATOR
        )

    def _listener(self, topic: topics.Topic) -> Any:
        async def listen(message: KafkaMessage) -> None:
            assert topic.event is not None
            self.said.append(topic.event.model_validate_json(message.body))

        return listen

    async def hears(self, topic: topics.Topic, event: Event) -> None:
        await self.others.publish(topic, event)

    async def kept(self) -> SqliteTelemetryStore:
        """Return the store once nothing waits for it any more."""
        await self.batches.stored()
        return self.store

    async def hears_telemetry(self, service: Observed) -> None:
        for name, payload in service.close().messages:
            await self.others.broker.publish(payload, name, key=b"inference-gateway")

    async def watches(self, seconds: int, *, slow: bool, from_s: int = 0) -> None:
        """Let seconds pass in which 12 answers a second are given."""
        for second in range(from_s, from_s + seconds):
            await self.others.broker.publish(answers(second, slow=slow), topics.OTLP_METRICS.name)
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
    async with (
        TestKafkaBroker(daemon.bus.broker, daemon.others.broker, daemon.broker, daemon.batches.broker),
        daemon.batches.storing(),
    ):
        await daemon.monitor.restore()
        yield daemon
        await daemon.batches.stored()
    await daemon.http.aclose()
    await store.aclose()
    daemon.telemetry.close()
