"""A foreign OpenTelemetry client writes to our topics: SDK -> OTLP over HTTP -> rotel, a collector -> Kafka -> our store.

What we write any OTLP tool reads: `test_telemetry` parses it with OpenTelemetry's own generated classes.
"""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
import rotel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from contracts import topics
from services.monitor.keeping import Keeper
from shared.bus import Bus
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.broker.harness import KeptSink, until
from tests.conftest import free_port

pytestmark = pytest.mark.broker
NUM_SPANS = 1_000
PATIENCE_S = 60.0


@contextmanager
def collector(kafka: KafkaSettings, folder: Path) -> Iterator[str]:
    """Run rotel between OTLP over HTTP and Kafka; yield where it takes traces."""
    http_port, grpc_port = free_port(), free_port()
    argv = [
        str(Path(rotel.__file__).parent / "rotel-agent"), "start", "--exporter", "kafka",
        "--kafka-exporter-brokers", kafka.bootstrap_servers, "--kafka-exporter-traces-topic", topics.OTLP_SPANS.name,
        "--kafka-exporter-format", "protobuf", "--kafka-exporter-acks", "all", "--batch-timeout", "200ms",
        "--otlp-http-endpoint", f"127.0.0.1:{http_port}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}",
    ]  # fmt: skip
    with (folder / "rotel.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{http_port}/v1/traces"
        finally:
            process.terminate()


async def test_spans_of_a_foreign_client_are_found_by_their_trace(kafka: KafkaSettings, tmp_path: Path):
    bus = Bus("monitor", kafka, Telemetry("monitor", TelemetrySettings(), KeptSink()))
    async with aclosing(SqliteTelemetryStore(tmp_path / "telemetry.db")) as store:
        bus.keep(Keeper(store, bus.dead_letter).keep)
        await bus.connect()
        storing = asyncio.create_task(bus.keep_on())
        try:
            with collector(kafka, tmp_path) as endpoint:
                trace_id = await asyncio.to_thread(one_trace, endpoint)

                async def all_found() -> bool:
                    return len(await store.spans_of_trace(trace_id, limit=2 * NUM_SPANS)) == NUM_SPANS

                await until(all_found, within_s=PATIENCE_S, every_s=0.2)
        finally:
            storing.cancel()
            await asyncio.wait([storing])
            await bus.broker.stop()
            await asyncio.to_thread(bus._telemetry.close)
        found = await store.spans_of_trace(trace_id, limit=2 * NUM_SPANS)
    assert {span.service for span in found} == {"somebody-elses"}
    assert sorted(span.attributes["number"] for span in found if "number" in span.attributes) == list(
        range(NUM_SPANS - 1)
    )
    assert len({span.parent_span_id for span in found}) == 2


def one_trace(endpoint: str) -> str:
    """Send a trace as an application with OpenTelemetry's SDK does; return its id."""
    provider = TracerProvider(resource=Resource({"service.name": "somebody-elses"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint), schedule_delay_millis=100))
    tracer = provider.get_tracer("theirs")
    with tracer.start_as_current_span("request") as root:
        for number in range(NUM_SPANS - 1):
            tracer.start_span("step", attributes={"number": number}).end()
    assert provider.force_flush(20_000)
    provider.shutdown()
    return f"{root.get_span_context().trace_id:032x}"
