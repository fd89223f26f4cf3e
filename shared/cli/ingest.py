"""`plumb ingest`: documents from JSONL files to the mesh."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import BaseModel, ConfigDict
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from contracts.api import BatchReceipt
from shared.cli import screen
from shared.cli.batches import batches_of, check_file
from shared.cli.client import answer_of, daemon
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.uploads import remember
from shared.embedded.layout import Layout, layout_of

Files = Annotated[list[Path], typer.Argument(help="JSONL files.", exists=True, dir_okay=False, readable=True)]


class Receipts(BaseModel):
    """What `plumb ingest --json` prints."""

    model_config = ConfigDict(frozen=True)

    batches: tuple[BatchReceipt, ...]


def ingest(
    files: Files,
    *,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Send documents: one JSON object a line with document_id and text, and if you have them label, group, published_on.

    Every line is checked before the first is sent.
    """
    layout = layout_of(state_dir)
    num_bytes = sum(check_file(path).num_bytes for path in files)
    with daemon(layout, "ingest") as client:
        receipts = _send_all(client, files, layout, domain=domain, num_bytes=num_bytes)
    if as_json:
        screen.show_json(Receipts(batches=receipts))
        return
    for receipt in receipts:
        typer.echo(f"batch {receipt.batch_id}  {receipt.num_documents:,} documents  {receipt.num_bytes:,} bytes")
    num_documents = sum(receipt.num_documents for receipt in receipts)
    typer.echo(f"{num_documents:,} documents stored in {len(receipts)} batches. Next: `plumb status --watch`")


def _send_all(
    client: httpx.Client, files: list[Path], layout: Layout, *, domain: str, num_bytes: int
) -> tuple[BatchReceipt, ...]:
    """Send all batches; those that are stored are remembered, even where a later one fails."""
    receipts: list[BatchReceipt] = []
    try:
        receipts.extend(_sent(client, files, domain=domain, num_bytes=num_bytes))
    finally:
        if receipts:
            remember(layout, domain, [receipt.batch_id for receipt in receipts])
    return tuple(receipts)


def _sent(client: httpx.Client, files: list[Path], *, domain: str, num_bytes: int) -> Iterator[BatchReceipt]:
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen.stderr(), transient=True) as progress:
        task = progress.add_task("sending", total=num_bytes)
        for path in files:
            for batch in batches_of(path):
                response = client.post(
                    f"/v1/domains/{domain}/batches",
                    content=batch.body,
                    headers={"content-type": "application/x-ndjson"},
                )
                yield answer_of(response, BatchReceipt)
                progress.advance(task, len(batch.body))
