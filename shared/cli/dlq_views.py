"""Dead letters as `plumb dlq` shows them: lines and tables for people, models for programs."""

import base64
import json
from collections.abc import Sequence
from contextlib import suppress

from pydantic import AwareDatetime, BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from shared.cli.dlq_letters import DeadLetter, Record, counts

MAX_BODY_CHARS = 20_000
"""Characters of a body that people are shown; `--json` has all of it."""
TIME = "%Y-%m-%d %H:%M:%S %Z"


class LetterView(BaseModel):
    """A letter for programs."""

    model_config = ConfigDict(frozen=True)

    id: str
    topic: str
    partition: int
    offset: int
    at: AwareDatetime
    event_id: str | None
    error_type: str
    reason: str
    next_step: str
    service: str
    origin: str
    replayed_at: AwareDatetime | None


class Letters(BaseModel):
    """What `plumb dlq list --json` and `plumb dlq replay --json` print."""

    model_config = ConfigDict(frozen=True)

    letters: tuple[LetterView, ...]


class WholeLetter(LetterView):
    """What `plumb dlq show --json` prints: `body` is text, or else `body_base64` holds the bytes."""

    key: str | None
    headers: tuple[tuple[str, str], ...]
    body: str | None
    body_base64: str | None


def overview(letters: Sequence[DeadLetter], shown: Sequence[DeadLetter]) -> RenderableType:
    """Return the list for people: the letters that are shown, then the numbers of all."""
    if not letters:
        return "no dead letters"
    by_topic = Table("topic", "waiting", "replayed", box=None, header_style="dim")
    for name, (waiting, replayed) in counts(letters).items():
        by_topic.add_row(name, f"{waiting:,}", f"{replayed:,}")
    next_step = "Next: `plumb dlq show ID`; once the reason is gone, `plumb dlq replay ID`"
    return Group(*(_line(letter) for letter in shown), by_topic, next_step)


def _line(letter: DeadLetter) -> str:
    mark = f" [green]replayed {letter.replayed_at:{TIME}}[/]" if letter.replayed_at else ""
    next_step = f"\n  [bold]next[/] {_safe(letter.next_step)}" if letter.next_step else ""
    return (
        f"[bold]{letter.place}[/] {letter.at:{TIME}} event {_safe(letter.event_id or 'unknown')}{mark}\n"
        f"  [red]{_safe(letter.error_type)}[/] in {_safe(letter.service)}: {_safe(letter.reason)}{next_step}"
    )


def details(letter: DeadLetter, record: Record) -> RenderableType:
    """Return everything about a letter for people."""
    headers = Table("header", "value", box=None, header_style="dim")
    for name, value in record.headers:
        headers.add_row(_safe(name), _safe((value or b"").decode(errors="replace")))
    where = f"  came from {_safe(letter.origin)} in {letter.topic.name}; key {_safe(_text(record.key) or 'none')}"
    return Group(_line(letter), where, headers, "\n" + _safe(_pretty(record.body), keep="\n\t"))


def _pretty(body: bytes | None) -> str:
    """Return a body for people: JSON indented, other text as it is, bytes by their number."""
    if not body:
        return "no body"
    text = _text(body)
    if text is None:
        return f"{len(body):,} bytes that are no text; `--json` has them"
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return (
        text
        if len(text) <= MAX_BODY_CHARS
        else f"{text[:MAX_BODY_CHARS]}\n... {len(text):,} characters; `--json` has all"
    )


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _safe(text: str, *, keep: str = "") -> str:
    """Return text that was sent by anybody so that it can neither steer the terminal nor be taken for markup."""
    return escape("".join(char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text))


def letter_view(letter: DeadLetter) -> LetterView:
    """Return a letter for programs."""
    return LetterView.model_validate(_fields(letter))


def whole_view(letter: DeadLetter, record: Record) -> WholeLetter:
    """Return a letter with its headers and body for programs."""
    body = _text(record.body)
    return WholeLetter.model_validate(
        {
            **_fields(letter),
            "key": _text(record.key),
            "headers": [(name, (value or b"").decode(errors="replace")) for name, value in record.headers],
            "body": body,
            "body_base64": base64.b64encode(record.body or b"").decode() if body is None else None,
        }
    )


def _fields(letter: DeadLetter) -> dict[str, object]:
    place = letter.place
    return {
        **vars(letter), "id": str(place), "topic": letter.topic.name, "partition": place.partition, "offset": place.offset
    }  # fmt: skip
