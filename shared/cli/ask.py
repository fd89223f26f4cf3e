"""`plumb ask`: one question to the gateway, answered by the released bundle."""

import json
from collections.abc import Iterator
from typing import Annotated

import httpx
import httpx_sse
import typer
from rich.markup import escape
from rich.table import Table

from contracts.api import ClassifyAnswer, ClassifyRequest, CompleteDone, CompleteRequest, Problem
from shared.cli import screen
from shared.cli.client import answer_of, check, daemon, request_of
from shared.cli.errors import AnswerCutOff, ProblemAnswered
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.embedded.layout import Layout, layout_of
from shared.embedded.plan import GATEWAY

NUM_SCORES_SHOWN = 3

Text = Annotated[str, typer.Argument(help="A text to classify, or the start of one to complete.")]
Complete = Annotated[bool, typer.Option("--complete", help="Continue the text instead of classifying it.")]
User = Annotated[str | None, typer.Option("--user", help="The same user stays on the same bundle.")]


def ask(
    text: Text,
    *,
    complete: Complete = False,
    user: User = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Classify a text, or complete it with --complete. `plumb why` then says where the answer comes from."""
    layout = layout_of(state_dir)
    with daemon(layout, GATEWAY) as client:
        if complete:
            request = request_of(CompleteRequest, prompt=text, user=user, domain=domain)
            _complete(client, request, layout, as_json=as_json)
        else:
            _classify(client, request_of(ClassifyRequest, text=text, user=user, domain=domain), layout, as_json=as_json)


def _classify(client: httpx.Client, request: ClassifyRequest, layout: Layout, *, as_json: bool) -> None:
    answer = answer_of(client.post("/v1/classify", json=request.model_dump(mode="json")), ClassifyAnswer)
    _remember(layout, answer.answer_id)
    if as_json:
        screen.show_json(answer)
    else:
        screen.stdout().print(table_of(answer))


def _remember(layout: Layout, answer_id: str) -> None:
    """Note the answer for `plumb why`; where the mesh runs elsewhere, the state directory may not be there yet."""
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.last_answer.write_text(answer_id, encoding="utf-8")


def table_of(answer: ClassifyAnswer) -> Table:
    """Return an answer for people: the best labels, and what gave them."""
    table = Table("label", "score", show_header=False, box=None)
    for label, score in sorted(answer.scores.items(), key=lambda item: -item[1])[:NUM_SCORES_SHOWN]:
        table.add_row(f"[bold]{escape(label)}[/]" if label == answer.label else escape(label), f"{score:.3f}")
    table.add_row("[dim]bundle[/]", screen.short(answer.bundle_digest))
    table.add_row("[dim]answer[/]", answer.answer_id)
    return table


def _complete(client: httpx.Client, request: CompleteRequest, layout: Layout, *, as_json: bool) -> None:
    body = request.model_dump(mode="json")
    with httpx_sse.connect_sse(client, "POST", "/v1/complete", json=body) as source:
        if source.response.is_error:
            source.response.read()
            check(source.response)
        done = _show_stream(source.iter_sse(), prompt=request.prompt, as_json=as_json)
    _remember(layout, done.answer_id)
    if not as_json:
        screen.stdout().print(f"\n[dim]bundle {screen.short(done.bundle_digest)}  answer {done.answer_id}[/]")


def _show_stream(events: Iterator[httpx_sse.ServerSentEvent], *, prompt: str, as_json: bool) -> CompleteDone:
    """Show a completion as it comes.

    Raises:
        AnswerCutOff: It ended before it was done.
        ProblemAnswered: It ended with an error.
    """
    if not as_json:
        typer.echo(prompt, nl=False)
    for event in events:
        match event.event:
            case "token" if as_json:
                typer.echo(json.dumps({"token": event.data}, ensure_ascii=False))
            case "token":
                typer.echo(event.data, nl=False)
            case "done":
                done = CompleteDone.model_validate_json(event.data)
                if as_json:
                    typer.echo(done.model_dump_json())
                return done
            case "error":
                raise ProblemAnswered(Problem.model_validate_json(event.data))
    raise AnswerCutOff(
        "The completion ended before it was done.", next_step="Ask again; `plumb status` shows the gateway."
    )
