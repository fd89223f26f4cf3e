"""Records as documents of Elasticsearch, and back. Pure."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from contracts.api import EventRecord
from shared.telemetry_store.elastic_templates import MAX_KEYWORD_CHARS
from shared.telemetry_store.patterns import level_name, level_of, pattern_of, searchable_words
from shared.telemetry_store.records import (
    SEARCHABLE_ATTRIBUTES,
    Attributes,
    LogRecord,
    MetricPoint,
    Span,
    SpanLink,
    microseconds,
    subjects_of,
)

MAX_KEY_CHARS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Document:
    """What is written.

    Attributes:
        id: The identity of the record, which a repetition shares.
        time_ns: The record's own time, which says in which stream it lies.
        fields: The document.
    """

    id: str
    time_ns: int
    fields: Mapping[str, Any]


def span_document(span: Span) -> Document:
    """Return a span."""
    record = {name: getattr(span, name) for name in Span.__slots__}
    record["links"] = [[link.trace_id, link.span_id] for link in span.links]
    subjects = [subject(name, str(span.attributes[name])) for name in SEARCHABLE_ATTRIBUTES if name in span.attributes]
    fields = {
        "@timestamp": _timestamp(span.start_ns), "time_ns": span.start_ns, "trace.id": span.trace_id, "span.id": span.span_id,
        "parent.id": span.parent_span_id, "service.name": span.service, "name": span.name, "status": span.status,
        "duration_ms": span.duration_ms, "linked_trace_ids": sorted({link.trace_id for link in span.links}),
        "subjects": subjects, "attributes": _searchable(span.attributes), "record": _dump(record),
    }  # fmt: skip
    return Document(id=f"{span.trace_id}-{span.span_id}", time_ns=span.start_ns, fields=fields)


def log_document(log: LogRecord) -> Document:
    """Return a log record."""
    level = level_of(log.severity)
    fields = {
        "@timestamp": _timestamp(log.time_ns), "time_ns": log.time_ns, "uid": log.uid, "trace.id": log.trace_id,
        "span.id": log.span_id, "service.name": log.service, "log.level": level_name(level), "level_number": level,
        "pattern": pattern_of(log), "message": log.body, "words": " ".join(searchable_words(log)),
        "attributes": _searchable(log.attributes),
        "record": _dump({name: getattr(log, name) for name in LogRecord.__slots__}),
    }  # fmt: skip
    # The uid may come from elsewhere, and an id has 512 bytes at most.
    return Document(id=_hash(log.uid), time_ns=log.time_ns, fields=fields)


def metric_document(point: MetricPoint) -> Document:
    """Return a metric point."""
    fields = {
        "@timestamp": _timestamp(point.time_ns), "time_ns": point.time_ns, "series": point.series, "name": point.name,
        "service.name": point.service, "kind": point.kind, "attributes": _searchable(point.attributes),
        # A loss may be no number, which no field takes; the record keeps it.
        "value": point.value if math.isfinite(point.value) else None,
        "record": _dump({name: getattr(point, name) for name in MetricPoint.__slots__}),
    }  # fmt: skip
    return Document(id=f"{_hash(point.series)}-{point.time_ns}", time_ns=point.time_ns, fields=fields)


def event_document(event: EventRecord, seq: int) -> Document:
    """Return a lifecycle event; `seq` says when it came in."""
    occurred_us = microseconds(event.occurred_at)
    fields = {
        "@timestamp": _timestamp(occurred_us * 1000), "occurred_us": occurred_us, "seq": seq, "topic": event.topic,
        "domain": event.domain, "stage": f"{event.domain} {event.topic}", "event_id": str(event.event_id),
        "subjects": subjects_of(event), "trace.id": event.trace_id, "record": event.model_dump_json(),
    }  # fmt: skip
    return Document(id=str(event.event_id), time_ns=occurred_us * 1000, fields=fields)


def subject(name: str, value: str) -> str:
    """Return what a span is found by: an attribute with its value."""
    return f"{name}={value}"


def span_from(record: str) -> Span:
    """Return the span that a document keeps."""
    fields = json.loads(record)
    links = tuple(SpanLink(trace_id=trace_id, span_id=span_id) for trace_id, span_id in fields.pop("links"))
    return Span(**fields, links=links)


def log_from(record: str) -> LogRecord:
    """Return the log record that a document keeps."""
    return LogRecord(**json.loads(record))


def metric_from(record: str) -> MetricPoint:
    """Return the metric point that a document keeps."""
    fields = json.loads(record)
    return MetricPoint(**{**fields, "bounds": tuple(fields["bounds"]), "counts": tuple(fields["counts"])})


def event_from(record: str) -> EventRecord:
    """Return the event that a document keeps."""
    return EventRecord.model_validate_json(record)


def _timestamp(time_ns: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=time_ns // 1_000_000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _searchable(attributes: Attributes) -> dict[str, str]:
    """Return what of the attributes can be searched in Kibana: plain values, bounded in number and length by Lucene's limits."""
    plain = ((name, value) for name, value in attributes.items() if isinstance(value, str | int | float | bool))
    return {
        name[:MAX_KEY_CHARS].replace("\0", ""): (value if isinstance(value, str) else _dump(value))[:MAX_KEYWORD_CHARS]
        for name, value in plain
        if name.strip(" .\0")
    }


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
