"""`plumb status`: processes from mesh.json or the daemons themselves, everything else from the monitor."""

import time
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.live import Live

from contracts.api import HeldBatch, HeldBatches, MeshStatus
from shared.cli import screen
from shared.cli.client import answer_of, client_of
from shared.cli.errors import DaemonUnreachable, ProblemAnswered
from shared.cli.health import DaemonHealth, health_of
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.cli.panels import daemons_table, dead_letters_table, domain_panel, processes_table
from shared.cli.target import Target, target_of
from shared.embedded.errors import MeshNotRunning
from shared.embedded.layout import Layout, layout_of
from shared.embedded.record import MeshRecord

REFRESH_S = 1.0
HELD_TIMEOUT_S = 5.0

Watch = Annotated[bool, typer.Option("--watch", help="Refresh every second until Ctrl-C.")]


class Status(BaseModel):
    """What `plumb status --json` prints.

    Attributes:
        mesh: The processes; None of a mesh that runs elsewhere.
        daemons: What the daemons of a mesh that runs elsewhere say of themselves.
        domains: What the monitor knows of stages, releases and alerts; None while it cannot be asked.
        held: Batches that wait for a person; none while ingest cannot be asked.
    """

    model_config = ConfigDict(frozen=True)

    mesh: MeshRecord | None
    daemons: tuple[DaemonHealth, ...] = ()
    domains: MeshStatus | None
    held: tuple[HeldBatch, ...] = ()


def status(*, watch: Watch = False, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False) -> None:
    """Show stages, release, alerts, processes, and what is missing for the next training."""
    layout = layout_of(state_dir)
    if watch and not as_json:
        _watch(layout)
        return
    target = target_of(layout)
    try:
        domains, failure = ask_monitor(target, layout), None
    except (DaemonUnreachable, ProblemAnswered) as error:
        domains, failure = None, error
    if as_json:
        daemons = () if target.record else health_of(target)
        held = ask_ingest(target, layout)
        screen.show_json(Status(mesh=target.record, daemons=daemons, domains=domains, held=held))
    else:
        screen.stdout().print(view(target, domains, ask_ingest(target, layout)))
    if failure:
        raise failure


def ask_monitor(target: Target, layout: Layout) -> MeshStatus:
    """Return what the monitor knows."""
    with client_of(target, layout, "monitor") as client:
        return answer_of(client.get("/v1/status"), MeshStatus)


def ask_ingest(target: Target, layout: Layout) -> tuple[HeldBatch, ...]:
    """Return the batches that wait for a person; none where ingest cannot be asked."""
    try:
        with client_of(target, layout, "ingest") as client:
            return answer_of(client.get("/v1/batches/held", timeout=HELD_TIMEOUT_S), HeldBatches).batches
    except (MeshNotRunning, DaemonUnreachable, ProblemAnswered):
        return ()


def view(target: Target, domains: MeshStatus | None, held: tuple[HeldBatch, ...] = ()) -> RenderableType:
    """Return the whole status for people."""
    processes: RenderableType = processes_table(target.record) if target.record else daemons_table(health_of(target))
    if held:
        processes = Group(processes, f"[yellow]{len(held)} batches wait for you.[/] Next: `plumb batches held`")
    if domains is None:
        return processes
    panels = [domain_panel(domain, now=domains.at) for domain in domains.domains]
    dead = [dead_letters_table(domains.dead_letters)] if domains.dead_letters else []
    return Group(processes, *(panels or ["no documents yet. Next: `plumb ingest FILE...`"]), *dead)


def _watch(layout: Layout) -> None:
    with Live(console=screen.stdout(), screen=False, auto_refresh=False) as live:
        while True:
            target = target_of(layout)
            try:
                live.update(view(target, ask_monitor(target, layout), ask_ingest(target, layout)), refresh=True)
            except (DaemonUnreachable, ProblemAnswered) as error:
                live.update(Group(view(target, None), f"[yellow]{error}[/]"), refresh=True)
            time.sleep(REFRESH_S)
