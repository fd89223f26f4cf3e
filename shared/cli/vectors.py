"""`plumb vectors`: what the word vectors of a domain's corpus versions tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from contracts.word_vectors import Drift, Synonyms, VectorsListing, VectorsVersion
from shared.cli import screen
from shared.cli.client import answer_of, daemon
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.embedded.layout import layout_of

SERVICE = "tokenizer-builder"

group = typer.Typer(no_args_is_help=True, help="Word vectors: words of like meaning, and meanings that moved.")

Answer = TypeVar("Answer", bound=BaseModel)
Words = Annotated[list[str], typer.Argument(help="Words, as the segmenter cuts them.")]
OptionalWords = Annotated[list[str] | None, typer.Argument(help="Words; without any, those that moved most.")]
Number = Annotated[int | None, typer.Option("--number", min=1, help="A corpus version; the newest by default.")]
Before = Annotated[int | None, typer.Option("--before", min=1, help="The earlier corpus version.")]
After = Annotated[int | None, typer.Option("--after", min=1, help="The later corpus version; the newest by default.")]
Nearest = Annotated[int, typer.Option("--nearest", min=1, max=100, help="Candidates a word, at most.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Words, at most.")]


@group.command(name="list")
def list_versions(
    *, domain: Domain = DEFAULT_DOMAIN, state_dir: StateDir = DEFAULT_STATE_DIR, as_json: AsJson = False
) -> None:
    """List the corpus versions that have word vectors, and those that wait for them."""
    listing = _asked(state_dir, domain, "", {}, VectorsListing)
    if as_json:
        screen.show_json(listing)
        return
    for version in listing.versions:
        typer.echo(_line(version))
    if not listing.versions:
        typer.echo("no corpus version yet. Next: `plumb ingest FILE...`")


@group.command()
def synonyms(
    words: Words,
    *,
    number: Number = None,
    nearest: Nearest = 10,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show words that may mean the same; opposites keep the same company, so a person must judge."""
    asked = {"word": words, "number": number, "nearest": nearest}
    found = _asked(state_dir, domain, "/synonyms", asked, Synonyms)
    if as_json:
        screen.show_json(found)
        return
    for word in words:
        near = found.candidates.get(word)
        candidates = [f"{one.word} {one.cosine:.2f}{'*' if one.is_mutual else ''}" for one in near or ()]
        typer.echo(f"{word}  {', '.join(candidates) or ('no vector: too rare' if near is None else 'none is near')}")
    typer.echo(f"corpus version {found.number}; * the nearness is mutual")


@group.command()
def drift(
    words: OptionalWords = None,
    *,
    before: Before = None,
    after: After = None,
    limit: Limit = 20,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show words whose company changed from one corpus version to another: 0, not at all, to 2."""
    asked = {"word": words or None, "before": before, "after": after, "limit": limit}
    found = _asked(state_dir, domain, "/drift", asked, Drift)
    if as_json:
        screen.show_json(found)
        return
    for moved in found.words:
        typer.echo(f"{moved.drift:.3f}  {moved.word}")
    typer.echo(
        f"from corpus version {found.before} to {found.after}, aligned by {found.num_shared:,} shared words of "
        f"{found.dimensions} dimensions; the fewer words a dimension, the smaller it looks"
    )


def _asked(state_dir: Path, domain: str, path: str, params: Mapping[str, object], kind: type[Answer]) -> Answer:
    given: dict[str, Any] = {name: value for name, value in params.items() if value is not None}
    with daemon(layout_of(state_dir), SERVICE) as client:
        return answer_of(client.get(f"/v1/domains/{domain}/word-vectors{path}", params=given), kind)


def _line(version: VectorsVersion) -> str:
    match version.state:
        case "learnt":
            what = f"{version.num_words:,} words of {version.dimensions} dimensions, from {version.num_tokens:,} words of text"
            moved = ", ".join(word.word for word in version.drifted[:5])
            return f"{version.number:>4}  {what}{f'; moved most: {moved}' if moved else ''}"
        case "waiting":
            return f"{version.number:>4}  waits until the mesh is quiet"
        case _:
            return f"{version.number:>4}  none: {version.reason}"
