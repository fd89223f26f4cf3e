"""How a mesh's state looks in a terminal. Pure: values in, renderables out."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from contracts.api import AlertStatus, DeadLetterCount, DomainStatus, RejectedBundle, StageStatus, TrafficStatus
from contracts.evaluation import Score
from contracts.release import ReleaseState
from shared.cli.health import DaemonHealth
from shared.cli.screen import short
from shared.embedded.policy import Phase
from shared.embedded.record import EngineRecord, MeshRecord, ProcessRecord

PHASE_STYLES = {
    Phase.READY: "green",
    Phase.LIVE: "yellow",
    Phase.STARTING: "yellow",
    Phase.STOPPING: "yellow",
    Phase.DOWN: "red",
}


def processes_table(record: MeshRecord) -> RenderableType:
    """Return the processes of a mesh, one a line."""
    table = Table("process", "state", "port", "pid", "restarts", "", box=None, title=None, header_style="dim")
    for process in record.processes:
        style = PHASE_STYLES[process.phase]
        pid = str(process.mark.pid) if process.mark else "-"
        table.add_row(
            process.name, f"[{style}]{process.phase}[/]", str(process.port), pid, str(process.restarts), _note(process)
        )
    rows: list[RenderableType] = [table, *(_engine(engine) for engine in record.engines)]
    if record.waits_for:
        rows.append(f"[yellow]the daemons wait for {escape(record.waits_for)}[/]")
    return Group(*rows)


def _engine(engine: EngineRecord) -> str:
    state = {None: "[dim]not asked yet[/]", True: "[green]answers[/]", False: "[red]does not answer[/]"}[engine.answers]
    return f"{engine.name} at {escape(engine.at)}, which this mesh does not run: {state}"


def daemons_table(daemons: tuple[DaemonHealth, ...]) -> RenderableType:
    """Return what the daemons of a mesh that runs elsewhere say of themselves, one a line."""
    table = Table("daemon", "state", "at", "", box=None, title=None, header_style="dim")
    styles = {"ready": "green", "unready": "yellow", "no answer": "red"}
    for daemon in daemons:
        state = f"[{styles[daemon.state]}]{daemon.state}[/]"
        table.add_row(daemon.name, state, escape(daemon.url), escape(daemon.reason or ""))
    return table


def _note(process: ProcessRecord) -> str:
    if process.phase is Phase.READY:
        return ""
    if process.phase is Phase.DOWN and process.exit_code is not None:
        return f"ended with {process.exit_code}, see {escape(str(process.log))}"
    return escape(process.unready_because or "")


def dead_letters_table(dead_letters: tuple[DeadLetterCount, ...]) -> RenderableType:
    """Return which messages could not be handled, and where they lie."""
    table = Table("dead letters", "error", "count", "", box=None, header_style="dim", style="red bold")
    for row in dead_letters:
        name = escape(row.topic)
        table.add_row(name, escape(row.error_type), f"{row.count:,}", f"read {name}-dlq: its headers say why")
    return table


def domain_panel(status: DomainStatus, *, now: datetime) -> RenderableType:
    """Return all that is known of a domain."""
    parts: list[RenderableType] = [_stages(status.stages, now=now)]
    if status.release:
        parts.append(_release(status.release))
    if status.scores:
        parts.append(_scores(status.scores))
    if status.traffic:
        parts.append(_traffic(status.traffic))
    parts.extend(_alert(alert, now=now) for alert in status.alerts)
    parts.extend(_rejection(rejected, now=now) for rejected in status.rejected_bundles)
    parts.append(f"next training: {escape(status.missing)}")
    return Panel(Group(*parts), title=f"[bold]{status.domain}[/]", title_align="left")


def _stages(stages: tuple[StageStatus, ...], *, now: datetime) -> RenderableType:
    table = Table("stage", "last event", "age", "", box=None, header_style="dim")
    for stage in stages:
        age = _age(stage.at, now) if stage.at else "-"
        table.add_row(stage.stage, stage.event or "-", age, escape(stage.summary))
    return table


def _release(release: ReleaseState) -> RenderableType:
    table = Table("bundle", "weight", "", box=None, header_style="dim")
    for route in release.routes:
        role = "serving" if route.bundle_digest == release.serving_digest else "candidate"
        table.add_row(short(route.bundle_digest), f"{route.weight_percent} %", role)
    if release.rollout:
        rollout = release.rollout
        table.add_row(short(rollout.candidate.bundle_digest), f"[bold]{rollout.phase}[/]", escape(rollout.reason))
    for digest in release.rolled_back_digests[-1:]:
        table.add_row(short(digest), "-", "rolled back")
    return table if table.row_count else "nothing is released yet"


def _scores(scores: tuple[Score, ...]) -> RenderableType:
    table = Table("held out", "n", "accuracy", "macro-F1", "largest class", box=None, header_style="dim")
    for score in scores:
        table.add_row(
            score.slice, f"{score.n:,}", f"{score.accuracy:.3f}", f"{score.macro_f1:.3f}", f"{score.majority_share:.3f}"
        )
    return table


def _traffic(traffic: tuple[TrafficStatus, ...]) -> RenderableType:
    table = Table("traffic", "answers/s", "errors", "slow", "p95", box=None, header_style="dim")
    for row in traffic:
        p95 = f"{row.p95_ms:.0f} ms" if row.p95_ms is not None else "-"
        table.add_row(
            short(row.bundle_digest), f"{row.answers_per_s:.1f}", f"{row.error_share:.1%}", f"{row.slow_share:.1%}", p95
        )
    return table


def _alert(alert: AlertStatus, *, now: datetime) -> str:
    style = "red bold" if alert.state == "firing" else "dim"
    what = f"{alert.rule} {alert.state} for {short(alert.bundle_digest)}"
    return f"[{style}]alert[/] {escape(what)}, {_age(alert.since, now)}: {escape(alert.reason)}"


def _rejection(rejected: RejectedBundle, *, now: datetime) -> str:
    what = f"{short(rejected.bundle_digest)} by {rejected.stage}, {_age(rejected.at, now)}: {rejected.reason}"
    return f"[red bold]refused[/] {escape(what)} Next: {escape(rejected.next_step)}"


def _age(at: datetime, now: datetime) -> str:
    seconds = max(0, int((now - at).total_seconds()))
    if seconds < 120:  # noqa: PLR2004 (two minutes)
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"  # noqa: PLR2004 (two hours)
