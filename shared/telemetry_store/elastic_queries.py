"""What the Elasticsearch store asks: bodies of searches. Pure."""

from datetime import datetime
from typing import Any

from shared.telemetry_store.records import LogQuery, microseconds
from shared.telemetry_store.words import Phrase, phrases_of

Query = dict[str, Any]

EARLIEST_EVENTS: list[Query] = [{"seq": "asc"}, {"event_id": "asc"}]
MAX_EXPANSIONS = 1_000
"""Words with a common beginning that end a phrase."""


def all_of(*conditions: Query | None) -> Query:
    """Return a query for what meets all conditions; None: whatever."""
    return {"bool": {"filter": [condition for condition in conditions if condition]}}


def equals(field: str, value: object) -> Query | None:
    """Return the condition that a field holds a value; None: any."""
    return None if value is None else {"term": {field: value}}


def later_than(after: datetime | None) -> Query | None:
    """Return the condition that a record's time is later."""
    return None if after is None else {"range": {"time_ns": {"gt": microseconds(after) * 1000}}}


def earlier_than(before: datetime | None) -> Query | None:
    """Return the condition that a record's time is earlier."""
    return None if before is None else {"range": {"time_ns": {"lt": microseconds(before) * 1000}}}


def logs_asked_for(query: LogQuery) -> Query:
    """Return a query for log records; words that could match nothing match nothing."""
    phrases = phrases_of(query.words)
    return all_of(
        *(_stands_in_words(phrase) for phrase in phrases),
        {"match_none": {}} if query.has_words and not phrases else None,
        equals("service.name", query.service),
        equals("trace.id", query.trace_id),
        later_than(query.after),
        earlier_than(query.before),
        {"range": {"level_number": {"gte": query.min_level}}} if query.min_level else None,
    )


def patterns(num_buckets: int, after: Query | None) -> Query:
    """Return the aggregation that counts records by service and pattern, a page of it."""
    sources = [
        {name: {"terms": {"field": field}}} for name, field in (("service", "service.name"), ("pattern", "pattern"))
    ]
    page = {"size": num_buckets, "sources": sources, **({"after": after} if after else {})}
    newest = {"size": 1, "sort": [{"time_ns": "desc"}, {"uid": "desc"}], "_source": ["record"]}
    seen = {
        "first": {"min": {"field": "@timestamp"}},
        "last": {"max": {"field": "@timestamp"}},
        "example": {"top_hits": newest},
    }
    return {"patterns": {"composite": page, "aggs": seen}}


def _stands_in_words(phrase: Phrase) -> Query:
    *others, last = phrase.words
    if not others:
        return {"prefix" if phrase.is_prefix else "term": {"words": {"value": last}}}
    text = " ".join(phrase.words)
    if phrase.is_prefix:
        return {"match_phrase_prefix": {"words": {"query": text, "max_expansions": MAX_EXPANSIONS}}}
    return {"match_phrase": {"words": {"query": text}}}
