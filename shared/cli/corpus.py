"""`plumb corpus`: what a corpus holds, what was removed from it and why, how versions differ; and what an operator orders."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from contracts.corpus_api import (
    BatchOrder,
    CorpusBatches,
    CorpusBatchView,
    CorpusDiff,
    CorpusVersions,
    CorpusVersionView,
    RemovedDocument,
    RemovedDocuments,
    Restored,
    RestoreRequest,
)
from shared.cli import screen
from shared.cli.client import AnyModel, answer_of, client_of, daemon, request_of
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.cli.tables import Column, readable
from shared.cli.target import target_of
from shared.embedded.layout import layout_of

group = typer.Typer(no_args_is_help=True, help="The corpus: versions, what was removed and why, quarantine.")

CLEANER = "cleaner"
WIDTH = 48
MINUTE = "%Y-%m-%d %H:%M"
NONE_LEFT_OUT = "no batch is left out of the next version"
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="List so many at most.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the record; at most 500 characters.")]
Earlier = Annotated[int, typer.Argument(metavar="A", help="The earlier version's number.")]
Later = Annotated[int, typer.Argument(metavar="B", help="The later one's.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="A batch's id, as `plumb corpus batches` shows it.")]
RemovedIds = Annotated[list[str], typer.Argument(metavar="IDS...", help="Ids, as `plumb corpus removed` shows them.")]
WithWhy = Annotated[bool, typer.Option("--why", help="Show for each the text, and the one that is kept in its place.")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="Up to this version; default: the last one.")]
OnlyReason = Annotated[str | None, typer.Option("--only", help="Only what was removed for this reason, e.g. too-long.")]
Document = Annotated[str | None, typer.Option("--document", help="Only documents of this id.")]
Quarantined = Annotated[bool, typer.Option("--quarantined", help="Only those that are left out.")]


@group.command()
def versions(
    *,
    limit: Limit = 20,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """List the corpus versions: what they hold, how much is new, held out, superseded and removed."""
    found = _get(state_dir, f"/v1/domains/{domain}/corpus/versions", CorpusVersions, {"limit": limit})
    if as_json:
        screen.show_json(found)
        return
    console = screen.stdout()
    console.print(readable(_of_versions(found.versions), width=console.width))


@group.command()
def removed(
    *,
    why: WithWhy = False,
    version: Version = None,
    only: OnlyReason = None,
    document: Document = None,
    limit: Limit = 20,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """List what did not get into the corpus: stage, reason, score and, of duplicates, the document that is kept instead."""
    query = {"version": version, "reason": only, "document_id": document, "limit": limit}
    found = _get(state_dir, f"/v1/domains/{domain}/corpus/removed", RemovedDocuments, query)
    if as_json:
        screen.show_json(found)
        return
    counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(found.counts.items())) or "nothing"
    until = f"up to version {found.number}" if found.number else "before the first version"
    screen.stdout().print(f"removed {until}: {counts}", soft_wrap=True)
    console = screen.stdout()
    if not found.documents:
        if found.counts:
            console.print("none of them is asked for; --only takes a reason as it is named above", soft_wrap=True)
    elif why:
        console.print(_whole(found.documents), soft_wrap=True)
    else:
        console.print(readable(_overview(found.documents), width=console.width))


@group.command()
def restore(
    removed_ids: RemovedIds,
    *,
    reason: Why = "restored by the operator",
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Bring removed documents back: the next version holds them, whatever they are like."""
    request = request_of(RestoreRequest, removed_ids=removed_ids, reason=reason)
    done = _post(state_dir, f"/v1/domains/{domain}/corpus/restore", request, Restored)
    if as_json:
        screen.show_json(done)
    else:
        typer.echo(f"{done.num_documents:,} documents come back with the next version. Next: `plumb train now`")


@group.command()
def diff(
    earlier: Earlier,
    later: Later,
    *,
    limit: Limit = 20,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show how two corpus versions differ: documents added, removed and changed, and in which fields."""
    query = {"earlier": earlier, "later": later, "limit": limit}
    found = _get(state_dir, f"/v1/domains/{domain}/corpus/diff", CorpusDiff, query)
    if as_json:
        screen.show_json(found)
        return
    echo = screen.stdout().print
    echo(
        f"from version {earlier} to {later}: {found.num_added:,} added, {found.num_removed:,} removed, "
        f"{found.num_changed:,} changed, {found.num_unchanged:,} unchanged",
        soft_wrap=True,
    )
    for sign, ids in (("+", found.added), ("-", found.removed)):
        for one in ids:
            echo(Text(f"{sign} {one}"), soft_wrap=True)
    for change in found.changed:
        echo(Text(f"~ {change.document_id}: {', '.join(change.fields)}"), soft_wrap=True)


@group.command()
def batches(
    *,
    quarantined: Quarantined = False,
    limit: Limit = 20,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """List the batches of the corpus, what cleaning did to them, and which are left out of the next version."""
    query = {"quarantined": quarantined, "limit": limit}
    found = _get(state_dir, f"/v1/domains/{domain}/corpus/batches", CorpusBatches, query)
    _show_batches(found, as_json=as_json, none=NONE_LEFT_OUT if quarantined else "no batches")


@group.command()
def quarantine(
    batch_id: BatchId,
    *,
    reason: Why = "left out by the operator",
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Leave a batch out of the next versions, until it is put back."""
    path = f"/v1/domains/{domain}/corpus/batches/{batch_id}/quarantine"
    left_out = _post(state_dir, path, request_of(BatchOrder, reason=reason), CorpusBatches)
    _show_batches(left_out, as_json=as_json, none=NONE_LEFT_OUT)


@group.command(name="put-back")
def put_back(
    batch_id: BatchId,
    *,
    reason: Why = "put back by the operator",
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Take a batch out of quarantine: the next version holds it again."""
    path = f"/v1/domains/{domain}/corpus/batches/{batch_id}/put-back"
    left_out = _post(state_dir, path, request_of(BatchOrder, reason=reason), CorpusBatches)
    _show_batches(left_out, as_json=as_json, none=NONE_LEFT_OUT)


def _get(state_dir: Path, path: str, model: type[AnyModel], query: Mapping[str, str | int | bool | None]) -> AnyModel:
    given = {name: value for name, value in query.items() if value is not None}
    with daemon(layout_of(state_dir), CLEANER) as client:
        return answer_of(client.get(path, params=given), model)


def _post(state_dir: Path, path: str, body: RestoreRequest | BatchOrder, model: type[AnyModel]) -> AnyModel:
    layout = layout_of(state_dir)
    target = target_of(layout)
    with client_of(target, layout, CLEANER) as client:
        return answer_of(client.post(path, json=body.model_dump(mode="json"), headers=target.as_operator()), model)


def _show_batches(found: CorpusBatches, *, as_json: bool, none: str) -> None:
    if as_json:
        screen.show_json(found)
        return
    console = screen.stdout()
    console.print(readable(_of_batches(found.batches), width=console.width) if found.batches else none)


def _of_versions(found: Sequence[CorpusVersionView]) -> tuple[Column, ...]:
    def numbers(name: str, of: Callable[[CorpusVersionView], int], rank: int = 0) -> Column:
        return Column(heading=name, cells=[f"{of(one):,}" for one in found], rank=rank, is_number=True)

    left_out = [f" ({one.num_quarantined_batches:,} left out)" if one.num_quarantined_batches else "" for one in found]
    batches = [f"{one.num_batches:,}{told}" for one, told in zip(found, left_out, strict=True)]
    return (
        numbers("no.", lambda one: one.number),
        Column(heading="corpus", cells=[screen.short(one.corpus_digest) for one in found]),
        Column(heading="cut", cells=[f"{one.cut_at:{MINUTE}}" for one in found]),
        numbers("documents", lambda one: one.num_documents),
        numbers("new", lambda one: one.num_new_documents),
        numbers("held out", lambda one: one.num_held_out),
        numbers("removed", lambda one: sum(one.removed.values())),
        numbers("superseded", lambda one: one.num_superseded, rank=1),
        Column(heading="batches", cells=batches, rank=2),
        Column(heading="removed as", cells=[_listed(one.removed) for one in found], rank=3),
    )


def _of_batches(found: Sequence[CorpusBatchView]) -> tuple[Column, ...]:
    return (
        # An id is copied from here into the next command: all of it must be seen.
        Column(heading="batch", cells=[str(one.batch_id) for one in found]),
        Column(heading="cleaned", cells=[f"{one.cleaned_at:{MINUTE}}" for one in found], rank=1),
        Column(heading="documents", cells=[f"{one.num_documents:,}" for one in found], is_number=True),
        Column(heading="state", cells=["left out" if one.is_quarantined else "" for one in found]),
        Column(heading="rejected", cells=[_listed(one.rejected) for one in found], rank=2),
        Column(heading="masked", cells=[_listed(one.masked) for one in found], rank=3),
        Column(heading="changed", cells=[_listed(one.changed) for one in found], rank=4),
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items()) or "-"


def _overview(found: Sequence[RemovedDocument]) -> tuple[Column, ...]:
    return (
        Column(heading="id", cells=[one.removed_id for one in found]),
        Column(heading="reason", cells=[one.reason for one in found]),
        Column(heading="score", cells=[_score(one) for one in found], is_number=True, rank=1),
        Column(heading="document", cells=[_cut(one.document_id) for one in found], rank=2),
        Column(heading="kept instead", cells=[_cut(one.matched_document_id or "-") for one in found], rank=3),
    )


def _whole(documents: tuple[RemovedDocument, ...]) -> Text:
    lines = []
    for one in documents:
        lines += [
            f"{one.removed_id}",
            f"  {one.document_id} ({one.published_on or 'no date'}): {one.reason}, score {_score(one)}, by {one.step}",
            f"  text: {one.text}",
            *_labels(one.labels),
        ]
        if one.matched_document_id is not None:
            date = one.matched_published_on or "no date"
            lines += [f"  kept: {one.matched_document_id} ({date})", f"  text: {one.matched_text}"]
            lines += _labels(one.matched_labels)
    return Text("\n".join(lines))


def _labels(labels: Sequence[str]) -> list[str]:
    return [f"  labels: {', '.join(labels)}"] if labels else []


def _score(one: RemovedDocument) -> str:
    return "-" if one.score is None else f"{one.score:.3g}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
