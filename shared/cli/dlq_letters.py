"""Dead letters as they lie on their topics: what each one says, and which have been replayed. Pure.

That a letter was replayed is a record of its own on the letter's partition, with the letter's place in its header
`plumbline_replayed` and without a body. So the mark lies where the letter lies, is kept as long, needs no state elsewhere, and
whoever reads the topic sees it. A group's committed offset would not do: letters are replayed one by one and in any order.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.topics import TOPICS, Topic
from shared.cli.errors import LetterReplayed, LetterTruncated, UnknownLetter

REPLAYED_HEADER = "plumbline_replayed"
REASON_HEADERS = frozenset(
    {
        "plumbline_error_type",
        "plumbline_error",
        "plumbline_next_step",
        "plumbline_service",
        "plumbline_origin",
        "plumbline_headers",
        "plumbline_original_bytes",
    }
)
"""What the bus adds to a message that it dead-letters."""
TOPICS_WITH_LETTERS = {topic.dead_letter_name: topic for topic in TOPICS if topic.has_dead_letters}
_PLACE = re.compile(r"(?P<name>[\w.-]+)/(?P<partition>\d+)/(?P<offset>\d+)")

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where a letter lies; written `TOPIC-dlq/PARTITION/OFFSET`."""

    name: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.name}/{self.partition}/{self.offset}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of a dead-letter topic."""

    place: Place
    at: datetime
    key: bytes | None
    headers: Headers
    body: bytes | None


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """What is known of a letter without its body.

    Attributes:
        topic: Where the message came from, and goes when it is replayed.
        at: When it was dead-lettered.
        origin: Where the message lay, `topic/partition/offset`; two groups that both refused it made two letters of one origin.
        service: The daemon that refused it.
        replayed_at: When it was replayed; None: not yet.
    """

    place: Place
    topic: Topic
    at: datetime
    event_id: str | None
    error_type: str
    reason: str
    next_step: str
    service: str
    origin: str
    replayed_at: datetime | None = None


def place_of(text: str) -> Place:
    """Return the place that a letter's id names.

    Raises:
        UnknownLetter: It names none.
    """
    found = _PLACE.fullmatch(text)
    if not found or found["name"] not in TOPICS_WITH_LETTERS:
        raise UnknownLetter(
            f"{text!r} is no dead letter's id.",
            next_step="`plumb dlq list` shows the ids, e.g. batch-received-v1-dlq/2/0.",
        )
    return Place(found["name"], int(found["partition"]), int(found["offset"]))


def mark_of(place: Place) -> Headers:
    """Return the headers of the record that says that a letter was replayed."""
    return ((REPLAYED_HEADER, str(place).encode()),)


def marked(record: Record) -> str | None:
    """Return the id of the letter that a record marks as replayed; None: it is a letter itself."""
    return _texts(record.headers).get(REPLAYED_HEADER)


def letter_of(record: Record) -> DeadLetter:
    """Return what a record says as a letter, whoever wrote it: what is missing is said to be unknown."""
    headers = _texts(record.headers)
    return DeadLetter(
        place=record.place,
        topic=TOPICS_WITH_LETTERS[record.place.name],
        at=record.at,
        event_id=headers.get("ce_id") or _event_id(record.body),
        error_type=headers.get("plumbline_error_type", "unknown"),
        reason=headers.get("plumbline_error", "no reason was given"),
        next_step=headers.get("plumbline_next_step", ""),
        service=headers.get("plumbline_service", "unknown"),
        origin=headers.get("plumbline_origin", "unknown"),
    )


def check_whole(record: Record) -> None:
    """Let a letter pass that holds all of its message.

    Raises:
        LetterTruncated: It holds the beginning only; sent again, it would be another message.
    """
    headers = _texts(record.headers)
    if (size := headers.get("plumbline_original_bytes")) is not None:
        raise LetterTruncated(
            f"{record.place} holds only the first {len(record.body or b''):,} of {size} bytes of its message.",
            next_step=f"The whole message lies at {headers.get('plumbline_origin', 'its origin')} while its topic keeps it; "
            "have its producer send it again in parts.",
        )


def original_headers(record: Record) -> Headers:
    """Return the headers that the message had before it was dead-lettered, in their order."""
    came_with = _names(_texts(record.headers).get("plumbline_headers"))
    return tuple(
        (name, value)
        for name, value in record.headers
        if name not in REASON_HEADERS and (came_with is None or name in came_with)
    )


def with_marks(letters: Iterable[DeadLetter], replayed_at: Mapping[str, datetime]) -> tuple[DeadLetter, ...]:
    """Return the letters, oldest first, each with the time at which it was replayed.

    Args:
        letters: As they were read.
        replayed_at: By the letter's id.
    """
    found = (replace(letter, replayed_at=replayed_at.get(str(letter.place))) for letter in letters)
    return tuple(sorted(found, key=lambda letter: (letter.at, letter.place)))


def one_of_each_message(letters: Iterable[DeadLetter]) -> list[list[DeadLetter]]:
    """Return the letters by message: what two groups refused is one message, and goes back to its topic once."""
    groups: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        # A letter of unknown origin is a message of its own.
        key = str(letter.place) if letter.origin == "unknown" else f"{letter.origin} {letter.event_id}"
        groups.setdefault(key, []).append(letter)
    return list(groups.values())


def chosen_of(letters: Sequence[DeadLetter], place: Place | None, *, again: bool) -> list[DeadLetter]:
    """Return the letters that are to be replayed: all that wait, or those of the message whose letter lies at a place.

    Args:
        letters: Of the topics in question.
        place: Names one letter.
        again: Replay what was replayed before, too.

    Raises:
        UnknownLetter: No letter lies at the place.
        LetterReplayed: It was replayed before.
    """
    waiting = [letter for letter in letters if again or letter.replayed_at is None]
    if place is None:
        return waiting
    named = next((letter for letter in letters if letter.place == place), None)
    if named is None:
        raise UnknownLetter(f"No dead letter lies at {place}.", next_step="`plumb dlq list --all` shows what there is.")
    if named.replayed_at is not None and not again:
        raise LetterReplayed(
            f"{place} was replayed at {named.replayed_at.isoformat(timespec='seconds')}.",
            next_step="Look at `plumb dlq list` for a newer letter of it; `--again` replays it all the same.",
        )
    return next(message for message in one_of_each_message(waiting) if named in message)


def counts(letters: Sequence[DeadLetter]) -> dict[str, tuple[int, int]]:
    """Return, by topic, how many letters wait and how many were replayed."""
    found: dict[str, tuple[int, int]] = {}
    for letter in letters:
        waiting, replayed = found.get(letter.topic.name, (0, 0))
        found[letter.topic.name] = (waiting, replayed + 1) if letter.replayed_at else (waiting + 1, replayed)
    return dict(sorted(found.items()))


def _texts(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in headers}


def _names(listed: str | None) -> list[str] | None:
    """Return the names that a letter lists; None: it lists none that can be read."""
    try:
        names = json.loads(listed or "null")
    except (ValueError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _event_id(body: bytes | None) -> str | None:
    """Return the id that an event without CloudEvents attributes names in its body."""
    try:
        event = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return str(event["event_id"]) if isinstance(event, dict) and "event_id" in event else None
