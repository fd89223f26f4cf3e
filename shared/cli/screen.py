"""Where `plumb` writes: results to stdout, progress and errors to stderr."""

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from shared.errors import PlumblineError

DIGEST_CHARS = 12


def stdout() -> Console:
    """Return the console for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, highlight=False)


def show_json(value: BaseModel) -> None:
    """Print a model as one JSON document."""
    typer.echo(value.model_dump_json(indent=2))


def show_error(error: PlumblineError) -> None:
    """Print what happened, and what to do next where that is known."""
    console = stderr()
    console.print(f"[red bold]error[/] {escape(str(error))}", soft_wrap=True)
    if error.next_step:
        console.print(f"[bold]next[/]  {escape(error.next_step)}", soft_wrap=True)


def short(digest: str | None) -> str:
    """Return the part of a digest that people compare."""
    return digest[:DIGEST_CHARS] if digest else "-"
