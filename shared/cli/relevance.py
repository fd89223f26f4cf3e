"""`plumb relevance`: what a domain's texts are like, as a model that the cleaner rejects others by."""

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict
from rich.table import Table
from rich.text import Text

from contracts.corpus import Document
from shared.cli import screen
from shared.cli.annotate import Given
from shared.cli.batches import Reading
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.given_documents import documents_given
from shared.cli.ingest import Columns, Encoding, OfFormat
from shared.cli.ingest_columns import columns_given
from shared.cli.ingest_text import encoding_named
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.embedded.layout import layout_of
from shared.files import write_atomically
from shared.relevance.counts import CountsRefused
from shared.relevance.fit import RelevanceFit
from shared.relevance.model import RelevanceModel, Verdict

DOCUMENTS_AT_A_TIME = 20_000
"""Every part that is counted costs as much as its tables, whatever it holds."""
TEXT_CHARS = 60

group = typer.Typer(no_args_is_help=True, help="Fit and try the model by which the cleaner knows a domain's texts.")

Output = Annotated[Path, typer.Option("--output", dir_okay=False, help="The model; DOMAIN.relevance for the cleaner.")]
ModelFile = Annotated[
    Path, typer.Option("--model", exists=True, dir_okay=False, help="What `plumb relevance fit` wrote.")
]
Lowest = Annotated[
    int, typer.Option("--lowest", min=0, max=1000, help="Show so many documents with the lowest scores.")
]


class ScoredDocument(BaseModel):
    """A document with its score.

    Attributes:
        score: Nats a character, from about -20 to 0; higher is nearer to the domain.
    """

    model_config = ConfigDict(frozen=True)

    document_id: str
    score: float
    verdict: Verdict
    text: str


class Scores(BaseModel):
    """What `plumb relevance score --json` prints.

    Attributes:
        counts: Documents by verdict.
        lowest: Those with the lowest scores, the lowest first.
    """

    model_config = ConfigDict(frozen=True)

    typical: float
    flag_below: float
    reject_below: float
    counts: dict[Verdict, int]
    lowest: tuple[ScoredDocument, ...]


@group.command()
def fit(
    files: Given = None,
    *,
    output: Output,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Fit a model to what a domain's corpus holds: the newest version of the state directory, or files of good texts."""
    if not output.absolute().parent.is_dir():
        raise ArgumentRefused(f"There is no folder {output.parent}.", next_step="Make it, or name another --output.")
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding))
    given = documents_given(files or [], reading, format_given, layout_of(state_dir), domain)
    fitting = RelevanceFit()
    for part in _parts(given):
        fitting.add([one.text for one in part], [one.split_group for one in part])
    model = fitting.model()
    write_atomically(output, model.to_bytes())
    typer.echo(
        f"{model.counts.num_documents:,} documents, {model.counts.num_characters:,} characters; typical score "
        f"{model.typical:.2f}, rejected below {model.reject_below:.2f}"
    )
    typer.echo(f"Next: `plumb relevance score FILES --model {output}` shows what it would reject")


@group.command()
def score(  # noqa: PLR0913 (options of a command)
    files: Given = None,
    *,
    model_file: ModelFile,
    lowest: Lowest = 10,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show how many documents a model would keep, keep with a doubt, and reject, and which are the furthest from its domain."""
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding))
    given = documents_given(files or [], reading, format_given, layout_of(state_dir), domain)
    scores = _scored(_read(model_file), given, lowest)
    if as_json:
        screen.show_json(scores)
        return
    counts = scores.counts
    typer.echo(
        f"{counts[Verdict.KEEP]:,} of the domain, {counts[Verdict.FLAG]:,} kept with a doubt (below {scores.flag_below:.2f}), "
        f"{counts[Verdict.REJECT]:,} off-domain (below {scores.reject_below:.2f}); typical is {scores.typical:.2f}"
    )
    table = Table("score", "", "document", "text", box=None)
    for one in scores.lowest:
        table.add_row(f"{one.score:.2f}", one.verdict, Text(one.document_id), Text(one.text))
    if scores.lowest:
        screen.stdout().print(table)


def _scored(model: RelevanceModel, documents: Iterable[Document], lowest: int) -> Scores:
    counts: Counter[Verdict] = Counter()
    least: list[ScoredDocument] = []
    for part in _parts(documents):
        judged = list(zip(part, model.judge([one.text for one in part]), strict=True))
        counts.update(judgement.verdict for _, judgement in judged)
        bottom = nsmallest(lowest, judged, key=lambda pair: pair[1].score)
        found = [
            ScoredDocument(
                document_id=one.document_id, score=judgement.score, verdict=judgement.verdict, text=_beginning(one.text)
            )
            for one, judgement in bottom
        ]
        least = nsmallest(lowest, [*least, *found], key=lambda one: one.score)
    return Scores(
        typical=model.typical,
        flag_below=model.flag_below,
        reject_below=model.reject_below,
        counts={verdict: counts[verdict] for verdict in Verdict},
        lowest=tuple(least),
    )


def _parts(documents: Iterable[Document]) -> Iterator[list[Document]]:
    left = iter(documents)
    while part := list(islice(left, DOCUMENTS_AT_A_TIME)):
        yield part


def _beginning(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= TEXT_CHARS else f"{line[: TEXT_CHARS - 1]}…"


def _read(path: Path) -> RelevanceModel:
    try:
        return RelevanceModel.from_bytes(path.read_bytes())
    except CountsRefused as error:
        raise FileRefused(f"{path}: {error}", next_step=error.next_step) from error
