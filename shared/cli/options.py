"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from contracts import envelope

StateDir = Annotated[
    Path,
    typer.Option("--state-dir", envvar="PLUMBLINE_STATE_DIR", help="Where the mesh keeps everything.", file_okay=False),
]
DEFAULT_STATE_DIR = Path(".plumbline")


def checked_domain(domain: str) -> str:
    """Return a domain's name, if it is one.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        return str(TypeAdapter(envelope.Domain).validate_python(domain))
    except ValidationError as error:
        msg = f"{domain!r} is no domain: 1 to 63 of a-z, 0-9 and -, the first of them a letter, e.g. law."
        raise typer.BadParameter(msg) from error


Domain = Annotated[str, typer.Option("--domain", help="The vertical domain.", callback=checked_domain)]
DEFAULT_DOMAIN = "law"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
