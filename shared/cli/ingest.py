"""`plumb ingest`: documents from files to the mesh."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import httpx
import typer
from pydantic import BaseModel, ConfigDict
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from contracts.api import BatchReceipt
from shared.cli import screen
from shared.cli.batches import Reading, check, lines_of, runs_of
from shared.cli.client import daemon
from shared.cli.errors import FileRefused, RowRefused
from shared.cli.ingest_columns import columns_given
from shared.cli.ingest_files import STDIN, Format, Source, opened, readable_twice, source_of
from shared.cli.ingest_recoding import UTF8, in_utf8
from shared.cli.ingest_text import Split, encoding_named
from shared.cli.ingest_upload import Body, Watching, upload
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.uploads import remember
from shared.embedded.layout import Layout, layout_of

FILE_HELP = (
    "JSONL, CSV, Parquet or plain text by their names, also .gz and .zst of these; - is JSONL from standard input."
)
ENCODINGS = {"": "", ".gz": "gzip", ".zst": "zstd"}
NUM_SHOWN = 20
"""Rows that are left out and shown; of more, their number."""


def that_exist(paths: list[Path]) -> list[Path]:
    """Return the paths of files. Typer's own check would take `-` for a file's name.

    Raises:
        typer.BadParameter: There is no such file.
    """
    for path in paths:
        if path != STDIN and not path.exists():
            msg = f"file {path.as_posix()!r} does not exist."
            raise typer.BadParameter(msg)
    return paths


Files = Annotated[list[Path], typer.Argument(help=FILE_HELP, dir_okay=False, readable=True, callback=that_exist)]
OfFormat = Annotated[Format | None, typer.Option("--format", help="What the files are, whatever their names say.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="FIELD=COLUMN", help="Which column is which field, e.g. text=正文; may be repeated."
    ),
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Of JSONL, CSV and plain text, e.g. gb18030; else UTF-8.")
]
SplitBy = Annotated[Split, typer.Option("--split", help="What of a plain text file is a document.")]
Strict = Annotated[bool, typer.Option("--strict", help="Check all files first, and send nothing if one record is bad.")]


class Receipts(BaseModel):
    """What `plumb ingest --json` prints."""

    model_config = ConfigDict(frozen=True)

    batches: tuple[BatchReceipt, ...]


class LeftOut:
    """Rows of tables that are no documents; the first are shown as they come."""

    def __init__(self) -> None:
        self.num = 0

    def add(self, error: RowRefused) -> None:
        """Show one, or count it."""
        self.num += 1
        if self.num <= NUM_SHOWN:
            screen.stderr().print(f"[yellow]left out[/] {escape(error.what)}", soft_wrap=True)


def ingest(  # noqa: PLR0913 (options of a command)
    files: Files,
    *,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    split: SplitBy = Split.FILE,
    strict: Strict = False,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Send documents from JSONL, CSV, Parquet or text files: document_id and text; label, group, published_on if you have them.

    What is no document is left out and listed. An upload that is cut off goes on where it was, by itself or by the same command
    again. The same files again add nothing twice.
    """
    layout = layout_of(state_dir)
    left_out = LeftOut()
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding), split=split)
    if not strict:
        reading = replace(reading, on_bad=left_out.add)
    with readable_twice([source_of(path, format_given) for path in files]) as sources:
        if strict:
            _check(sources, reading)
        with daemon(layout, "ingest") as client:
            receipts = _send_all(client, sources, reading, layout, domain=domain, strict=strict)
    if as_json:
        screen.show_json(Receipts(batches=receipts))
    else:
        _tell(receipts, left_out.num)


def _check(sources: Sequence[Source], reading: Reading) -> None:
    columns = (SpinnerColumn(), TextColumn("checking, {task.completed:,.0f} documents"))
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("checking", total=None)
        check(sources, reading, lambda num_documents: progress.advance(task, num_documents))


def _send_all(
    client: httpx.Client, sources: Sequence[Source], reading: Reading, layout: Layout, *, domain: str, strict: bool
) -> tuple[BatchReceipt, ...]:
    """Send all files; the batches that are stored are remembered, even where a later file fails."""
    receipts: list[BatchReceipt] = []
    runs = runs_of(sources, reading)
    num_sent = 0
    try:
        for run in runs:
            with _body(run, reading, layout, domain=domain, strict=strict) as body:
                receipts += _sent(client, body, domain=domain, strict=strict)
            num_sent += 1
    finally:
        # What is held or rejected is never cleaned: a training would wait for it in vain.
        if accepted := [receipt.batch_id for receipt in receipts if receipt.state == "accepted"]:
            remember(layout, domain, accepted)
        if num_sent < len(runs):
            screen.stderr().print(
                f"{num_sent} of {len(runs)} uploads are stored. The same command again goes on where this one stopped, and adds "
                "nothing twice.",
                soft_wrap=True,
            )
    return tuple(receipts)


def _sent(client: httpx.Client, body: Body, *, domain: str, strict: bool) -> tuple[BatchReceipt, ...]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("sending", total=body.num_bytes)
        watching = Watching(
            sent=lambda num_bytes: progress.update(task, completed=num_bytes, description="sending"),
            read=lambda number: progress.update(task, description=f"storing, {number:,} documents"),
            waits=lambda reason: progress.update(task, description=f"waits: {escape(reason)}"),
        )
        receipt = upload(client, body, domain=domain, strict=strict, watching=watching)
    if receipt.ignored_fields:
        names = escape(", ".join(receipt.ignored_fields))
        screen.stderr().print(f"passed over, since no document has such fields: {names}", soft_wrap=True)
    return receipt.batches


@contextmanager
def _body(run: Sequence[Source], reading: Reading, layout: Layout, *, domain: str, strict: bool) -> Iterator[Body]:
    """Yield what is uploaded of files that share an upload: JSONL as it lies there, all else as JSONL in a temporary file.

    Lines of JSONL in another encoding go there unchecked, as others do: ingest tells of those that are no documents.
    """
    memory = layout.root / f"upload-{_mark_of(run, reading, domain=domain, strict=strict)}"
    if run[0].format is Format.JSONL and reading.encoding in UTF8:
        with run[0].path.open("rb") as file:
            num_bytes = run[0].path.stat().st_size
            yield Body(file=file, num_bytes=num_bytes, encoding=ENCODINGS[run[0].compression], memory=memory)
        return
    with tempfile.NamedTemporaryFile(prefix="plumb-ingest-") as file:
        num_bytes = (_recoded if run[0].format is Format.JSONL else _converted)(run, reading, file)
        yield Body(file=file, num_bytes=num_bytes, memory=memory)


def _recoded(run: Sequence[Source], reading: Reading, file: IO[bytes]) -> int:
    """Write JSONL in UTF-8; return the number of bytes."""
    for source in run:
        with opened(source) as packed, in_utf8(packed, name=source.name, encoding=reading.encoding) as lines:
            shutil.copyfileobj(lines, file)
    return file.tell()


def _converted(run: Sequence[Source], reading: Reading, file: IO[bytes]) -> int:
    """Write files as JSONL; return the number of bytes."""
    columns = (SpinnerColumn(), TextColumn("converting, {task.completed:,.0f} documents"))
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("converting", total=None)
        for source in run:
            for line in lines_of(source, reading):
                file.write(line)
                progress.advance(task)
    num_bytes = file.tell()
    if not num_bytes:
        raise FileRefused(f"{run[0].name} holds no document.", next_step="Look at its rows; see README.md.")
    return num_bytes


def _mark_of(run: Sequence[Source], reading: Reading, *, domain: str, strict: bool) -> str:
    """Return what the same command on the same files has in common, and no other."""
    files = [(str(source.path.resolve()), source.path.stat().st_size, source.path.stat().st_mtime_ns) for source in run]
    options = (sorted(reading.columns.items()), reading.encoding, reading.split.value, domain, strict)
    return hashlib.sha256(repr((files, options)).encode()).hexdigest()[:16]


def _tell(receipts: Sequence[BatchReceipt], num_left_out: int) -> None:
    for receipt in receipts:
        line = f"batch {receipt.batch_id}  {receipt.num_documents:,} documents  {receipt.num_bytes:,} bytes"
        typer.echo(line if receipt.state == "accepted" else f"{line}  {receipt.state}: {'; '.join(receipt.reasons)}")
    for receipt in receipts:
        if receipt.num_refused_documents:
            number = receipt.num_refused_documents
            typer.echo(
                f"{number:,} records were left out: `plumb batches refused {receipt.batch_id}` says which and why"
            )
    if num_left_out:
        typer.echo(f"{num_left_out:,} rows were left out before sending")
    if any(receipt.state == "held" for receipt in receipts):
        typer.echo("What is held waits for you: `plumb batches held`, then `plumb batches accept ID` or `reject ID`")
    num_documents = sum(receipt.num_documents for receipt in receipts)
    typer.echo(f"{num_documents:,} documents stored in {len(receipts)} batches. Next: `plumb status --watch`")
