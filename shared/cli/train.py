"""`plumb train`: asking for a training."""

import typer

from contracts.api import Accepted, TrainNowRequest
from shared.cli import screen
from shared.cli.client import answer_of, client_of, request_of
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.target import target_of
from shared.cli.uploads import last_batches
from shared.embedded.layout import layout_of

group = typer.Typer(no_args_is_help=True, help="Ask for a training.")


@group.command()
def now(*, domain: Domain = DEFAULT_DOMAIN, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False) -> None:
    """Train on what was sent so far, without waiting for more documents."""
    layout = layout_of(state_dir)
    request = request_of(TrainNowRequest, domain=domain, batch_ids=last_batches(layout, domain))
    target = target_of(layout)
    with client_of(target, layout, "monitor") as client:
        body = request.model_dump(mode="json")
        accepted = answer_of(client.post("/v1/training-requests", json=body, headers=target.as_operator()), Accepted)
    if as_json:
        screen.show_json(accepted)
    else:
        typer.echo(f"training requested (event {accepted.event_id}). Next: `plumb status --watch`")
