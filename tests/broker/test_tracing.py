"""Trace continuity over a real broker: each hop's span is the child of the one that sent it."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from contracts import topics
from contracts.envelope import Event
from contracts.training import ModelTrained, TokenizerReady
from shared.settings import KafkaSettings, TelemetrySettings
from shared.telemetry import Telemetry, current_traceparent, trace_id_of
from tests.broker.harness import Inbox, KeptSink, header, make_bus, records, running
from tests.contracts.payloads import example

pytestmark = pytest.mark.broker
ORIGIN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def spans_in(sink: KeptSink) -> dict[str, Span]:
    """Return the spans that were exported, by name."""
    batches = [TracesData.FromString(payload) for payload in sink.payloads(topics.OTLP_SPANS)]
    spans = [
        span
        for batch in batches
        for resource in batch.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert len({span.name for span in spans}) == len(spans)
    return {span.name: span for span in spans}


async def test_publish_and_process_twice_is_one_trace_with_a_parent_chain(kafka: KafkaSettings) -> None:
    sink = KeptSink()
    inbox = Inbox()

    async def on_corpus_versioned(event: Event) -> None:
        changes = example(topics.TOKENIZER_READY).model_dump(exclude=set(Event.model_fields))
        await builder.publish(topics.TOKENIZER_READY, TokenizerReady.caused_by(event, now=datetime.now(UTC), **changes))

    async def on_tokenizer_ready(event: Event) -> None:
        changes = example(topics.MODEL_TRAINED).model_dump(exclude=set(Event.model_fields))
        await trainer.publish(topics.MODEL_TRAINED, ModelTrained.caused_by(event, now=datetime.now(UTC), **changes))

    def telemetry(service: str) -> Telemetry:
        return Telemetry(service, TelemetrySettings(), sink)

    builder = make_bus(
        "tokenizer-builder",
        kafka,
        {topics.CORPUS_VERSIONED: on_corpus_versioned},
        telemetry=telemetry("tokenizer-builder"),
    )
    trainer = make_bus("trainer", kafka, {topics.TOKENIZER_READY: on_tokenizer_ready}, telemetry=telemetry("trainer"))
    evaluator = make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox}, telemetry=telemetry("evaluator"))
    buses = (builder, trainer, evaluator)
    for bus in buses:
        bus._telemetry.start()
    async with running(builder), running(trainer), running(evaluator):
        await builder.publish(topics.CORPUS_VERSIONED, example(topics.CORPUS_VERSIONED), traceparent=ORIGIN)
        last = await inbox.next()

    spans = spans_in(sink)
    chain = [
        spans[f"{verb} {topic.name}"]
        for topic in (topics.CORPUS_VERSIONED, topics.TOKENIZER_READY, topics.MODEL_TRAINED)
        for verb in ("send", "process")
    ]
    assert {span.trace_id.hex() for span in chain} == {trace_id_of(ORIGIN)}
    assert chain[0].parent_span_id.hex() == ORIGIN.split("-")[2]
    for parent, child in pairwise(chain):
        assert child.parent_span_id == parent.span_id
    assert [span.kind for span in chain] == [Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER] * 3
    attributes = {pair.key: pair.value.string_value for pair in chain[-1].attributes}
    assert attributes["plumbline.event.id"] == str(last.event_id)
    assert attributes["messaging.destination.name"] == topics.MODEL_TRAINED.name


async def test_what_comes_every_second_makes_no_span_but_the_context_still_travels(kafka: KafkaSettings) -> None:
    sink = KeptSink()
    seen: list[str | None] = []
    inbox = Inbox()

    async def on_traffic_observed(event: Event) -> None:
        seen.append(current_traceparent())
        await inbox(event)

    telemetry = Telemetry("release-manager", TelemetrySettings(), sink)
    bus = make_bus("release-manager", kafka, {topics.TRAFFIC_OBSERVED: on_traffic_observed}, telemetry=telemetry)
    telemetry.start()
    async with running(bus):
        await bus.publish(topics.TRAFFIC_OBSERVED, example(topics.TRAFFIC_OBSERVED))
        await inbox.next()

    assert seen == [None]
    assert sink.payloads(topics.OTLP_SPANS) == []


async def test_an_event_outside_of_a_span_starts_a_trace(kafka: KafkaSettings) -> None:
    async with running(make_bus("inference-gateway", kafka)) as sender:
        for _ in range(2):
            await sender.publish(topics.BUNDLE_LOADED, example(topics.BUNDLE_LOADED))
    found = await records(kafka, topics.BUNDLE_LOADED.name, 2)

    assert len({trace_id_of(header(record, "traceparent")) for record in found} - {None}) == 2
