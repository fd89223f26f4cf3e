"""Which fields of a body no document has: a misspelt one is passed over, and whoever sent it should hear of it."""

from collections.abc import Iterable, Iterator

import msgspec

from services.ingest.core.records import Record

KNOWN = frozenset(Record.__struct_fields__)
MAX_LINES = 200
"""The first lines of a body are looked at; a field that comes later only is passed over unsaid."""
MAX_NAMES = 20


def unknown_among(names: Iterable[str]) -> list[str]:
    """Return the names that no field of a document has, in their order, each once; the first 20 of them."""
    return [name for name in dict.fromkeys(names) if name not in KNOWN][:MAX_NAMES]


def watched(blocks: Iterable[bytes], ignored: list[str]) -> Iterator[bytes]:
    """Pass the pieces of JSON lines on, and add the unknown fields of the first lines to `ignored`."""
    rest = iter(blocks)
    for first in rest:
        ignored.extend(unknown_among(name for line in first.splitlines()[:MAX_LINES] for name in _names(line)))
        yield first
        break
    yield from rest


def _names(line: bytes) -> Iterator[str]:
    """Yield the keys of an object; of what is none, or is cut off, nothing: it is refused elsewhere."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(found, dict):
        yield from found
