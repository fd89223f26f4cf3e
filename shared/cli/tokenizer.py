"""`plumb tokenizer`: work on tokenizers that needs no mesh."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.child import run_child
from shared.cli import screen
from shared.cli.batches import Reading, lines_of
from shared.cli.errors import FileRefused
from shared.cli.ingest import that_exist
from shared.cli.ingest_files import readable_twice, source_of
from shared.cli.options import AsJson
from shared.errors import RunFailed
from shared.vocabulary_cut import CHILD, CutJob, CutReport

DEFAULT_COVERAGE = 0.99
"""On Chinese law that leaves Qwen2 a twentieth of its embedding; 0.95 saves 2 % more of it and makes text 5 % longer."""

group = typer.Typer(no_args_is_help=True, help="Work on tokenizers that needs no mesh.")

Model = Annotated[
    Path,
    typer.Argument(help="A folder with config.json, tokenizer.json and safetensors.", exists=True, file_okay=False),
]
Corpus = Annotated[
    list[Path],
    typer.Option(
        "--corpus", help="The domain's documents, as `plumb ingest` takes them; may be repeated.", callback=that_exist
    ),
]
Output = Annotated[
    Path, typer.Option("--output", help="The folder for the cut model; absent or empty.", file_okay=False)
]
Coverage = Annotated[
    float,
    typer.Option("--coverage", min=0.0, max=1.0, help="Share of token occurrences in the corpus that must stay whole."),
]


# An empty callback makes a group of it, though it has one command.
@group.callback()
def _group() -> None: ...


@group.command()
def cut(
    model: Model, *, corpus: Corpus, output: Output, coverage: Coverage = DEFAULT_COVERAGE, as_json: AsJson = False
) -> None:
    """Cut a general model's vocabulary to a domain's: byte-level BPE models such as Qwen2 or Llama 3, as safetensors.

    What stays has its old rows, and any text can still be written. Documents of held-out groups only measure.
    """
    with (
        tempfile.TemporaryDirectory(prefix="plumb-tokenizer-") as folder,
        screen.stderr().status("cutting the vocabulary"),
    ):
        documents = Path(folder) / "documents.jsonl"
        _write_documents(corpus, documents)
        job = CutJob(
            model=str(model.absolute()), output=str(output.absolute()), documents=str(documents), coverage=coverage
        )
        report = asyncio.run(_done(job, Path(folder)))
    if as_json:
        screen.show_json(report)
    else:
        _show(report, output)


def _write_documents(corpus: list[Path], target: Path) -> None:
    with readable_twice([source_of(path) for path in corpus]) as sources, target.open("wb") as file:
        for source in sources:
            file.writelines(lines_of(source, Reading()))
    if not target.stat().st_size:
        raise FileRefused("The corpus holds no document.", next_step="Give it one JSON object a line; see README.md.")


async def _done(job: CutJob, folder: Path) -> CutReport:
    job_file = folder / "job.json"
    job_file.write_text(job.model_dump_json(), encoding="utf-8")
    try:
        return CutReport.model_validate(await run_child(CHILD, job_file, on_progress=_ignore, niceness=0))
    except RunFailed as error:
        raise FileRefused(str(error)) from error


async def _ignore(_: dict[str, Any]) -> None:
    """A cut takes seconds and reports no progress."""


def _show(report: CutReport, output: Path) -> None:
    held_out = "" if report.coverage_held_out is None else f", {report.coverage_held_out:.2%} in held-out text"
    for line in (
        f"vocabulary   {report.vocab_before:,} -> {report.vocab_after:,} tokens",
        f"parameters   {report.parameters_before:,} -> {report.parameters_after:,}",
        f"embedding    {report.embedding_before:,} -> {report.embedding_after:,}: {report.embedding_saved:.1%} saved",
        f"coverage     {report.coverage:.2%} of the tokens stay whole{held_out}",
        f"fertility    {report.tokens_per_char_before:.3f} -> {report.tokens_per_char_after:.3f} tokens a character",
        f"round trip   {report.round_trip_after:.2%} of the documents (before: {report.round_trip_before:.2%})",
        f"written      {output}",
    ):
        typer.echo(line)
