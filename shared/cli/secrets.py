"""`plumb secrets`: the operator's token and the signing keys."""

from pathlib import Path
from typing import Annotated

import typer

from shared.secrets import create as create_secrets

Folder = Annotated[Path, typer.Argument(help="The folder; made where it is absent.", file_okay=False)]

group = typer.Typer(no_args_is_help=True, help="Make the operator's token and the signing keys.")


@group.command()
def create(directory: Folder) -> None:
    """Make the operator's token and two signing keys in a folder; what is there is never overwritten."""
    made = create_secrets(directory)
    for name in made:
        typer.echo(f"made     {directory / name}")
    if made:
        typer.echo(f"next     name the folder to the daemons: PLUMBLINE_SECRETS_DIR={directory.resolve()}")
    else:
        typer.echo(f"complete {directory}: nothing was changed")
