"""What log records have in common: their level, and the pattern of their message without what changes from one to the next."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Final

from shared.telemetry_store.records import LogRecord
from shared.telemetry_store.words import words_of

TEMPLATE_ATTRIBUTE = "log.template"
"""The message before its arguments were put in, where a logger says it."""
MAX_PATTERN_CHARS = 300

DEBUG, INFO, WARNING, ERROR, FATAL = 5, 9, 13, 17, 21
"""Levels as OpenTelemetry numbers them."""
_LEVELS: Final[Mapping[str, int]] = {
    "trace": 1, "debug": DEBUG, "info": INFO, "information": INFO, "notice": INFO, "warn": WARNING, "warning": WARNING,
    "error": ERROR, "err": ERROR, "fatal": FATAL, "critical": FATAL, "alert": FATAL, "emergency": FATAL,
}  # fmt: skip
_LEVEL_NAMES: Final[Mapping[int, str]] = {
    1: "trace", DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error", FATAL: "fatal"
}  # fmt: skip

# In this order: what one of them has replaced, none of the later ones knows any more.
_CHANGING: Final = tuple(
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>)\]]+", "<url>"),
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>"),
        (r"(?<![\w.])(?:\.{0,2}/)(?:[\w.@+-]+/)*[\w.@+-]+", "<path>"),
        (r"\b0x[0-9a-fA-F]+\b", "<hex>"),
        (r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,}\b", "<hex>"),
        (r"(?<!\w)'[^'\n]*'(?!\w)", "'<text>'"),
        (r'"[^"\n]*"', '"<text>"'),
        (r"(?<![A-Za-z_\d])[-+]?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?", "<n>"),
        (r"\s+", " "),
    )
)


def level_of(severity: str) -> int:
    """Return OpenTelemetry's number of a severity text; one that is not known counts as information."""
    return _LEVELS.get(severity.strip().rstrip("0123456789").lower(), INFO)


def level_name(level: int) -> str:
    """Return the name of a level, e.g. `warning`."""
    return _LEVEL_NAMES.get(level, "info")


def pattern_of(record: LogRecord) -> str:
    """Return the template of a record's message as its logger said it, or else what is left of the message."""
    template = record.attributes.get(TEMPLATE_ATTRIBUTE)
    return str(template)[:MAX_PATTERN_CHARS] if template else stripped(record.body)


@lru_cache(maxsize=1024)
def stripped(message: str) -> str:
    """Return the first line of a message with placeholders for numbers, ids, digests, times, addresses and quoted text.

    >>> stripped("bundle 07daf0d1 not loaded after 3 attempts: '第12条'")
    "bundle <hex> not loaded after <n> attempts: '<text>'"
    """
    line = message.strip().partition("\n")[0][: 4 * MAX_PATTERN_CHARS]
    for changing, placeholder in _CHANGING:
        line = changing.sub(placeholder, line)
    return line[:MAX_PATTERN_CHARS]


def searchable_words(record: LogRecord) -> list[str]:
    """Return the words by which a record is found: of its message, and of its attributes, where our own logs put what changes."""
    said = [str(value) for name, value in record.attributes.items() if name != TEMPLATE_ATTRIBUTE and value is not None]
    return words_of("\n".join(islice((record.body, *said), 65)))
