"""`plumb report`: a release, or all of them, as one HTML file for people."""

from pathlib import Path
from typing import Annotated

import typer

from shared.cli.client import daemon
from shared.cli.errors import ArgumentRefused
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, Domain, StateDir
from shared.cli.report_pages import write_page
from shared.embedded.layout import layout_of

DEFAULT_OUTPUT = Path("plumbline-report.html")

Release = Annotated[
    str | None, typer.Argument(help="The first digits of a bundle's digest; default: the last release.")
]
All = Annotated[bool, typer.Option("--all", help="Everything that the monitor knows of the domain, not one release.")]
Output = Annotated[Path, typer.Option("--output", dir_okay=False, help="The file to write; it is replaced.")]


def report(
    release: Release = None,
    *,
    everything: All = False,
    output: Output = DEFAULT_OUTPUT,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Write a release's report, one HTML file: timeline, scores, weights over time, traffic, alerts, lineage."""
    if release and everything:
        raise ArgumentRefused("A release and --all were both named.", next_step="Leave one of them out.")
    if not output.absolute().parent.is_dir():
        raise ArgumentRefused(f"There is no folder {output.parent}.", next_step="Make it, or name another --output.")
    with daemon(layout_of(state_dir), "monitor") as client:
        title = write_page(client, output, domain=domain, release=None if everything else release or "")
    typer.echo(f"{title}: {output}")
