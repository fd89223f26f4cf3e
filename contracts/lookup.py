"""What people look up in the telemetry: logs, the patterns of their messages, and traces; bodies of the monitor's HTTP API."""

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime

from contracts.api import WhySpan
from contracts.envelope import Contract


class Level(StrEnum):
    """How much a log record matters, from the least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"


class LogLine(Contract):
    """One log record.

    Attributes:
        at: To the microsecond.
        level: A `Level`, or `trace`, which other senders know.
    """

    at: AwareDatetime
    service: str
    level: str
    message: str
    trace_id: str | None
    span_id: str | None
    attributes: dict[str, object]


class LogLines(Contract):
    """The newest log records that were asked for, newest first."""

    logs: tuple[LogLine, ...]


class LogPatternCount(Contract):
    """Log records of one service whose messages differ only in what changes.

    Attributes:
        pattern: The message with placeholders.
        first_seen: To the millisecond, as is `last_seen`.
        example: The newest of them.
    """

    service: str
    pattern: str
    count: int
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    example: LogLine


class LogPatterns(Contract):
    """Patterns of log records, the most frequent first."""

    patterns: tuple[LogPatternCount, ...]


class TraceSpan(WhySpan):
    """One span with what it says of itself."""

    status: Literal["unset", "ok", "error"]
    attributes: dict[str, object]


class TraceView(Contract):
    """A trace with its logs, and its neighbours.

    Attributes:
        spans: Earliest first, as is everything here.
        linked_from: Spans of other traces that link to this one, e.g. the cut of a corpus version to the traces of its batches.
    """

    subject: str
    trace_id: str
    spans: tuple[TraceSpan, ...]
    linked_from: tuple[TraceSpan, ...]
    logs: tuple[LogLine, ...]
