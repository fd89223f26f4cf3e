"""Every field of a JSON body at its edges: missing, null, of another type, empty, huge, out of range, strange."""

import copy
import json
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

MISSING = object()
LONG = "x" * 10_000

EDGES: tuple[Any, ...] = (
    MISSING,
    None,
    True,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "0",
    "law",
    "Law!",
    "../../etc/passwd",
    "a\u0000b",
    "\r\nset-cookie: a=b",
    "\x1b[31m",
    "\u202e\U0001f600",
    "0" * 64,
    "F" * 64,
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "2025-06-01T00:00:00",
    "2025-02-30",
    LONG,
    [],
    [None],
    [[]],
    {},
    {"a": LONG},
)


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the path of every field and every element in a body, the body itself first."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def variants(body: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the body once for every place and edge, each with a name that says what was changed."""
    for place in places(body):
        for edge in EDGES:
            if place == () and edge is MISSING:
                continue
            name = ".".join(map(str, place)) or "body"
            shown = "missing" if edge is MISSING else repr(edge)[:40]
            yield f"{name} = {shown}", _encoded(_changed(body, place, edge))


def _changed(body: Any, place: Path, edge: Any) -> Any:
    if not place:
        return edge
    changed = copy.deepcopy(body)
    holder = changed
    for step in place[:-1]:
        holder = holder[step]
    if edge is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = edge
    return changed


def _encoded(body: Any) -> bytes:
    # Lone surrogates and NaN are no JSON, but somebody will send them.
    return json.dumps(body, ensure_ascii=True).encode()
