"""Text in whatever encoding it came: CSV tables with a header row, and plain text."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.corpus import MAX_TEXT_CHARS
from shared.cli.errors import ArgumentRefused, FileRefused, RowRefused
from shared.cli.ingest_columns import OnBad, derived_id, line_of, line_of_cells, places_of, refuse

BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
MAX_LINE_CHARS = 1_048_576
DELIMITERS = ",\t;|"
SNIPPET_BYTES = 4096
SNIPPET_CHARS = 40


class Split(StrEnum):
    """What of a plain text file is a document."""

    FILE = "file"
    LINES = "lines"


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """Decoded text, line by line.

    Attributes:
        name: The file, for messages.
    """

    name: str
    text: "io.TextIOWrapper[Any]"

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends.

        Raises:
            FileRefused: One is longer than 1,048,576 characters; none is ever held that is longer.
        """
        number = 0
        while line := self.text.readline(MAX_LINE_CHARS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARS:
                raise FileRefused(
                    f"{self.name}:{number}: the line is longer than {MAX_LINE_CHARS:,} characters; nothing was sent.",
                    next_step="Split the text into several documents (e.g. one per article) and send the file again.",
                )
            # A mark that the codec leaves (GB18030, or UTF-8 that was marked twice) is no part of the first column's name.
            yield line.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") if number == 1 else line


def encoding_named(name: str | None) -> str | None:
    """Return the encoding that the user named, if Python knows it.

    Raises:
        ArgumentRefused: It does not.
    """
    try:
        return codecs.lookup(name).name if name else None
    except LookupError:
        raise ArgumentRefused(
            f"--encoding: {name!r} is no encoding.", next_step="Common ones: utf-8, gb18030, big5, utf-16."
        ) from None


@contextmanager
def decoded(file: "io.BufferedReader[Any]", *, name: str, encoding: str | None) -> Iterator[TextFile]:
    """Open bytes as text: in the encoding that was named, else in the one that a byte order mark says, else as UTF-8.

    Raises:
        FileRefused: They are not text in it.
    """
    start = file.peek(SNIPPET_BYTES)[:SNIPPET_BYTES]
    marked = next((codec for mark, codec in BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    text = io.TextIOWrapper(file, encoding=chosen, errors="strict", newline="")
    try:
        yield TextFile(name=name, text=text)
    except UnicodeError as error:
        raise _not_text(start, name=name, encoding=chosen) from error
    finally:
        text.detach()


def csv_lines(file: TextFile, columns: Mapping[str, str], on_bad: OnBad = refuse) -> Iterator[bytes]:
    """Yield the documents of a CSV file (RFC 4180, whatever the delimiter) whose first row names the columns.

    Args:
        file: The table. Rows are counted as a spreadsheet shows them: the header is row 1.
        columns: Names of columns by field, where they are not called like the field.
        on_bad: Is told of a row that is no document.

    Raises:
        FileRefused: It is no such table, or what `on_bad` raises.
    """
    lines = file.lines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return
    delimiter = first[4] if _is_excels_hint(first) else _delimiter_of(first)
    reader = csv.reader(_and_then("" if _is_excels_hint(first) else first, lines), delimiter=delimiter, strict=True)
    rows = _rows(reader, file.name)
    _, header = next(rows, (1, []))
    places = places_of(header, columns, name=file.name)
    named = {field: header[place] for field, place in places.items()}
    for number, row in rows:
        where = f"{file.name}: row {number} (line {reader.line_num})"
        try:
            line = _line_of_row(row, len(header), places, named, where=where)
        except RowRefused as error:
            on_bad(error)
            continue
        if line is not None:
            yield line


def text_lines(file: TextFile, split: Split, on_bad: OnBad = refuse) -> Iterator[bytes]:
    """Yield the documents of a plain text file: the file, under its path as id, or each line that holds something.

    Raises:
        FileRefused: It is none, or too long.
    """
    if split is Split.LINES:
        for number, line in enumerate(file.lines(), start=1):
            text = line.rstrip("\r\n")
            if not text.strip():
                continue
            fields = {"document_id": derived_id(text), "text": text}
            try:
                line_found = line_of(fields, where=f"{file.name}:{number}", columns={})
            except RowRefused as error:
                on_bad(error)
                continue
            yield line_found
        return
    text = file.text.read(MAX_TEXT_CHARS + 2).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    if not text.strip():
        raise FileRefused(f"{file.name} holds no text; nothing was sent.", next_step="Leave it out.")
    if len(text) > MAX_TEXT_CHARS:
        raise FileRefused(
            f"{file.name} is longer than {MAX_TEXT_CHARS:,} characters; nothing was sent.",
            next_step="Split it into several files (e.g. one per article), or make each line a document: --split lines.",
        )
    yield line_of({"document_id": file.name, "text": text}, where=file.name, columns={})


def _line_of_row(
    row: list[str], num_columns: int, places: Mapping[str, int], named: Mapping[str, str], *, where: str
) -> bytes | None:
    """Return a row's document; None where all cells are empty."""
    if len(row) != num_columns:
        raise RowRefused(
            f"{where}: it has {len(row)} cells, the header {num_columns}",
            next_step="Put cells that hold the delimiter or a line break between double quotes, as spreadsheets do.",
        )
    if not any(cell.strip() for cell in row):
        return None
    return line_of_cells({field: row[place] for field, place in places.items()}, named, where=where)


def _rows(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:  # noqa: ANN401 (csv does not name its readers' class)
    """Yield the rows that hold a cell, with their numbers."""
    # The module knows one limit for all; its own is below the longest text of the contract.
    csv.field_size_limit(MAX_LINE_CHARS)
    number = 0
    try:
        for row in reader:
            number += 1
            if row:
                yield number, row
    except csv.Error as error:
        raise FileRefused(
            f"{name}: row {number + 1} (line {reader.line_num}): {error}; nothing was sent.",
            next_step="A double quote may be missing or too many: a quote within a quoted cell is written twice.",
        ) from error


def _delimiter_of(header: str) -> str:
    """Return the delimiter that cuts the header into most columns."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter))))


def _is_excels_hint(line: str) -> bool:
    """Whether it is `sep=;`, by which Excel is told the delimiter."""
    bare = line.rstrip("\r\n")
    return bare.startswith("sep=") and len(bare) == len("sep=;")


def _and_then(first: str, lines: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from lines


def _not_text(start: bytes, *, name: str, encoding: str) -> FileRefused:
    chinese = start.decode("gb18030", errors="replace").split("\n")[0][:SNIPPET_CHARS].strip()
    return FileRefused(
        f"{name}: it is not text in {encoding}; nothing was sent.",
        next_step="Chinese tables saved by Excel are often GB18030: try --encoding gb18030, in which this file begins: "
        f"{chinese}",
    )
