"""The part that every event shares, and how one event's id follows from another's."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Domain = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", description="e.g. law or medicine; the Kafka key")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of an artifact, lower-case hexadecimal")]


class Contract(BaseModel):
    """A frozen value on the wire; fields that a newer producer added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Contract):
    """A fact that happened in one domain.

    Attributes:
        event_id: Unique; derived from the cause, so that a redelivery says the same thing again.
        causation_id: The event that caused this one; None where the cause lies outside the mesh.
        occurred_at: When it happened, with a time zone.
        domain: The vertical domain, and the Kafka key.
    """

    event_id: UUID
    causation_id: UUID | None
    occurred_at: AwareDatetime
    domain: Domain

    @classmethod
    def caused_by(cls, cause: "Event", *, now: datetime, key: str = "", **fields: Any) -> Self:  # noqa: ANN401
        """Return the event of this class that `cause` leads to.

        Args:
            cause: The event that was handled.
            now: The time of the effect.
            key: Tells several events of one class and one cause apart, e.g. a step number.
            fields: The event's own fields; `domain` defaults to the cause's.
        """
        fields.setdefault("domain", cause.domain)
        event_id = derived_id(cause.event_id, cls.__name__, key)
        return cls(event_id=event_id, causation_id=cause.event_id, occurred_at=now, **fields)


def derived_id(cause: UUID, *parts: str) -> UUID:
    """Return the UUID (version 5) that `parts` name under `cause`: same input, same id.

    Example:
        >>> derived_id(UUID(int=1), "BatchCleaned", "") == derived_id(UUID(int=1), "BatchCleaned", "")
        True
    """
    return uuid5(cause, ":".join(parts))
