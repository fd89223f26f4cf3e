"""`plumb lexicon`: the terms of a domain, from files, from the corpus and by a person's word, and its tokenizer's report."""

from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer
from rich.table import Table
from rich.text import Text

from contracts.lexicon import LexiconAdded, LexiconDecision, LexiconEntry, LexiconListing
from contracts.tokenizers import TokenizerReport
from shared.cli import screen
from shared.cli.client import answer_of, client_of, daemon, request_of
from shared.cli.errors import ArgumentRefused, FileRefused, PackageMissing
from shared.cli.ingest_text import encoding_named
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.target import target_of
from shared.embedded.layout import layout_of
from shared.files import write_atomically

BUILDER = "tokenizer-builder"
PACKAGES = ("jinja2", "matplotlib")
DEFAULT_OUTPUT = Path("plumbline-tokenizer.html")
NUM_SHOWN = 30
"""Terms of each status that the page shows."""

group = typer.Typer(no_args_is_help=True, help="The terms of a domain, and its tokenizer's report.")


class Status(StrEnum):
    """What became of a term."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    PROPOSED = "proposed"
    FILTERED = "filtered"
    REJECTED = "rejected"


File = Annotated[Path, typer.Argument(help="One term a line: plain, `word freq tag`, term<TAB>df, CSV or JSON.")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Of the file, e.g. gb18030; else UTF-8.")]
Term = Annotated[str, typer.Argument(help="The term, as it stands in the text.")]
WithStatus = Annotated[Status | None, typer.Option("--status", help="Only terms of this status.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=20_000, help="At most so many.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        dir_okay=False,
        help=f"The file to write; it is replaced. Else {DEFAULT_OUTPUT}, and JSON goes to the terminal.",
    ),
]


@group.command()
def add(
    file: File,
    *,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Add the terms of a file; they count from the next tokenizer on, and each that occurs extends the serving one."""
    content = _content(file, encoding_named(encoding))
    layout = layout_of(state_dir)
    target = target_of(layout)
    with client_of(target, layout, BUILDER) as client:
        headers = {**target.as_operator(), "content-type": "text/plain; charset=utf-8"}
        response = client.post(f"/v1/domains/{domain}/lexicon/terms", content=content, headers=headers)
        added = answer_of(response, LexiconAdded)
    if as_json:
        screen.show_json(added)
    else:
        typer.echo(f"{added.num_terms:,} terms, {added.num_new:,} of them new. Next: `plumb lexicon list`")


@group.command(name="list")
def list_terms(
    *,
    status: WithStatus = None,
    limit: Limit = 50,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """List terms: users' and mined ones, what waits for a person, and what was filtered, each with the reason."""
    asked: dict[str, str | int] = {"limit": limit, **({"status": status.value} if status else {})}
    with daemon(layout_of(state_dir), BUILDER) as client:
        listing = answer_of(client.get(f"/v1/domains/{domain}/lexicon", params=asked), LexiconListing)
    if as_json:
        screen.show_json(listing)
        return
    table = Table(box=None, pad_edge=False)
    # A term is copied from here into the next command: a long one takes two lines, and all of it is seen.
    table.add_column("term", overflow="fold")
    for heading in ("status", "from", "score", "count"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why")
    for entry in listing.entries:
        table.add_row(*map(Text, _cells(entry)))
    screen.stdout().print(table)
    numbers = ", ".join(f"{number:,} {name}" for name, number in sorted(listing.num_entries.items())) or "no terms yet"
    typer.echo(f"{numbers}; lexicon {screen.short(listing.version_digest)}")


@group.command()
def accept(
    term: Term, *, domain: Domain = DEFAULT_DOMAIN, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False
) -> None:
    """Accept a term: it shall be one token."""
    _decide(term, "accept", domain=domain, state_dir=state_dir, as_json=as_json)


@group.command()
def reject(
    term: Term, *, domain: Domain = DEFAULT_DOMAIN, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False
) -> None:
    """Reject a term: the next tokenizer that is built does without it."""
    _decide(term, "reject", domain=domain, state_dir=state_dir, as_json=as_json)


@group.command()
def report(
    *,
    output: Output = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Write the last tokenizer's report, one HTML file: what it makes of held-out text, and why it is this one."""
    missing = [] if as_json else [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise PackageMissing(
            f"A page needs {' and '.join(missing)}, which the daemons do not.",
            next_step="pip install 'jinja2>=3.1' 'matplotlib>=3.10', or take --json.",
        )
    path = output or DEFAULT_OUTPUT
    if not path.absolute().parent.is_dir():
        raise ArgumentRefused(f"There is no folder {path.parent}.", next_step="Make it, or name another --output.")
    with daemon(layout_of(state_dir), BUILDER) as client:
        told = answer_of(client.get(f"/v1/domains/{domain}/tokenizer-report"), TokenizerReport)
        if as_json:
            if output is None:
                screen.show_json(told)
            else:
                write_atomically(output, told.model_dump_json().encode())
            return
        entries = {status.value: _entries(client, domain, status) for status in Status}
    title, now = f"Tokenizer {screen.short(told.tokenizer_digest)}", datetime.now(UTC)
    page: str = import_module("shared.report.tokenizer_page").page(told, entries=entries, title=title, written_at=now)
    write_atomically(path, page.encode())
    typer.echo(f"Tokenizer {screen.short(told.tokenizer_digest)}: {path}")


def _content(file: Path, encoding: str | None) -> bytes:
    """Return a file in UTF-8; one whose encoding was not named goes as it is."""
    try:
        content = file.read_bytes()
        return content.decode(encoding).encode() if encoding else content
    except OSError as error:
        raise FileRefused(
            f"{file} cannot be read: {error.strerror}.", next_step="Name a file of terms, one a line."
        ) from error
    except UnicodeError as error:
        raise FileRefused(
            f"{file} is not text in {encoding}; nothing was sent.",
            next_step="Common ones: utf-8, gb18030, big5, utf-16.",
        ) from error


def _decide(term: str, decision: Literal["accept", "reject"], *, domain: str, state_dir: Path, as_json: bool) -> None:
    request = request_of(LexiconDecision, term=term, decision=decision)
    layout = layout_of(state_dir)
    target = target_of(layout)
    with client_of(target, layout, BUILDER) as client:
        body = request.model_dump(mode="json")
        response = client.post(f"/v1/domains/{domain}/lexicon/decisions", json=body, headers=target.as_operator())
        entry = answer_of(response, LexiconEntry)
    if as_json:
        screen.show_json(entry)
    else:
        typer.echo(f"{entry.term}: {entry.status} ({entry.reason})")


def _entries(client: httpx.Client, domain: str, status: Status) -> tuple[LexiconEntry, ...]:
    asked: dict[str, str | int] = {"status": status.value, "limit": NUM_SHOWN}
    return answer_of(client.get(f"/v1/domains/{domain}/lexicon", params=asked), LexiconListing).entries


def _cells(entry: LexiconEntry) -> tuple[str, ...]:
    score = "-" if entry.score is None else f"{entry.score:.2f}"
    count = "-" if entry.count is None else f"{entry.count:,}"
    return (entry.term, entry.status, entry.origin, score, count, entry.reason or "")
