"""Spans around messages.

Instead of FastStream's own middleware, which makes every hop a sibling under the first one: here the span of handling an event
is the child of the span that sent it, and what the handler sends are its children in turn.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faststream import BaseMiddleware, StreamMessage
from faststream.kafka.response import KafkaPublishCommand
from opentelemetry.trace import SpanKind

from contracts.topics import TOPICS_BY_NAME
from shared.telemetry import Telemetry, context_of, current_traceparent


def tracing(telemetry: Telemetry) -> Callable[..., BaseMiddleware[Any, Any]]:
    """Return the middleware that makes a span of each message handled and of each event sent.

    Instead of FastStream's own, which makes every hop a sibling under the first one.
    """

    class Tracing(BaseMiddleware[KafkaPublishCommand, Any]):
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:  # noqa: ANN401
            topic = msg.raw_message.topic
            if not TOPICS_BY_NAME[topic].traced:
                return await call_next(msg)
            with telemetry.tracer.start_as_current_span(
                f"process {topic}",
                context=context_of(msg.headers.get("traceparent")),
                kind=SpanKind.CONSUMER,
                attributes=_span_attributes(topic, "process", msg.headers),
            ):
                return await call_next(msg)

        async def publish_scope(
            self, call_next: Callable[[KafkaPublishCommand], Awaitable[Any]], cmd: KafkaPublishCommand
        ) -> Any:  # noqa: ANN401
            topic = TOPICS_BY_NAME.get(cmd.destination)
            headers = cmd.headers
            if topic is None or not topic.traced:
                return await call_next(cmd)
            given = context_of(headers["traceparent"]) if "traceparent" in headers else None
            with telemetry.tracer.start_as_current_span(
                f"send {cmd.destination}",
                context=given,
                kind=SpanKind.PRODUCER,
                attributes=_span_attributes(cmd.destination, "send", headers),
            ):
                cmd.headers = {**headers, "traceparent": current_traceparent() or ""}
                return await call_next(cmd)

    return Tracing


def _span_attributes(topic: str, operation: str, headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "plumbline.event.id": str(headers.get("ce_id", "")),
        "plumbline.domain": str(headers.get("ce_subject", "")),
    }
