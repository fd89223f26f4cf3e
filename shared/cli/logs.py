"""`plumb logs`: log records of all daemons, by words, service, level and time; or how often which message came."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contracts.lookup import Level, LogLine, LogLines, LogPatternCount, LogPatterns
from shared.cli import screen
from shared.cli.client import answer_of, daemon
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.clock import SystemClock
from shared.embedded.layout import layout_of

MAX_VALUE_CHARS = 200
HIDDEN = frozenset({"exception.stacktrace", "exception.type", "log.template"})
"""Attributes that a line does not show; of a stack trace, its last line is shown."""
LEVEL_STYLES = {"debug": "dim", "trace": "dim", "warning": "yellow", "error": "red", "fatal": "red bold"}

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parsed_since(text: str | None) -> datetime | None:
    """Return the time that `15m`, `2h`, `7d` or an ISO time means; one without an offset is local.

    Raises:
        typer.BadParameter: It means none.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return SystemClock().now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        msg = f"{text!r} is no time: 30s, 15m, 2h, 7d, or e.g. 2026-11-22T15:00."
        raise typer.BadParameter(msg) from error


def _checked_since(text: str | None) -> str | None:
    parsed_since(text)
    return text


Words = Annotated[list[str] | None, typer.Argument(help="Words that must all occur; a* finds what begins with a.")]
Service = Annotated[str | None, typer.Option("--service", help="Only this daemon's.")]
LeastLevel = Annotated[Level | None, typer.Option("--level", help="This level and worse.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Not before: 30s, 15m, 2h, 7d ago, or an ISO time.", callback=_checked_since),
]
TraceId = Annotated[str | None, typer.Option("--trace", help="Only within this trace.")]
Patterns = Annotated[
    bool, typer.Option("--patterns", help="Count messages by service; of warnings and worse by default.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines, the newest.")]


def logs(  # noqa: PLR0913 (each is an option)
    words: Words = None,
    *,
    service: Service = None,
    level: LeastLevel = None,
    since: Since = None,
    trace: TraceId = None,
    patterns: Patterns = False,
    limit: Limit = 50,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show log records of all daemons, by words in Chinese or English, service, level, time or trace."""
    after = parsed_since(since)
    asked = {
        "words": " ".join(words or ()), "service": service, "level": level, "since": after.isoformat() if after else None,
        "trace_id": trace, "limit": limit,
    }  # fmt: skip
    given = {name: value for name, value in asked.items() if value}
    found: LogLines | LogPatterns
    with daemon(layout_of(state_dir), "monitor") as client:
        if patterns:
            found = answer_of(client.get("/v1/log-patterns", params=given), LogPatterns)
        else:
            found = answer_of(client.get("/v1/logs", params=given), LogLines)
    if as_json:
        screen.show_json(found)
    elif isinstance(found, LogPatterns):
        _show_patterns(found.patterns)
    else:
        _show_lines(found.logs)


def _show_lines(found: Iterable[LogLine]) -> None:
    lines = list(found)
    # Oldest first, as in a file: the newest stands where the eye is.
    for line in reversed(lines):
        screen.stdout().print(text_of(line, with_trace=True), soft_wrap=True)
    if not lines:
        screen.stderr().print("no log record fits")


def _show_patterns(found: tuple[LogPatternCount, ...]) -> None:
    if found:
        screen.stdout().print(patterns_table(found))
    else:
        screen.stderr().print("no log record fits")


def text_of(line: LogLine, *, with_trace: bool) -> Text:
    """Return a log record as one line: time (UTC), level, service, message, what else it says, its trace."""
    text = Text(f"{line.at:%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03} ", style="dim")
    text.append(f"{line.level:<7} ", style=LEVEL_STYLES.get(line.level, ""))
    text.append(f"{line.service} ", style="cyan")
    text.append(_one_line(line.message), style="bold" if line.level in {"error", "fatal"} else "default")
    for name, value in line.attributes.items():
        if name not in HIDDEN:
            text.append(f" {name}=", style="dim").append(_one_line(str(value)), style="default")
    if stack := str(line.attributes.get("exception.stacktrace", "")).strip():
        text.append(f" {_one_line(stack.splitlines()[-1])}", style="red")
    if with_trace and line.trace_id:
        text.append(f" trace={line.trace_id}", style="dim")
    return text


def patterns_table(found: tuple[LogPatternCount, ...]) -> Table:
    """Return patterns, the most frequent first."""
    table = Table("count", "level", "service", "pattern", "first seen", "last seen", box=None, header_style="dim")
    for row in found:
        style = LEVEL_STYLES.get(row.example.level, "default")
        table.add_row(
            f"{row.count:,}", f"[{style}]{row.example.level}[/]", escape(row.service), escape(_one_line(row.pattern)),
            f"{row.first_seen:%m-%d %H:%M:%S}", f"{row.last_seen:%m-%d %H:%M:%S}",
        )  # fmt: skip
    return table


def _one_line(text: str) -> str:
    """Return a text that stays on its line and does nothing to the terminal."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= MAX_VALUE_CHARS else f"{shown[:MAX_VALUE_CHARS]}..."
