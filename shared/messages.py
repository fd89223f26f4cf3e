"""The wire form of events: JSON bodies, CloudEvents attributes as Kafka headers."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from contracts.envelope import Event
from contracts.topics import Topic
from shared.errors import InvalidEvent, UnknownEventVersion


def cloudevent_headers(topic: Topic, event: Event, *, service: str) -> dict[str, str]:
    """Return the CloudEvents 1.0 attributes of an event, as Kafka headers in binary mode."""
    return {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(event.event_id),
        "ce_type": topic.ce_type,
        "ce_source": f"/plumbline/{service}",
        "ce_subject": event.domain,
        "ce_time": event.occurred_at.isoformat(),
    }


def decode(topic: Topic, body: bytes, headers: Mapping[str, Any]) -> Event:
    """Return the event that a message holds. A message without a `ce_type` is taken for the topic's own version.

    Raises:
        UnknownEventVersion: `ce_type` names something else than this topic carries.
        InvalidEvent: The body does not fit the contract.
    """
    ce_type = headers.get("ce_type", topic.ce_type)
    if ce_type != topic.ce_type:
        msg = f"{topic.name} carries {topic.ce_type}, this message says {ce_type}"
        raise UnknownEventVersion(msg, next_step="upgrade this daemon, or send the version that the topic carries")
    if topic.event is None:
        msg = f"{topic.name} carries OTLP, not events"
        raise InvalidEvent(msg)
    try:
        return topic.event.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
            for item in error.errors(include_url=False)[:5]
        )
        msg = f"not a valid {topic.event.__name__}: {problems}"
        raise InvalidEvent(msg, next_step=f"see contracts/schemas/{topic.name}.schema.json") from error
