"""Bulk requests, and what their answers mean: HTTP 200 says nothing, each item has a status of its own. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

MAX_ITEMS = 1_000
MAX_BYTES = 5_000_000
"""Of one request."""

# These come as 400 and mean the server, not the document, e.g. that it has no room for one more shard.
_SERVER_TROUBLE = frozenset({"validation_exception", "illegal_state_exception"})


@dataclass(frozen=True, slots=True)
class Item:
    """One document to create.

    Attributes:
        lines: Action and document as two lines of JSON.
    """

    lines: str
    id: str


class Refusal(NamedTuple):
    """A document that can never be kept, and why."""

    item: Item
    reason: str


class Verdict(NamedTuple):
    """What became of the items of a request.

    Attributes:
        num_created: Are kept now.
        num_known: Were kept before.
        unsure: May be kept at another attempt, for `trouble`.
        lacks_template: Some streams cannot be made, since the templates are not (or no longer) there.
    """

    num_created: int
    num_known: int
    unsure: tuple[Item, ...]
    refused: tuple[Refusal, ...]
    trouble: str
    lacks_template: bool


def item_of(stream: str, document_id: str, fields: Mapping[str, Any]) -> Item:
    """Return a document as an item that makes its stream if need be, and nothing else than a stream."""
    action = {"create": {"_index": stream, "_id": document_id, "require_data_stream": True}}
    return Item(f"{_dump(action)}\n{_dump(fields)}", document_id)


def requests_of(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield the items in requests of bounded size, in their order."""
    request: list[Item] = []
    num_bytes = 0
    for item in items:
        if request and (len(request) >= MAX_ITEMS or num_bytes + len(item.lines) > MAX_BYTES):
            yield request
            request, num_bytes = [], 0
        request.append(item)
        num_bytes += len(item.lines)
    if request:
        yield request


def verdict_of(items: Sequence[Item], answer: Mapping[str, Any]) -> Verdict:
    """Return what an answer says of the items, which it lists in their order.

    201: created; 409: known; 400: refused for what it holds. Everything else can pass: 429, 5xx, 403 of a full disk, 404 of a
    missing template.
    """
    said = [next(iter(outcome.values())) for outcome in answer["items"]]
    created, known, unsure, refused = 0, 0, [], []
    trouble, lacks_template = "", False
    for item, outcome in zip(items, said, strict=True):
        status, error = outcome["status"], outcome.get("error") or {}
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            created += 1
        elif status == HTTPStatus.CONFLICT:
            known += 1
        elif status == HTTPStatus.BAD_REQUEST and error.get("type") not in _SERVER_TROUBLE:
            refused.append(Refusal(item, _reason(error)))
        else:
            unsure.append(item)
            trouble = f"{status} {_reason(error)}"
            lacks_template = lacks_template or status == HTTPStatus.NOT_FOUND
    return Verdict(created, known, tuple(unsure), tuple(refused), trouble, lacks_template)


def _reason(error: Mapping[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    return ": ".join(str(part) for part in (error.get("type"), error.get("reason"), cause.get("reason")) if part)[:500]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
