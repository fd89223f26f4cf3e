"""Sets the stage, plays the acts, writes the report, and leaves nothing running."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from rich.console import Console

from contracts.envelope import Domain
from shared.cli.client import client_of
from shared.cli.report_pages import write_page
from shared.cli.settings import mesh_settings
from shared.cli.target import Target, named_target
from shared.demo import story
from shared.demo.load import Load
from shared.demo.mesh import check_named_mesh, own_mesh
from shared.demo.report import BundleSummary, Canary, Drill, Report, Traffic, findings
from shared.demo.screen import Screen
from shared.demo.settings import DEMO_SETTINGS
from shared.demo.stage import Stage
from shared.demo.statutes import Statutes, load_statutes, snippets
from shared.demo.tail import EventTail
from shared.demo.watch import WeightWatch
from shared.embedded.control import locked, stop_mesh
from shared.embedded.external import engines_of
from shared.embedded.layout import Layout, layout_of
from shared.embedded.settings import EngineSettings
from shared.errors import MeshError

STOP_TIMEOUT_S = 40.0
SNIPPET_CHARS = 64
NUM_MEMORY_DIGITS = 1
REPORT = "report.json"
PAGE = "report.html"
PAGE_NOTES = (
    "A first model on articles of Chinese law from before 2025, the amendments since then as data events, a canary under load "
    "and its promotion; then a drill: one more model is made slow, and the mesh takes it back by itself.",
)
MARKER = "demo"
"""A file that says that this directory is a demo's, and may be emptied by the next one."""
PLAIN_WIDTH = 140
"""Columns where there is no terminal to ask."""


def main(state_dir: Path, *, domain: Domain, engines: EngineSettings, console: Console | None = None) -> int:
    """Play the demo in a state directory of its own; return 0 if the records show the story, else 1.

    A previous run's directory is emptied first: a run starts clean or not at all. Where settings name a mesh, that one is played
    on, and only the report lies in the directory.

    Raises:
        MeshError: The mesh could not be started, or an act did not come to its end.
    """
    layout = layout_of(state_dir)
    _clean(layout)
    screen = Screen(console or Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    with screen:
        try:
            report = asyncio.run(_play(layout, screen, domain, engines))
        except ExceptionGroup as group:
            raise _first_error(group, layout) from group
        finally:
            stop_mesh(layout, within_s=STOP_TIMEOUT_S)
    path = layout.root / REPORT
    path.write_text(report.model_dump_json(indent=2), encoding="utf-8")
    missing = findings(report)
    for finding in missing:
        screen.say(f"[bold red]not proved[/] {finding}")
    verdict = "the records do not show the whole story" if missing else "the records show the whole story"
    screen.say(f"\n{verdict}, in {report.duration_s:.0f} s: {path}")
    return 1 if missing else 0


async def _play(layout: Layout, screen: Screen, domain: Domain, engines: EngineSettings) -> Report:
    began_at, began = datetime.now(UTC), time.monotonic()
    statutes = load_statutes()
    mesh = await _mesh(layout, screen, domain, engines)
    async with _stage(mesh, screen, layout, statutes, domain) as stage:
        screen.act(
            "b  the first model", f"{len(statutes.first):,} articles of versions before 2025, through the ingest API"
        )
        first = await story.first_release(stage)
        screen.act("c  questions", "articles of laws that no training saw, and what the released bundle says")
        await story.ask(stage)
        screen.act(
            "d  amendments",
            f"{len(statutes.later):,} articles of later versions, produced to Kafka as a user's system would",
        )
        evaluated, second = await story.amendments(stage)
        async with story.under_load(stage):
            promotion = await story.promotion(stage, evaluated.bundle_digest)
            screen.act(
                "e  the rollback drill", f"a training on the {len(statutes.held_back)} articles held back, then a fault"
            )
            third, rollback, drill = await story.drill(stage)
        screen.act("f  why", "from the last answer back to the documents")
        last = await story.ask(stage)
        await story.why(stage, last)
        report = _report(stage, (first, second, third), promotion, rollback, drill, began_at=began_at, began=began)
    screen.drill(report)
    await asyncio.to_thread(_write_page, layout, mesh, screen, domain)
    return report


def _write_page(layout: Layout, mesh: Target, screen: Screen, domain: Domain) -> None:
    """Write the report for people; what hinders it does not unprove the story."""
    path = layout.root / PAGE
    try:
        with client_of(mesh, layout, "monitor") as monitor:
            write_page(monitor, path, domain=domain, release=None, title="The demo's story", notes=PAGE_NOTES)
    except MeshError as error:
        screen.say(f"[yellow]no report for people[/]: {error} {error.next_step or ''}")
    else:
        screen.say(f"the report for people: {path}")


async def _mesh(layout: Layout, screen: Screen, domain: Domain, engines: EngineSettings) -> Target:
    named = named_target(mesh_settings())
    if named:
        screen.act("a  the mesh is there", "\n".join(f"{name} {url}" for name, url in named.urls.items()))
        await check_named_mesh(named, domain)
        screen.say(f"  ready; its rollouts are short enough, and it knows no domain {domain} yet")
        return named
    screen.act("a  the mesh starts", "Kafka-compatible broker, cache and eight daemons, each a process of its own")
    for engine in engines_of(engines):
        screen.say(f"  on {engine.name} at {engine.at}, which the demo does not run")
    for name, value in DEMO_SETTINGS.items():
        screen.say(f"  [dim]{name}={value}[/]")
    mesh = await own_mesh(layout, engines)
    screen.say(f"  ready after {_ready_after_s(mesh) or 0:.1f} s; gateway {mesh.url('inference-gateway')}")
    return mesh


@asynccontextmanager
async def _stage(
    mesh: Target, screen: Screen, layout: Layout, statutes: Statutes, domain: Domain
) -> AsyncIterator[Stage]:
    tail = EventTail(mesh.bootstrap_servers, domain, on_seen=screen.event)
    watch = WeightWatch(mesh.url("inference-gateway"), domain, on_change=screen.weights)
    texts = snippets(statutes.first + statutes.later, num_chars=SNIPPET_CHARS)
    load = Load(mesh.url("inference-gateway"), texts, domain=domain)
    # A watcher that fails ends the story: what it misses could not be proved.
    async with httpx.AsyncClient(timeout=60.0) as http, asyncio.TaskGroup() as watchers:
        tasks = [watchers.create_task(tail.run()), watchers.create_task(watch.run())]
        stage = Stage(
            mesh=mesh, http=http, tail=tail, watch=watch, load=load, screen=screen, statutes=statutes,
            domain=domain,
        )  # fmt: skip
        try:
            yield stage
        except MeshError as error:
            _write_what_was_proved(layout, stage, error)
            raise
        finally:
            for task in tasks:
                task.cancel()


def _first_error(group: ExceptionGroup, layout: Layout) -> MeshError:
    """Return the story's own error, or one that names what a watcher failed of."""
    expected, _ = group.split(MeshError)
    if expected and isinstance(expected.exceptions[0], MeshError):
        return expected.exceptions[0]
    msg = f"the demo lost sight of the mesh: {group.exceptions[0]!r}"
    return MeshError(msg, next_step=f"read the logs in {layout.root / 'logs'}")


def _write_what_was_proved(layout: Layout, stage: Stage, error: MeshError) -> None:
    steps = [step.model_dump(mode="json") for step in stage.steps]
    unfinished = {"error": str(error), "steps": steps}
    (layout.root / REPORT).write_text(json.dumps(unfinished, indent=2, ensure_ascii=False), encoding="utf-8")


def _clean(layout: Layout) -> None:
    """Empty the demo's own directory; any other one is left as it is."""
    marker = layout.root / MARKER
    if layout.root.exists() and any(layout.root.iterdir()) and not marker.exists():
        msg = f"{layout.root} is not a demo's directory, and the demo empties the one that it is given"
        raise MeshError(msg, next_step="leave --state-dir out, or name a new directory")
    stop_mesh(layout, within_s=STOP_TIMEOUT_S)
    with locked(layout):
        # Its contents, not the directory: in a container it may be a mount.
        for entry in layout.root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    marker.touch()


def _report(
    stage: Stage, bundles: tuple[BundleSummary, ...], promotion: Canary, rollback: Canary, drill: Drill, *,
    began_at: datetime, began: float,
) -> Report:  # fmt: skip
    statutes = stage.statutes
    return Report(
        began_at=began_at,
        ended_at=datetime.now(UTC),
        duration_s=time.monotonic() - began,
        ready_after_s=_ready_after_s(stage.mesh),
        processes=_pids(stage.mesh),
        settings=DEMO_SETTINGS,
        num_documents=len(statutes.first) + len(statutes.later) + len(statutes.held_back),
        num_verbatim_later=statutes.num_verbatim,
        num_known_later=story.num_known_later(stage),
        steps=tuple(stage.steps),
        bundles=bundles,
        promotion=promotion,
        rollback=rollback,
        drill=drill,
        weights=tuple(stage.watch.samples),
        traffic=_traffic(stage.load),
        memory_mb=_memory_mb(stage.mesh),
    )


def _traffic(load: Load) -> tuple[Traffic, ...]:
    return tuple(
        Traffic(
            second=second, bundle_digest=digest, requests=tally.requests, failures=tally.failures, p95_ms=tally.p95_ms
        )
        for second, bundles in sorted(load.traffic.items())
        for digest, tally in sorted(bundles.items())
    )


def _ready_after_s(mesh: Target) -> float | None:
    return mesh.record.ready_after_s if mesh.record else None


def _pids(mesh: Target) -> dict[str, int]:
    """Return the processes that can be seen: none of a mesh that runs elsewhere."""
    return {process.name: process.mark.pid for process in mesh.record.processes if process.mark} if mesh.record else {}


def _memory_mb(mesh: Target) -> dict[str, float]:
    """Return each process's resident memory, in megabytes."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, NUM_MEMORY_DIGITS)
        for name, pid in _pids(mesh).items()
        if psutil.pid_exists(pid)
    }
