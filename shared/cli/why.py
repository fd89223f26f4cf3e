"""`plumb why`: from an answer back to the batches that its model learned from."""

from collections import defaultdict
from itertools import groupby
from typing import Annotated

import typer
from rich.markup import escape
from rich.tree import Tree

from contracts.api import Why, WhySpan, WhyStep
from shared.cli import screen
from shared.cli.client import answer_of, daemon
from shared.cli.errors import NoAnswerYet
from shared.cli.options import DEFAULT_STATE_DIR, AsJson, StateDir
from shared.embedded.layout import Layout, layout_of

NUM_BATCHES_SHOWN = 5
WORKERS = {
    "answer": ("inference-gateway",),
    "release": ("release-manager",),
    "evaluation": ("evaluator",),
    "bundle": ("trainer",),
    "tokenizer": ("tokenizer-builder",),
    "corpus-version": ("cleaner",),
    "batch": ("ingest", "cleaner"),
}
"""Whose work a step was: a trace runs through all daemons, and a step shows its own part of it."""

Subject = Annotated[str | None, typer.Argument(help="An answer's id or a bundle's digest; default: the last answer.")]
All = Annotated[bool, typer.Option("--all", help="Show every batch, and each step's whole trace.")]


def why(
    subject: Subject = None, *, show_all: All = False, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False
) -> None:
    """Show where an answer comes from: bundle, tokenizer, corpus version, batches, with the trace of each step."""
    layout = layout_of(state_dir)
    with daemon(layout, "monitor") as client:
        walk = answer_of(client.get(f"/v1/why/{subject or last_answer(layout)}"), Why)
    if as_json:
        screen.show_json(walk)
    else:
        screen.stdout().print(tree_of(walk, num_batches=None if show_all else NUM_BATCHES_SHOWN))


def last_answer(layout: Layout) -> str:
    """Return the id that `plumb ask` noted.

    Raises:
        NoAnswerYet: It has noted none.
    """
    try:
        return layout.last_answer.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise NoAnswerYet(
            f"No answer is noted in {layout.root}.",
            next_step="Get one with `plumb ask TEXT`, or name an answer's id or a bundle's digest.",
        ) from error


def tree_of(walk: Why, *, num_batches: int | None) -> Tree:
    """Return the walk as a tree: one branch a step, its spans below it.

    Args:
        walk: What the monitor found.
        num_batches: How many batches in a row to show, and of each step only its own daemon's spans; None: everything.
    """
    tree = Tree(f"[bold]why[/] {escape(walk.subject)}")
    for kind, run in groupby(walk.steps, key=lambda step: step.kind):
        steps = list(run)
        shown = steps[:num_batches] if kind == "batch" else steps
        for step in shown:
            _add_step(tree, step, services=WORKERS[step.kind] if num_batches else ())
        if len(shown) < len(steps):
            tree.add(f"[dim]... {len(steps) - len(shown)} more batches (--all)[/]")
    return tree


def _add_step(tree: Tree, step: WhyStep, *, services: tuple[str, ...]) -> None:
    # Only digests are long: an answer's and a batch's id can be pasted as they stand.
    shown = screen.short(step.id) if len(step.id) == 64 else step.id  # noqa: PLR2004 (SHA-256 in hexadecimal)
    branch = tree.add(f"[bold]{step.kind}[/] [cyan]{escape(shown)}[/]  {escape(step.detail)}")
    if step.trace_id:
        trace = branch.add(f"[dim]trace {step.trace_id}[/]")
        _add_spans(trace, tuple(span for span in step.spans if not services or span.service in services))


def _add_spans(trace: Tree, spans: tuple[WhySpan, ...]) -> None:
    known = {span.span_id for span in spans}
    children: dict[str | None, list[WhySpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.started_at):
        children[span.parent_span_id if span.parent_span_id in known else None].append(span)
    _add_children(trace, None, children)


def _add_children(branch: Tree, parent: str | None, children: dict[str | None, list[WhySpan]]) -> None:
    for span in children.get(parent, ()):
        links = "".join(f" -> {trace_id[:8]}" for trace_id in span.linked_trace_ids)
        line = f"{span.service} {escape(span.name)} [dim]{span.duration_ms:,.0f} ms{links}[/]"
        _add_children(branch.add(line), span.span_id, children)
