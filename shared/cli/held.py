"""`plumb batches`: what ingest holds for a person, what the person says of it, and what it refused."""

import sys
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import RenderableType

from contracts.api import BatchDecision, BatchReceipt, HeldBatch, HeldBatches
from shared.cli import screen
from shared.cli.batch_statistics import statistics
from shared.cli.client import answer_of, check, client_of, daemon, request_of
from shared.cli.errors import ArgumentRefused
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir, checked_domain
from shared.cli.tables import Column, readable
from shared.cli.target import target_of
from shared.embedded.layout import layout_of

group = typer.Typer(no_args_is_help=True, help="What batches hold, which wait for you, and what was refused.")
group.command()(statistics)

BatchId = Annotated[UUID, typer.Argument(metavar="ID", help="A batch's id, as `plumb ingest` prints it.")]
BatchIds = Annotated[
    list[UUID] | None, typer.Argument(metavar="[ID]...", help="Ids, as `plumb batches held` shows them; or say --all.")
]
Everything = Annotated[bool, typer.Option("--all", help="All that wait.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record; at most 500 characters.")]
By = Annotated[str, typer.Option("--by", help="Who decides, for the record.")]
Output = Annotated[Path | None, typer.Option("--output", help="A file instead of standard output.", dir_okay=False)]
OfDomain = Annotated[str | None, typer.Option("--domain", help="Only this domain's.")]


class Decided(BaseModel):
    """What `plumb batches accept --json` and `reject --json` print."""

    model_config = ConfigDict(frozen=True)

    batches: tuple[BatchReceipt, ...]


@group.command()
def held(*, domain: OfDomain = None, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False) -> None:
    """List the batches that differ from what their domain got so far and wait for you, each with the reasons."""
    with daemon(layout_of(state_dir), "ingest") as client:
        params = {"domain": checked_domain(domain)} if domain else {}
        found = answer_of(client.get("/v1/batches/held", params=params), HeldBatches)
    if as_json:
        screen.show_json(found)
    else:
        console = screen.stdout()
        console.print(held_table(found.batches, width=console.width) if found.batches else "no batch waits")


@group.command()
def accept(
    batch_ids: BatchIds = None,
    *,
    everything: Everything = False,
    reason: Reason = "",
    by: By = "the operator",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Let held batches go on to the cleaner; such batches are less far away from then on."""
    _decide("accept", batch_ids or [], everything=everything, said=(by, reason), state_dir=state_dir, as_json=as_json)


@group.command()
def reject(
    batch_ids: BatchIds = None,
    *,
    everything: Everything = False,
    reason: Reason = "",
    by: By = "the operator",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Keep held batches away from the corpus for good; their documents stay stored, with who decided and why."""
    _decide("reject", batch_ids or [], everything=everything, said=(by, reason), state_dir=state_dir, as_json=as_json)


@group.command()
def refused(batch_id: BatchId, *, output: Output = None, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Print the records that were left out beside a batch as JSONL: line, reason, and what came."""
    with daemon(layout_of(state_dir), "ingest") as client:
        answer = client.get(f"/v1/batches/{batch_id}/refused")
        check(answer)
    if output is None:
        sys.stdout.write(answer.content.decode())
    else:
        output.write_bytes(answer.content)
        num_records = len(answer.content.splitlines())
        typer.echo(f"{num_records:,} records in {output}")


def held_table(batches: tuple[HeldBatch, ...], *, width: int) -> RenderableType:
    """Return held batches for people, for a terminal so wide."""
    return readable(
        (
            # An id is copied from here into the next command: all of it must be seen.
            Column(heading="batch", cells=[str(one.batch_id) for one in batches]),
            Column(heading="domain", cells=[one.domain for one in batches], rank=1),
            Column(heading="received", cells=[f"{one.received_at:%Y-%m-%d %H:%M}" for one in batches]),
            Column(heading="documents", cells=[f"{one.num_documents:,}" for one in batches], is_number=True),
            Column(heading="why it waits", cells=["; ".join(one.reasons) for one in batches], rank=2),
        ),
        width=width,
    )


def _decide(
    verb: Literal["accept", "reject"],
    batch_ids: list[UUID],
    *,
    everything: bool,
    said: tuple[str, str],
    state_dir: Path,
    as_json: bool,
) -> None:
    if bool(batch_ids) == everything:
        raise ArgumentRefused("Say which batches: ids, or --all.", next_step="`plumb batches held` shows what waits.")
    decision = request_of(BatchDecision, by=said[0], reason=said[1])
    layout = layout_of(state_dir)
    target = target_of(layout)
    receipts = []
    with client_of(target, layout, "ingest") as client:
        if everything:
            batch_ids = [one.batch_id for one in answer_of(client.get("/v1/batches/held"), HeldBatches).batches]
        for batch_id in batch_ids:
            answer = client.post(
                f"/v1/batches/{batch_id}/{verb}", json=decision.model_dump(mode="json"), headers=target.as_operator()
            )
            receipts.append(answer_of(answer, BatchReceipt))
            if not as_json:
                typer.echo(f"batch {batch_id}  {receipts[-1].num_documents:,} documents  {receipts[-1].state}")
    if as_json:
        screen.show_json(Decided(batches=tuple(receipts)))
