"""Lifecycle events as the event log keeps them, and back."""

from pydantic import ValidationError

from contracts.api import EventRecord
from contracts.envelope import Event
from contracts.topics import TOPICS_BY_NAME, Topic


def record_of(topic: Topic, event: Event, trace_id: str | None) -> EventRecord:
    """Return what the log keeps of an event that was published within a trace."""
    return EventRecord(
        topic=topic.name,
        event_id=event.event_id,
        causation_id=event.causation_id,
        occurred_at=event.occurred_at,
        domain=event.domain,
        trace_id=trace_id,
        event=event.model_dump(mode="json"),
    )


def event_of(record: EventRecord) -> Event | None:
    """Return the event of a record, or None where this version of the contracts does not know it (any more)."""
    topic = TOPICS_BY_NAME.get(record.topic)
    if topic is None or topic.event is None:
        return None
    try:
        return topic.event.model_validate(record.event)
    except ValidationError:
        return None
