"""`plumb ingest`: documents from files to the mesh."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import BaseModel, ConfigDict
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from contracts.api import BatchReceipt
from shared.cli import screen
from shared.cli.batches import Census, Reading, batches_of, check, runs_of
from shared.cli.client import answer_of, daemon
from shared.cli.ingest_columns import columns_given
from shared.cli.ingest_files import STDIN, Format, Source, readable_twice, source_of
from shared.cli.ingest_text import Split, encoding_named
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.uploads import remember
from shared.embedded.layout import Layout, layout_of

FILE_HELP = (
    "JSONL, CSV, Parquet or plain text by their names, also .gz and .zst of these; - is JSONL from standard input."
)


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
Encoding = Annotated[str | None, typer.Option("--encoding", help="Of CSV and plain text, e.g. gb18030; else UTF-8.")]
SplitBy = Annotated[Split, typer.Option("--split", help="What of a plain text file is a document.")]


class Receipts(BaseModel):
    """What `plumb ingest --json` prints."""

    model_config = ConfigDict(frozen=True)

    batches: tuple[BatchReceipt, ...]


def ingest(
    files: Files,
    *,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    split: SplitBy = Split.FILE,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Send documents from JSONL, CSV, Parquet or text files: document_id and text; label, group, published_on if you have them.

    Every document is checked before the first is sent. The same files again add nothing twice.
    """
    layout = layout_of(state_dir)
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding), split=split)
    with readable_twice([source_of(path, format_given) for path in files]) as sources:
        census = _checked(sources, reading)
        with daemon(layout, "ingest") as client:
            receipts = _send_all(client, sources, reading, layout, domain=domain, census=census)
    if as_json:
        screen.show_json(Receipts(batches=receipts))
        return
    for receipt in receipts:
        typer.echo(f"batch {receipt.batch_id}  {receipt.num_documents:,} documents  {receipt.num_bytes:,} bytes")
    num_documents = sum(receipt.num_documents for receipt in receipts)
    typer.echo(f"{num_documents:,} documents stored in {len(receipts)} batches. Next: `plumb status --watch`")


def _checked(sources: Sequence[Source], reading: Reading) -> Census:
    columns = (SpinnerColumn(), TextColumn("checking, {task.completed:,.0f} documents"))
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("checking", total=None)
        return check(sources, reading, lambda num_documents: progress.advance(task, num_documents))


def _send_all(
    client: httpx.Client, sources: Sequence[Source], reading: Reading, layout: Layout, *, domain: str, census: Census
) -> tuple[BatchReceipt, ...]:
    """Send all batches; those that are stored are remembered, even where a later one fails."""
    receipts: list[BatchReceipt] = []
    try:
        receipts.extend(_sent(client, sources, reading, domain=domain, num_bytes=census.num_bytes))
    finally:
        if receipts:
            remember(layout, domain, [receipt.batch_id for receipt in receipts])
        if len(receipts) < census.num_batches:
            screen.stderr().print(
                f"{len(receipts)} of {census.num_batches} batches are stored. The same command again sends the rest, and "
                "adds nothing twice."
            )
    return tuple(receipts)


def _sent(
    client: httpx.Client, sources: Sequence[Source], reading: Reading, *, domain: str, num_bytes: int
) -> Iterator[BatchReceipt]:
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("sending", total=num_bytes)
        for run in runs_of(sources, reading):
            for batch in batches_of(run, reading):
                response = client.post(
                    f"/v1/domains/{domain}/batches",
                    content=batch.body,
                    headers={"content-type": "application/x-ndjson"},
                )
                yield answer_of(response, BatchReceipt)
                progress.advance(task, len(batch.body))
