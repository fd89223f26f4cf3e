"""Cutting a JSONL file into batches, each line checked before anything is sent. Bounded memory, whatever the line's length."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from pydantic import ValidationError

from contracts.corpus import MAX_DOCUMENTS_PER_BATCH, Document
from shared.cli.errors import FileRefused

MAX_LINE_BYTES = 1_048_576
MAX_BATCH_BYTES = 8_000_000


@dataclass(frozen=True)
class Batch:
    """Lines that are sent together.

    Attributes:
        body: The lines, each ended by a newline; at most 8 MB.
        num_documents: How many lines, 1 to 5,000.
    """

    body: bytes
    num_documents: int


@dataclass(frozen=True)
class Census:
    """What a file holds: all its lines were checked."""

    num_documents: int
    num_bytes: int


def check_file(path: Path) -> Census:
    """Check every line.

    Raises:
        FileRefused: A line is too long or no document, or there is none; names file and line.
    """
    num_documents = num_bytes = 0
    with path.open("rb") as file:
        for line in documents_in(file, name=str(path)):
            num_documents += 1
            num_bytes += len(line)
    if num_documents == 0:
        raise FileRefused(f"{path} holds no document.", next_step="Give it one JSON object a line; see README.md.")
    return Census(num_documents, num_bytes)


def batches_of(path: Path) -> Iterator[Batch]:
    """Cut a file into batches of at most 5,000 documents and 8 MB.

    Raises:
        FileRefused: A line changed since it was checked.
    """
    lines: list[bytes] = []
    num_bytes = 0
    with path.open("rb") as file:
        for line in documents_in(file, name=str(path)):
            if len(lines) == MAX_DOCUMENTS_PER_BATCH or num_bytes + len(line) > MAX_BATCH_BYTES:
                yield Batch(b"".join(lines), len(lines))
                lines, num_bytes = [], 0
            lines.append(line)
            num_bytes += len(line)
    if lines:
        yield Batch(b"".join(lines), len(lines))


def documents_in(file: BufferedIOBase, *, name: str) -> Iterator[bytes]:
    """Yield the lines that hold a document, each ended by one newline; blank ones are passed over.

    Raises:
        FileRefused: A line is longer than 1 MiB, or no document.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 2):
        number += 1
        content = line.rstrip(b"\r\n")
        if len(content) > MAX_LINE_BYTES:
            raise FileRefused(
                f"{name}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes; nothing was sent.",
                next_step="Split the text into several documents (e.g. one per article) and send the file again.",
            )
        if content.strip():
            _check_document(content, where=f"{name}:{number}")
            yield content + b"\n"


def _check_document(line: bytes, *, where: str) -> None:
    try:
        Document.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        what = f"{field}: {first['msg']}" if field else first["msg"]
        raise FileRefused(
            f"{where}: not a document ({what}); nothing was sent.",
            next_step='Correct the line; it is one JSON object such as {"document_id": "1", "text": "..."}.',
        ) from error
