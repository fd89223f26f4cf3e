"""What the demo shows: one line an event with its cause, a bar for each training, tables for scores and times."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from contracts.api import ClassifyAnswer
from contracts.corpus import Document
from contracts.evaluation import ModelEvaluated, Score
from contracts.monitoring import TrafficObserved
from contracts.release import Route
from contracts.training import TrainingProgressed
from shared.demo.load import SecondOfTraffic
from shared.demo.report import Report
from shared.demo.tail import Seen
from shared.summary import SHORT, SHORT_DIGEST, summary

PLAIN_PROGRESS_SHARE = 0.25
"""Without a terminal, a training says where it is this often."""
MAX_EXCERPT = 40


class Screen:
    """The demo's output."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress = Progress(
            TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        self._bars: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def act(self, title: str, text: str) -> None:
        """Open an act of the story."""
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}")
        self.console.print(f"[dim]{escape(text)}")

    def say(self, text: str) -> None:
        """Print a line; Rich markup counts."""
        self.console.print(text)

    def event(self, seen: Seen) -> None:
        """Show an event: when, what, which event caused it, and what it says."""
        event = seen.event
        if isinstance(event, TrainingProgressed):
            self._training(event)
            return
        if isinstance(event, TrafficObserved):
            return
        cause = f" <- {str(event.causation_id)[:SHORT]}" if event.causation_id else ""
        self.console.print(
            f"[dim]{_time(seen.received_at)}[/] [cyan]{type(event).__name__:<18}[/] "
            f"[dim]{str(event.event_id)[:SHORT]}{cause}[/] {escape(summary(event))}",
            highlight=False,
        )

    def weights(self, routes: Sequence[Route]) -> None:
        """Show what the gateway routes."""
        parts = [
            f"{route.bundle_digest[:SHORT_DIGEST]} {bar(route.weight_percent)} {route.weight_percent} %"
            for route in routes
        ]
        self.console.print(f"  [green]routed[/]  {'   '.join(parts) or 'nothing'}", highlight=False)

    def traffic(self, bundles: Mapping[str, SecondOfTraffic], *, num_seconds: int) -> None:
        """Show what users got in the last seconds."""
        parts = [
            f"{digest[:SHORT_DIGEST]} {tally.requests / num_seconds:.0f}/s p95 {tally.p95_ms or 0:.0f} ms"
            for digest, tally in sorted(bundles.items())
        ]
        failed = sum(tally.failures for tally in bundles.values())
        self.console.print(f"  [blue]answered[/]  {'   '.join(parts)}   {failed} failed", highlight=False)

    def answer(self, document: Document, answer: ClassifyAnswer) -> None:
        """Show a classification beside the truth."""
        mark = "[green]right[/]" if answer.label == document.label else f"[yellow]wrong, it is {document.label}[/]"
        self.console.print(
            f"  {escape(excerpt(document.text))}\n    -> [bold]{answer.label}[/] {answer.score:.2f}  {mark}  "
            f"[dim]bundle {answer.bundle_digest[:SHORT_DIGEST]}, answer {answer.answer_id[:SHORT]}[/]",
            highlight=False,
        )

    def scores(self, event: ModelEvaluated) -> None:
        """Show the candidate's scores beside the serving bundle's, on the same held-out documents."""
        table = Table("held-out laws", "n", "accuracy before", "after", "macro-F1 before", "after", "largest class")
        before = {score.slice: score for score in event.serving_scores}
        for score in event.scores:
            table.add_row(*_score_row(score, before.get(score.slice)))
        self.console.print(table)
        self.console.print(
            f"  floor {event.floor_accuracy:.3f} (largest class and the margin): " + "; ".join(event.reasons)
        )

    def drill(self, report: Report) -> None:
        """Show the drill's times."""
        drill = report.drill
        self.console.print(
            Panel(
                f"first slow answer -> alert fires       [bold]{drill.alert_s:5.1f} s[/]  ({escape(drill.alert_reason)})\n"
                f"first slow answer -> rollback decided  [bold]{drill.decided_s:5.1f} s[/]  (cause: {drill.cause})\n"
                f"first slow answer -> 0 % routed        [bold]{drill.nothing_routed_s:5.1f} s[/]  (goal: under 10 s)\n"
                f"answers come from {drill.answered_by_after[:SHORT_DIGEST]} again",
                title="rollback drill",
            )
        )

    def _training(self, event: TrainingProgressed) -> None:
        run, done = str(event.run_id), event.num_tokens
        note = f"loss {event.loss:.2f}  {event.tokens_per_s:,.0f} tokens/s"
        if not self.console.is_terminal:
            if done - self._said.get(run, 0) >= PLAIN_PROGRESS_SHARE * event.token_budget or done >= event.token_budget:
                self._said[run] = done
                self.console.print(f"  training {done:,} of {event.token_budget:,} tokens, {note}", highlight=False)
            return
        if run not in self._bars:
            self._bars[run] = self._progress.add_task("training (tokens)", total=event.token_budget, note=note)
        self._progress.update(self._bars[run], completed=done, note=note, visible=done < event.token_budget)


def excerpt(text: str) -> str:
    """Return the beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_EXCERPT else flat[:MAX_EXCERPT] + "..."


def bar(percent: int) -> str:
    """Return a bar of ten for a share.

    Example:
        >>> bar(30)
        '###.......'
    """
    filled = round(percent / 10)
    return "#" * filled + "." * (10 - filled)


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _score_row(after: Score, before: Score | None) -> tuple[str, ...]:
    none = "-"
    return (
        after.slice,
        f"{after.n:,}",
        f"{before.accuracy:.3f}" if before else none,
        f"{after.accuracy:.3f}",
        f"{before.macro_f1:.3f}" if before else none,
        f"{after.macro_f1:.3f}",
        f"{after.majority_share:.3f}",
    )
