"""The folder of an annotation round: the documents as they went out, what the tool imports, and what came of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.corpus import Document
from shared.annotation.doccano import from_doccano
from shared.annotation.label_studio import from_label_studio
from shared.annotation.records import Annotation, AnnotationRefused, Imported
from shared.annotation.rounds import Task, Tool, going_out
from shared.cli.batches import Reading
from shared.cli.errors import ArgumentRefused, FileRefused
from shared.cli.given_documents import documents_of_files
from shared.files import make_folders, write_atomically

ROUND = "round.json"
DOCUMENTS = "documents.jsonl"
LABELLED = "labelled.jsonl"


class Round(BaseModel):
    """What was asked for.

    Attributes:
        domain: Whose documents these are.
    """

    model_config = ConfigDict(frozen=True)

    tool: Tool
    task: Task
    domain: str


def check_new(folder: Path) -> None:
    """Let a folder pass that holds nothing yet.

    Raises:
        ArgumentRefused: It does: a round is never overwritten, since what comes back is compared with what went out.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ArgumentRefused(f"{folder} is not empty.", next_step="Name another folder for the new round.")


def write_round(folder: Path, asked: Round, documents: Sequence[Document], files: dict[str, str]) -> None:
    """Write a new round; its last file is what makes it one."""
    make_folders(folder)
    write_atomically(folder / DOCUMENTS, as_lines(documents))
    for name, content in files.items():
        write_atomically(folder / name, content.encode())
    write_atomically(folder / ROUND, asked.model_dump_json(indent=2).encode())


def read_round(folder: Path) -> tuple[Round, list[Document]]:
    """Return a round as it went out.

    Raises:
        FileRefused: It is none.
    """
    try:
        asked = Round.model_validate_json((folder / ROUND).read_bytes())
    except (OSError, ValidationError) as error:
        raise FileRefused(
            f"{folder} is no round: {ROUND} cannot be read.", next_step="Name the folder of `plumb annotate export`."
        ) from error
    return asked, list(documents_of_files([folder / DOCUMENTS], Reading()))


def read_annotations(path: Path, tool: Tool, documents: Sequence[Document]) -> Imported:
    """Return what a file that the tool exported says of a round's documents.

    Raises:
        FileRefused: It cannot be read, or it is nothing that the tool exports.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
        if tool is Tool.LABEL_STUDIO:
            return from_label_studio(content, going_out(documents))
        return from_doccano(content, going_out(documents), annotator=path.stem)
    except (OSError, UnicodeDecodeError, AnnotationRefused) as error:
        step = error.next_step if isinstance(error, AnnotationRefused) else None
        raise FileRefused(
            f"{path}: {error}; nothing was sent.", next_step=step or "Name the file that the tool exported."
        ) from error


def annotated_at(paths: Sequence[Path]) -> datetime:
    """Return when the newest of the files was written: the same files give the same documents, and later ones newer."""
    return datetime.fromtimestamp(int(max(path.stat().st_mtime for path in paths)), UTC)


def all_annotations(parts: Sequence[Imported]) -> list[Annotation]:
    """Return what all files say, in their order."""
    return [one for part in parts for one in part.annotations]


def as_lines(documents: Sequence[Document]) -> bytes:
    """Return documents as `plumb ingest` takes them."""
    return b"".join(one.model_dump_json(exclude_defaults=True).encode() + b"\n" for one in documents)
