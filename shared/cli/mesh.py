"""`plumb up` and `plumb down`."""

import subprocess
import time
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.live import Live

from contracts.topics import NUM_PARTITIONS
from shared.cli import screen
from shared.cli.engines import Elasticsearch, FreshTopics, Kafka, Redis, engines_of
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.cli.panels import processes_table
from shared.embedded.control import (
    already_running,
    become_supervisor,
    environment_of,
    last_words,
    running_mesh,
    start_detached,
    stop_mesh,
)
from shared.embedded.errors import MeshFailed, MeshNotRunning
from shared.embedded.layout import SUPERVISOR, Layout, layout_of
from shared.embedded.plan import GATEWAY
from shared.embedded.policy import Phase
from shared.embedded.record import MeshPhase, MeshRecord, read_record
from shared.embedded.settings import EmbeddedSettings

READY_WITHIN_S = 120.0
MAX_CRASHES = 4
"""Crashes of one process after which its start is given up."""
STOPPED_WITHIN_S = 40.0
LOOK_EVERY_S = 0.1

Foreground = Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C stops the mesh.")]
GatewayPort = Annotated[
    int | None,
    typer.Option("--gateway-port", envvar="PLUMBLINE_GATEWAY_PORT", min=1, max=65_535, help="Default: a free one."),
]

Cleaners = Annotated[
    int,
    typer.Option(
        "--cleaners",
        envvar="PLUMBLINE_CLEANERS",
        min=1,
        max=NUM_PARTITIONS,
        help="Processes of the cleaner, which share its work.",
    ),
]


def up(  # noqa: PLR0913 (each is an option of its own)
    *,
    foreground: Foreground = False,
    gateway_port: GatewayPort = None,
    cleaners: Cleaners = 1,
    kafka: Kafka = None,
    redis: Redis = None,
    elasticsearch: Elasticsearch = None,
    fresh_topics: FreshTopics = False,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Start the mesh: broker, cache and the eight daemons. It keeps running until `plumb down`."""
    layout = layout_of(state_dir)
    if is_running(layout):
        raise already_running(layout)
    environment = environment_of(
        _settings(
            layout,
            gateway_port=gateway_port,
            cleaners=cleaners,
            engines=engines_of(kafka, redis, elasticsearch, fresh_topics=fresh_topics),
        )
    )
    if foreground:
        become_supervisor(environment)
    record = _wait_until_ready(layout, start_detached(layout, environment))
    if as_json:
        screen.show_json(record)
    else:
        _say_what_next(record)


def down(*, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Stop the mesh; what it released serves again after the next `plumb up`."""
    layout = layout_of(state_dir)
    with screen.stderr().status("stopping daemons, cache, broker"):
        stopped = stop_mesh(layout, within_s=STOPPED_WITHIN_S)
    typer.echo(f"stopped the mesh in {layout.root}" if stopped else f"no mesh runs in {layout.root}")


def is_running(layout: Layout) -> bool:
    """Tell whether a supervisor holds the state directory."""
    try:
        running_mesh(layout)
    except MeshNotRunning:
        return False
    return True


def _settings(layout: Layout, **given: object) -> EmbeddedSettings:
    try:
        settings = EmbeddedSettings(state_dir=layout.root)
    except ValidationError as error:
        raise MeshFailed(
            f"A setting is wrong: {error}", next_step="Correct or unset the PLUMBLINE_* variable."
        ) from error
    return settings.model_copy(update=given)


def _wait_until_ready(layout: Layout, supervisor: subprocess.Popen[bytes]) -> MeshRecord:
    """Show the processes until all are ready.

    Raises:
        MeshFailed: The supervisor ended, a process crashes again and again, or it takes too long; nothing is left running.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    with Live(console=screen.stderr(), auto_refresh=False, transient=True) as live:
        while supervisor.poll() is None:
            record = read_record(layout.record)
            if record and record.supervisor.pid == supervisor.pid:
                live.update(processes_table(record), refresh=True)
                if record.phase is MeshPhase.READY:
                    return record
                if time.monotonic() > deadline or any(one.restarts >= MAX_CRASHES for one in record.processes):
                    stop_mesh(layout, within_s=STOPPED_WITHIN_S)
                    raise _not_ready(record)
            time.sleep(LOOK_EVERY_S)
    raise MeshFailed(f"The supervisor ended: {last_words(layout)}", next_step=f"See {layout.log(SUPERVISOR)}.")


def _not_ready(record: MeshRecord) -> MeshFailed:
    waiting = [process for process in record.processes if process.phase is not Phase.READY]
    reasons = [
        f"{process.name} ended with {process.exit_code}"
        if process.exit_code is not None
        else f"{process.name}: {process.unready_because or 'no answer'}"
        for process in waiting
    ]
    absent = [f"{engine.name} at {engine.at} does not answer" for engine in record.engines if engine.answers is False]
    if record.waits_for:
        said = "; ".join([*absent, f"the daemons wait for {record.waits_for}"])
        return MeshFailed(
            f"The mesh did not become ready, so it was stopped ({said}).",
            next_step="Start the engine that is missing, or correct its address.",
        )
    logs = ", ".join(str(process.log) for process in waiting)
    return MeshFailed(
        f"The mesh did not become ready, so it was stopped ({'; '.join([*absent, *reasons])}).",
        next_step=f"See {logs}.",
    )


def _say_what_next(record: MeshRecord) -> None:
    typer.echo(f"ready    after {record.ready_after_s:.1f} s, in {record.state_dir}")
    typer.echo(f"gateway  {record.urls[GATEWAY]}  (try /docs)")
    typer.echo(f"monitor  {record.urls['monitor']}")
    typer.echo(f"broker   {record.bootstrap_servers}  (Kafka bootstrap servers)")
    for engine in record.engines:
        typer.echo(f"{engine.name:<8} {engine.at}{'' if engine.answers else '  (does not answer yet)'}")
    typer.echo("next     plumb ingest FILE...   plumb status --watch   plumb ask TEXT   plumb down")
