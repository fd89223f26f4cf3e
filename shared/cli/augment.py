"""`plumb augment`: more texts to train on, made from those that there are; a file to look at, and to send with `plumb ingest`."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from contracts.corpus import Document
from shared.annotation.records import text_digest
from shared.augmentation.documents import Originals, made_document, originals_of, training_text
from shared.augmentation.synonym_files import SynonymsRefused, synonyms_in
from shared.cli.annotate import Given
from shared.cli.annotation_rounds import as_lines
from shared.cli.batches import Reading
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.given_documents import documents_given
from shared.cli.ingest import Columns, Encoding, OfFormat
from shared.cli.ingest_columns import columns_given
from shared.cli.ingest_text import encoding_named
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, Domain, StateDir
from shared.embedded.layout import layout_of
from shared.files import write_atomically
from shared.term_lists import terms_in

if TYPE_CHECKING:
    from shared.augmentation.chat import ChatEndpoint

DEFAULT_SHARE = 0.3
TEXTS_AT_A_TIME = 64

group = typer.Typer(no_args_is_help=True, help="Make more texts to train on; none of them is ever evaluated with.")

Output = Annotated[
    Path, typer.Option("--output", dir_okay=False, help="The file of made documents (JSONL); it is replaced.")
]
Lexicon = Annotated[
    Path,
    typer.Option(
        "--lexicon",
        exists=True,
        dir_okay=False,
        help="Synonyms: words of a line stand for each other, or word => word.",
    ),
]
Terms = Annotated[
    Path | None, typer.Option("--terms", exists=True, dir_okay=False, help="Terms that stay as they are, one a line.")
]
Share = Annotated[
    float, typer.Option("--share", min=0.01, max=1, help="Of the words that have synonyms, at least one.")
]
BaseUrl = Annotated[str, typer.Option("--url", help="An OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1.")]
Model = Annotated[str, typer.Option("--model", help="The model's name there.")]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="PLUMBLINE_TRANSLATION_KEY", show_envvar=True, help="Its bearer token."),
]
Language = Annotated[str, typer.Option("--language", help="The texts' language, as the model knows it.")]
Pivot = Annotated[str, typer.Option("--pivot", help="The language to go through.")]


@group.command()
def synonyms(  # noqa: PLR0913 (options of a command)
    files: Given = None,
    *,
    lexicon: Lexicon,
    output: Output,
    terms: Terms = None,
    share: Share = DEFAULT_SHARE,
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Make a text of each document by replacing words by synonyms; numbers, negations and modal words stay.

    The same files give the same texts.
    """
    # Imported here, since the dictionaries are loaded with them.
    from shared.augmentation.synonyms import SynonymReplacer, augmented_by_synonyms  # noqa: PLC0415

    _check(output)
    replacer = SynonymReplacer(_synonyms(lexicon), terms=_terms(terms))
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding))
    originals = originals_of(documents_given(files or [], reading, format_given, layout_of(state_dir), domain))
    made = []
    for document in originals.documents:
        text = augmented_by_synonyms(training_text(document), replacer, digest=text_digest(document.text), share=share)
        if text and (one := made_document(document, text)):
            made.append(one)
    write_atomically(output, as_lines(made))
    _tell(originals, made, output, {"without a word to replace": len(originals.documents) - len(made)})


@group.command(name="back-translation")
def back_translation(  # noqa: PLR0913 (options of a command)
    files: Given = None,
    *,
    url: BaseUrl,
    model: Model,
    output: Output,
    terms: Terms = None,
    api_key: ApiKey = None,
    language: Language = "Chinese",
    pivot: Pivot = "English",
    format_given: OfFormat = None,
    columns: Columns = None,
    encoding: Encoding = None,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Make a text of each document by having a language model translate it there and back; what lost its meaning is dropped."""
    from shared.augmentation.chat import ChatEndpoint  # noqa: PLC0415

    _check(output)
    key = SecretStr(api_key) if api_key else None
    endpoint = ChatEndpoint(base_url=url, model=model, api_key=key, language=language, pivot=pivot)
    reading = Reading(columns=columns_given(columns or []), encoding=encoding_named(encoding))
    originals = originals_of(documents_given(files or [], reading, format_given, layout_of(state_dir), domain))
    made: list[Document] = []
    faults: Counter[str] = Counter()
    try:
        asyncio.run(_translate(originals.documents, endpoint, _terms(terms), made, faults))
    finally:
        # What was paid for is kept, also where the endpoint goes away in the middle.
        write_atomically(output, as_lines(made))
        _tell(originals, made, output, faults)


async def _translate(
    documents: Sequence[Document],
    endpoint: "ChatEndpoint",
    terms: Sequence[str],
    made: list[Document],
    faults: Counter[str],
) -> None:
    from shared.augmentation.back_translation import augmented_by_back_translation  # noqa: PLC0415
    from shared.augmentation.chat import ChatBackTranslation  # noqa: PLC0415

    async with ChatBackTranslation(endpoint) as translation:
        for first in range(0, len(documents), TEXTS_AT_A_TIME):
            part = documents[first : first + TEXTS_AT_A_TIME]
            digests = [text_digest(one.text) for one in part]
            found = await augmented_by_back_translation(
                [training_text(one) for one in part], digests, translation, terms=terms
            )
            faults.update(fault.value for _, fault in found.faults)
            faulty = {position for position, _ in found.faults}
            used = [one for position, one in enumerate(part) if position not in faulty]
            pairs = zip(used, found.texts, strict=True)
            made += [one for document, text in pairs if (one := made_document(document, text))]


def _check(output: Path) -> None:
    if not output.absolute().parent.is_dir():
        raise ArgumentRefused(f"There is no folder {output.parent}.", next_step="Make it, or name another --output.")


def _tell(
    originals: Originals, made: Sequence[Document], output: Path, faults: "Counter[str] | dict[str, int]"
) -> None:
    left_out = {
        "held out for evaluation": originals.num_held_out,
        "made themselves": originals.num_made,
        "with entities": originals.num_with_entities,
        **faults,
    }
    shown = ", ".join(f"{count:,} ({why})" for why, count in left_out.items() if count)
    typer.echo(f"{len(made):,} documents made: {output}" + (f"; left out: {shown}" if shown else ""))
    if made:
        typer.echo(f"Next: look at them, then `plumb ingest {output}`")


def _synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    try:
        return synonyms_in(_text(path))
    except SynonymsRefused as error:
        raise FileRefused(f"{path}: {error}", next_step=error.next_step) from error


def _terms(path: Path | None) -> list[str]:
    return terms_in(_text(path)) if path else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path} is not UTF-8.", next_step="Save it as UTF-8.") from error
