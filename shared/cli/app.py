"""`plumb`: the command line of a mesh. Commands are thin; errors end here, as one message and an exit code."""

import sys

import typer

from shared.cli import (
    annotate,
    augment,
    corpus,
    dlq,
    held,
    lexicon,
    relevance,
    screen,
    secrets,
    tokenizer,
    train,
    vectors,
)
from shared.cli.ask import ask
from shared.cli.demo import demo
from shared.cli.exits import Exit, exit_of
from shared.cli.ingest import ingest
from shared.cli.logs import logs
from shared.cli.mesh import down, up
from shared.cli.report import report
from shared.cli.rollback import rollback
from shared.cli.status import status
from shared.cli.trace import trace
from shared.cli.why import why
from shared.errors import PlumblineError

COMMANDS = (up, down, status, ingest, ask, why, logs, trace, rollback, report, demo)


def application() -> typer.Typer:
    """Return the command line with all its commands."""
    app = typer.Typer(
        name="plumb",
        help="Keep a vertical-domain language model true to its data.",
        epilog="Exit codes: " + ", ".join(f"{code} {code.name.lower().replace('_', ' ')}" for code in Exit),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in COMMANDS:
        app.command()(command)
    app.add_typer(train.group, name="train")
    app.add_typer(corpus.group, name="corpus")
    app.add_typer(annotate.group, name="annotate")
    app.add_typer(augment.group, name="augment")
    app.add_typer(relevance.group, name="relevance")
    app.add_typer(lexicon.group, name="lexicon")
    app.add_typer(secrets.group, name="secrets")
    app.add_typer(held.group, name="batches")
    app.add_typer(dlq.group, name="dlq")
    app.add_typer(tokenizer.group, name="tokenizer")
    app.add_typer(vectors.group, name="vectors")
    return app


def main() -> None:
    """Run `plumb`; exit codes stand in `shared.cli.exits`."""
    try:
        application()()
    except PlumblineError as error:
        screen.show_error(error)
        sys.exit(exit_of(error))
