"""`plumb trace`: the work of all daemons within one trace, as a tree, with its logs where they were written."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from contracts.lookup import LogLine, TraceSpan, TraceView
from shared.cli import screen
from shared.cli.client import answer_of, daemon
from shared.cli.logs import text_of
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.cli.why import last_answer
from shared.embedded.layout import layout_of

MAX_LINKS_SHOWN = 3
MAX_SECONDS_IN_MS = 10.0

Subject = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="A trace's id, an answer's or an event's; default: the last answer."),
]


def trace(subject: Subject = None, *, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False) -> None:
    """Show a trace: the spans of all daemons as a tree, with durations, links and log lines."""
    layout = layout_of(state_dir)
    with daemon(layout, "monitor") as client:
        view = answer_of(client.get(f"/v1/traces/{subject or last_answer(layout)}"), TraceView)
    if as_json:
        screen.show_json(view)
    else:
        screen.stdout().print(tree_of(view))


def tree_of(view: TraceView) -> Tree:
    """Return a trace as a tree: each span below its parent, each log line below its span, in the order of time."""
    begin = min((span.started_at for span in view.spans), default=None)
    tree = Tree(f"[bold]trace[/] [cyan]{view.trace_id}[/]  {_census(view)}")
    known = {span.span_id for span in view.spans}
    below: dict[str | None, list[TraceSpan | LogLine]] = defaultdict(list)
    for span in view.spans:
        below[span.parent_span_id if span.parent_span_id in known else None].append(span)
    for line in view.logs:
        below[line.span_id if line.span_id in known else None].append(line)
    _add_below(tree, None, below, begin)
    _add_continuations(tree, view)
    return tree


def _add_below(
    branch: Tree, parent: str | None, below: dict[str | None, list[TraceSpan | LogLine]], begin: datetime | None
) -> None:
    for one in sorted(below.pop(parent, ()), key=_began):
        if isinstance(one, LogLine):
            branch.add(text_of(one, with_trace=False))
        else:
            _add_below(branch.add(_span_text(one, begin)), one.span_id, below, begin)


def _began(one: TraceSpan | LogLine) -> datetime:
    return one.at if isinstance(one, LogLine) else one.started_at


def _span_text(span: TraceSpan, begin: datetime | None) -> Text:
    text = Text.assemble(
        (f"{span.service} ", "cyan"), (span.name, "bold"), (f" {_duration(span.duration_ms)}", "default")
    )
    if begin is not None and span.started_at > begin:
        text.append(f" at +{_duration((span.started_at - begin).total_seconds() * 1000)}", style="dim")
    if span.status == "error":
        text.append(f" failed {span.attributes.get('error.type', '')}".rstrip(), style="red")
    for trace_id in span.linked_trace_ids[:MAX_LINKS_SHOWN]:
        text.append(f" -> {trace_id}", style="dim")
    if more := len(span.linked_trace_ids) - MAX_LINKS_SHOWN:
        text.append(f" and {more} more" if more > 0 else "", style="dim")
    return text


def _add_continuations(tree: Tree, view: TraceView) -> None:
    """Add the traces that go on from here: each once, with the first of its spans that says so."""
    first = {span.trace_id: span for span in reversed(view.linked_from)}
    for trace_id, span in reversed(first.items()):
        tree.add(f"[dim]goes on in[/] {trace_id} [cyan]{escape(span.service)}[/] {escape(span.name)}")


def _census(view: TraceView) -> str:
    if not view.spans:
        return f"[dim]no spans, {len(view.logs)} log lines[/]"
    begin = min(span.started_at for span in view.spans)
    end_ms = max((span.started_at - begin).total_seconds() * 1000 + span.duration_ms for span in view.spans)
    services = len({span.service for span in view.spans})
    counted = f"{len(view.spans)} spans of {services} services, {len(view.logs)} log lines, {_duration(end_ms)}"
    return f"[dim]{begin:%Y-%m-%d %H:%M:%S} UTC, {counted}[/]"


def _duration(ms: float) -> str:
    if ms < 1000 * MAX_SECONDS_IN_MS:
        return f"{ms:.1f} ms" if ms < MAX_SECONDS_IN_MS else f"{ms:,.0f} ms"
    return f"{ms / 1000:,.1f} s"
