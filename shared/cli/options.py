"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

StateDir = Annotated[
    Path,
    typer.Option("--state-dir", envvar="PLUMBLINE_STATE_DIR", help="Where the mesh keeps everything.", file_okay=False),
]
DEFAULT_STATE_DIR = Path(".plumbline")
Domain = Annotated[str, typer.Option("--domain", help="The vertical domain.")]
DEFAULT_DOMAIN = "law"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
