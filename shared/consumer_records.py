"""Consumer records as a handler, a log line or a dead letter sees them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiokafka import ConsumerRecord
from faststream import StreamMessage
from faststream.kafka import KafkaMessage

MAX_REASON_CHARS = 1_000
MAX_KEPT_HEADER_BYTES = 500_000
"""Headers that a truncated dead letter repeats; with more it repeats none but the reason's."""
MAX_HEADER_NAMES_CHARS = 8_000
"""Names of headers that a dead letter repeats; with more it names none, since it must fit whatever was sent."""


async def parsed(record: Any, parse: Callable[[Any], Awaitable[StreamMessage[Any]]]) -> StreamMessage[Any]:  # noqa: ANN401
    """Parse a record whatever its headers hold.

    FastStream's parser fails at a null and at what is not UTF-8, before any handler, where the message would be lost in silence.
    """
    headers = [(name, value.encode()) for name, value in _texts(record)]
    return await parse(replace(record, headers=headers))


def _texts(record: ConsumerRecord) -> list[tuple[str, str]]:
    return [(name, (value or b"").decode(errors="replace")) for name, value in record.headers]


def text_headers(record: ConsumerRecord) -> dict[str, str]:
    """Return a record's headers; of a name that comes twice the last."""
    return dict(_texts(record))


async def undecoded(message: StreamMessage[Any]) -> bytes:
    """Leave decoding to `decode`, so that its errors meet the dead-letter rule like all others."""
    return bytes(message.body)


def record_of(message: KafkaMessage) -> Any:  # noqa: ANN401 (aiokafka is untyped)
    """Return the consumer record; never a tuple, since no subscriber here reads in batches."""
    return message.raw_message


def place_of(record: ConsumerRecord) -> dict[str, object]:
    """Return where a record lies, for a log line."""
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def reason_headers(raw: ConsumerRecord, error: Exception, service: str) -> dict[str, str]:
    """Return the headers that say why a record was dead-lettered, and where it lay."""
    # Publishing adds headers of its own: a replay must know which ones the message came with.
    names = json.dumps([name for name, _ in raw.headers])
    return {
        **({"plumbline_headers": names} if len(names) <= MAX_HEADER_NAMES_CHARS else {}),
        "plumbline_error_type": type(error).__name__,
        "plumbline_error": str(error)[:MAX_REASON_CHARS],
        "plumbline_next_step": (getattr(error, "next_step", None) or "")[:MAX_REASON_CHARS],
        "plumbline_service": service,
        "plumbline_origin": f"{raw.topic}/{raw.partition}/{raw.offset}",
    }


def truncation_headers(raw: ConsumerRecord, reason: dict[str, str]) -> dict[str, str]:
    """Return the headers of a letter that holds only the beginning of a record's body.

    Where the headers themselves are what is too large, only those that say the reason are kept.
    """
    came_with = text_headers(raw)
    size = sum(len(name) + len(value.encode()) for name, value in came_with.items())
    kept = came_with if size <= MAX_KEPT_HEADER_BYTES else {}
    return {**kept, **reason, "plumbline_original_bytes": str(len(raw.value or b""))}
