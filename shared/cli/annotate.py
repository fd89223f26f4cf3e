"""`plumb annotate`: rounds of labelling by people, in Label Studio or doccano."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from contracts.corpus import Document
from shared.annotation.agreement import Agreement, agreement
from shared.annotation.conflicts import LabelledText, label_conflicts
from shared.annotation.records import Imported
from shared.annotation.rounds import Outcome, Task, Tool, chosen, files_of, names_of, outcome
from shared.cli import screen
from shared.cli.annotation_rounds import (
    LABELLED,
    Round,
    all_annotations,
    annotated_at,
    as_lines,
    check_new,
    read_annotations,
    read_round,
    write_round,
)
from shared.cli.batches import Reading
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.given_documents import documents_given
from shared.cli.ingest import FILE_HELP, Columns, Encoding, OfFormat, ingest, that_exist
from shared.cli.ingest_columns import columns_given
from shared.cli.ingest_text import encoding_named
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, Domain, StateDir
from shared.embedded.layout import layout_of
from shared.files import write_atomically

NUM_SHOWN = 20
"""Rows that are left out, undecided documents and conflicts that are shown; of more, their number."""

group = typer.Typer(no_args_is_help=True, help="Have documents labelled by people, in Label Studio or doccano.")

Given = Annotated[
    list[Path] | None,
    typer.Argument(
        help=f"{FILE_HELP} None: the newest corpus version of the state directory.",
        dir_okay=False,
        callback=lambda paths: that_exist(paths or []),
    ),
]
RoundFolder = Annotated[Path, typer.Option("--round", help="The round's folder; keep it until the round is over.")]
InTool = Annotated[Tool, typer.Option("--tool", help="Where people label.")]
For = Annotated[Task, typer.Option("--task", help="One class a text, several, or stretches of it.")]
Names = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label to choose, beside those that documents have already; may be repeated."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Draw so many documents; default: all.")]
OnlyUnlabelled = Annotated[bool, typer.Option("--only-unlabelled", help="Leave out what has an answer already.")]
Exported = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...", help="What the tool exported: JSON, or JSON lines.", exists=True, dir_okay=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what came of the round, and send nothing.")]


@group.command()
def export(  # noqa: PLR0913 (options of a command)
    files: Given = None,
    *,
    folder: RoundFolder,
    tool: InTool,
    task: For,
    names: Names = None,
    limit: Limit = None,
    only_unlabelled: OnlyUnlabelled = False,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Write documents for a labelling tool, with the labels that they have as suggestions.

    Of several documents with one id the newest goes out.
    """
    check_new(folder)
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding))
    given = documents_given(files or [], reading, format_given, layout_of(state_dir), domain)
    known = set(names or ())
    documents = chosen(_noting(given, task, known), task=task, limit=limit, only_unlabelled=only_unlabelled)
    if not documents:
        raise FileRefused("There is no document to label.", next_step="Name other files, or drop --only-unlabelled.")
    if tool is Tool.LABEL_STUDIO and not known:
        raise ArgumentRefused(
            "There is no label to choose among.", next_step="Name them: --label 刑法 --label 民法商法"
        )
    written = files_of(tool, task, documents, known)
    write_round(folder, Round(tool=tool, task=task, domain=domain), documents, written)
    typer.echo(f"{len(documents):,} documents in {', '.join(str(folder / name) for name in written)}")
    typer.echo(f"Next: label them, then `plumb annotate import FILE --round {folder}`")


@group.command(name="import")
def import_round(
    files: Exported, *, folder: RoundFolder, dry_run: DryRun = False, state_dir: StateDir = DEFAULT_STATE_DIR
) -> None:
    """Take what people said, and send the labelled documents as `plumb ingest` does.

    The answer of more than half of a document's annotators counts; rows that do not fit the round are left out and listed.
    """
    asked, documents = read_round(folder)
    parts = [read_annotations(path, asked.tool, documents) for path in files]
    annotations = all_annotations(parts)
    try:
        found = outcome(documents, annotations, asked.task, annotated_at=annotated_at(files))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise FileRefused(
            f"A label cannot be taken: {'.'.join(map(str, first['loc']))}: {first['msg']}; nothing was sent.",
            next_step="Correct it in the labelling tool and export again.",
        ) from error
    _show_left_out(files, parts)
    _show(found, agreement(annotations), len({one.annotator for one in annotations}))
    _show_conflicts(found, asked.task)
    if not found.documents:
        raise FileRefused("No document was labelled; nothing was sent.", next_step="Label some, then export again.")
    labelled = folder / LABELLED
    write_atomically(labelled, as_lines(found.documents))
    if dry_run:
        typer.echo(f"{labelled} holds what would be sent")
    else:
        ingest([labelled], domain=asked.domain, state_dir=state_dir)


def _noting(documents: Iterable[Document], task: Task, known: set[str]) -> Iterator[Document]:
    """Yield the documents, and add the labels of all of them to those that are known: of those that stay at home, too."""
    for document in documents:
        known |= names_of(document, task)
        yield document


def _show_left_out(files: Sequence[Path], parts: Sequence[Imported]) -> None:
    problems = [(path, problem) for path, part in zip(files, parts, strict=True) for problem in part.refused]
    lines = [f"[yellow]left out[/] {escape(f'{path}, {problem}; {problem.next_step}')}" for path, problem in problems]
    _show_first(lines, "rows")


def _show(found: Outcome, agreed: Agreement, num_annotators: int) -> None:
    by = "1 annotator" if num_annotators == 1 else f"{num_annotators} annotators"
    typer.echo(
        f"{len(found.documents):,} documents labelled by {by}, {found.num_unanswered:,} not annotated, "
        f"{found.num_disputed:,} disputed"
    )
    if agreed.fleiss is not None:
        typer.echo(f"agreement beyond chance (Fleiss' kappa, 1 is all of it): {agreed.fleiss:.2f}")
    lines = [f"[yellow]undecided[/] {escape(document_id)}" for document_id in found.undecided]
    _show_first(lines, "documents")


def _show_conflicts(found: Outcome, task: Task) -> None:
    """Show texts that stand in the round twice and were labelled differently; all are sent as they are."""
    texts = []
    for one in found.documents:
        labels = {Task.CLASS: (one.label or "",), Task.CLASSES: one.labels, Task.ENTITIES: ()}[task]
        digest = hashlib.sha256(one.text.encode()).hexdigest()
        texts.append(LabelledText(document_id=one.document_id, digest=digest, labels=labels))
    sides = [
        "; ".join(f"{', '.join(ids)}: {', '.join(labels)}" for labels, ids in conflict.document_ids.items())
        for conflict in label_conflicts(texts)
    ]
    _show_first([f"[yellow]one text, several labels[/] {escape(side)}" for side in sides], "texts")


def _show_first(lines: Sequence[str], what: str) -> None:
    console = screen.stderr()
    for line in lines[:NUM_SHOWN]:
        console.print(line, soft_wrap=True)
    if len(lines) > NUM_SHOWN:
        console.print(f"and {len(lines) - NUM_SHOWN:,} {what} more")
