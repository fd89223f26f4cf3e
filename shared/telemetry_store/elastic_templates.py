"""Index templates of the Elasticsearch store: what of a record can be searched. Pure.

Field names are those that Kibana knows (`@timestamp`, `message`, `log.level`, `service.name`, `trace.id`). Nothing here needs a
licence or a module that an Elasticsearch may lack.
"""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = 1
"""Raised with every change: a start installs templates that are missing or older. What a day's stream was made with stays."""
PRIORITY: Final = 500
MAX_KEYWORD_CHARS: Final = 1_024
"""Longer values are kept and not indexed; Lucene refuses 32 KiB."""

_KEYWORD: Final = {"type": "keyword", "ignore_above": MAX_KEYWORD_CHARS}
_LONG: Final = {"type": "long"}
_DOUBLE: Final = {"type": "double"}
_ATTRIBUTES: Final = {"type": "flattened", "ignore_above": MAX_KEYWORD_CHARS}
_SERVICE: Final = {"properties": {"name": _KEYWORD}}
_ID: Final = {"properties": {"id": _KEYWORD}}
_EVENT: Final = {
    "topic": _KEYWORD, "domain": _KEYWORD, "stage": _KEYWORD, "event_id": _KEYWORD, "subjects": _KEYWORD, "trace": _ID,
    "occurred_us": _LONG, "seq": _LONG,
}  # fmt: skip

FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "traces": {
        "time_ns": _LONG, "trace": _ID, "span": _ID, "parent": _ID, "service": _SERVICE, "name": _KEYWORD, "status": _KEYWORD,
        "duration_ms": _DOUBLE, "linked_trace_ids": _KEYWORD, "subjects": _KEYWORD, "attributes": _ATTRIBUTES,
    },
    "logs": {
        "time_ns": _LONG, "uid": _KEYWORD, "trace": _ID, "span": _ID, "service": _SERVICE,
        "log": {"properties": {"level": _KEYWORD}}, "level_number": {"type": "short"}, "pattern": _KEYWORD,
        # For Kibana; our own search asks for `words`, which mean the same in every store.
        "message": {"type": "text", "analyzer": "cjk"},
        "words": {"type": "text", "analyzer": "whitespace", "norms": False},
        "attributes": _ATTRIBUTES,
    },
    "metrics": {
        "time_ns": _LONG, "series": _KEYWORD, "service": _SERVICE, "name": _KEYWORD, "kind": _KEYWORD, "value": _DOUBLE,
        "attributes": _ATTRIBUTES,
    },
    "ticks": _EVENT,
    "events": _EVENT,
}  # fmt: skip
"""Searchable fields by kind. The field `record` holds the whole record as JSON text, so that it comes back as it was."""


def template(kind: str, pattern: str) -> dict[str, Any]:
    """Return the index template of a kind of record.

    Args:
        kind: A key of FIELDS.
        pattern: Matches the names of its data streams.
    """
    settings = {
        "number_of_shards": 1,
        # One copy where there is a second node, and none that would stay yellow where there is not.
        "auto_expand_replicas": "0-1",
        "codec": "best_compression",
    }
    mappings = {
        "dynamic": False,
        "_source": {"excludes": ["words"]},
        "properties": {"@timestamp": {"type": "date"}, **FIELDS[kind]},
    }
    return {
        "index_patterns": [pattern],
        "data_stream": {},
        "priority": PRIORITY,
        "version": VERSION,
        "template": {"settings": settings, "mappings": mappings},
    }
