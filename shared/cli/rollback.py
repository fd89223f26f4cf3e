"""`plumb rollback`: the operator takes a release back."""

from typing import Annotated

import typer

from contracts.api import Accepted, RollbackRequest
from shared.cli import screen
from shared.cli.client import answer_of, client_of, request_of
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.target import target_of
from shared.embedded.layout import layout_of

Reason = Annotated[str, typer.Option("--reason", help="Why, for the record; at most 500 characters.")]


def rollback(
    *,
    domain: Domain = DEFAULT_DOMAIN,
    reason: Reason = "taken back by the operator",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Take the candidate back, or the last release where none is on its way."""
    request = request_of(RollbackRequest, reason=reason)
    layout = layout_of(state_dir)
    target = target_of(layout)
    with client_of(target, layout, "release-manager") as client:
        response = client.post(
            f"/v1/domains/{domain}/rollback",
            json=request.model_dump(mode="json"),
            headers=target.as_operator(),
        )
        accepted = answer_of(response, Accepted)
    if as_json:
        screen.show_json(accepted)
    else:
        typer.echo(f"rollback requested (event {accepted.event_id}). Next: `plumb status`")
