"""Cutting documents into batches, each document checked before anything is sent. Bounded memory, whatever the files hold.

The cuts follow from the files alone, and ingest derives a batch's id from its documents: the same command again sends the same
batches, and adds nothing twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from itertools import chain

from pydantic import ValidationError

from contracts.corpus import MAX_DOCUMENTS_PER_BATCH, Document
from shared.cli.errors import FileRefused
from shared.cli.ingest_columns import MAX_LINE_BYTES, OnBad, refuse
from shared.cli.ingest_files import Format, Source, opened
from shared.cli.ingest_parquet import parquet_lines
from shared.cli.ingest_recoding import in_utf8
from shared.cli.ingest_text import Split, csv_lines, decoded, text_lines

MAX_BATCH_BYTES = 8_000_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are to be read.

    Attributes:
        columns: Names of columns by field, where they are not called like the field.
        encoding: Of all but Parquet; None: UTF-8, or of tables and plain text what a byte order mark says.
        split: What of a plain text file is a document.
        on_bad: Is told of a row of a table that is no document.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    split: Split = Split.FILE
    on_bad: OnBad = refuse


@dataclass(frozen=True)
class Batch:
    """Documents that are sent together.

    Attributes:
        body: One JSON object a line, each ended by a newline; at most 8 MB.
        num_documents: How many lines, 1 to 5,000.
    """

    body: bytes
    num_documents: int


@dataclass(frozen=True)
class Census:
    """What files hold: all their documents were checked."""

    num_documents: int
    num_bytes: int
    num_batches: int


def check(sources: Sequence[Source], reading: Reading, on_batch: Callable[[int], None] = lambda _: None) -> Census:
    """Check every document.

    Args:
        sources: What was given.
        reading: How.
        on_batch: Told how many documents were checked, batch by batch.

    Raises:
        FileRefused: One is too long or no document, or a file holds none; names the file and the line or row.
    """
    num_documents = num_bytes = num_batches = 0
    for run in runs_of(sources, reading):
        before = num_documents
        for batch in batches_of(run, reading):
            num_documents += batch.num_documents
            num_bytes += len(batch.body)
            num_batches += 1
            on_batch(batch.num_documents)
        if num_documents == before:
            raise FileRefused(
                f"{run[0].name} holds no document.", next_step="Give it one JSON object a line; see README.md."
            )
    return Census(num_documents, num_bytes, num_batches)


def runs_of(sources: Sequence[Source], reading: Reading) -> list[tuple[Source, ...]]:
    """Return the files that share batches: those that are one document each do, others have their own."""
    runs: list[tuple[Source, ...]] = []
    for source in sources:
        is_one = source.format is Format.TEXT and reading.split is Split.FILE
        if is_one and runs and runs[-1][-1].format is Format.TEXT:
            runs[-1] += (source,)
        else:
            runs.append((source,))
    return runs


def batches_of(run: Sequence[Source], reading: Reading) -> Iterator[Batch]:
    """Cut files that share batches into batches of at most 10,000 documents and 8 MB.

    Raises:
        FileRefused: A file holds something that is no document, or changed since it was checked.
    """
    return cut(chain.from_iterable(lines_of(source, reading) for source in run))


def cut(lines: Iterable[bytes]) -> Iterator[Batch]:
    """Cut documents, a line each, into batches."""
    kept: list[bytes] = []
    num_bytes = 0
    for line in lines:
        if len(kept) == MAX_DOCUMENTS_PER_BATCH or num_bytes + len(line) > MAX_BATCH_BYTES:
            yield Batch(b"".join(kept), len(kept))
            kept, num_bytes = [], 0
        kept.append(line)
        num_bytes += len(line)
    if kept:
        yield Batch(b"".join(kept), len(kept))


def lines_of(source: Source, reading: Reading) -> Iterator[bytes]:
    """Yield the documents of a file, checked: a line of JSON each, ended by one newline.

    Raises:
        FileRefused: Something in it is no document.
    """
    if source.format is Format.PARQUET:
        yield from parquet_lines(source.path, reading.columns, name=source.name, on_bad=reading.on_bad)
        return
    with opened(source) as file:
        if source.format is Format.JSONL:
            with in_utf8(file, name=source.name, encoding=reading.encoding) as recoded:
                yield from documents_in(recoded, name=source.name)
            return
        with decoded(file, name=source.name, encoding=reading.encoding) as text:
            if source.format is Format.CSV:
                yield from csv_lines(text, reading.columns, reading.on_bad)
            else:
                yield from text_lines(text, reading.split, reading.on_bad)


def documents_in(file: BufferedIOBase, *, name: str) -> Iterator[bytes]:
    """Yield the lines of a JSONL file that hold a document; blank ones are passed over.

    Raises:
        FileRefused: A line is longer than 1 MiB, or no document.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 2):
        number += 1
        content = line.rstrip(b"\r\n")
        if number == 1:
            content = content.removeprefix(BYTE_ORDER_MARK)
        if len(content) > MAX_LINE_BYTES:
            raise FileRefused(
                f"{name}:{number}: the line is longer than {MAX_LINE_BYTES:,} bytes; nothing was sent.",
                next_step="Split the text into several documents (e.g. one per article) and send the file again.",
            )
        if content.strip():
            _check(content, where=f"{name}:{number}")
            yield content + b"\n"


def _check(line: bytes, *, where: str) -> None:
    try:
        line.decode()
        Document.model_validate_json(line)
    except UnicodeDecodeError as error:
        raise FileRefused(
            f"{where}: not UTF-8 at byte {error.start}; nothing was sent.",
            next_step="Say in which encoding the file is, e.g. --encoding gb18030, or convert it.",
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field_name = ".".join(map(str, first["loc"]))
        what = f"{field_name}: {first['msg']}" if field_name else first["msg"]
        raise FileRefused(
            f"{where}: not a document ({what}); nothing was sent.",
            next_step='Correct the line; it is one JSON object such as {"document_id": "1", "text": "..."}. '
            "Of another kind of file, say which: --format csv, parquet or text.",
        ) from error
