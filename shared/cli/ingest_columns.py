"""From the columns of a table to documents: which column is which field, and cells as field values. Pure."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from pydantic import ValidationError

from contracts.corpus import Document
from shared.cli.errors import ArgumentRefused, FileRefused, RowRefused

FIELDS = tuple(Document.model_fields)
MAX_LINE_BYTES = 1_048_576
"""A document as JSON; ingest takes no longer line."""
DERIVED_ID_CHARS = 32
_SEPARATOR = re.compile(r"[;；|]")
"""Between several labels in one cell."""
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]\d{1,2}:\d{2}.*)?")


OnBad = Callable[[RowRefused], None]
"""What is done about a row that is no document."""


def refuse(error: RowRefused) -> None:
    """Refuse the whole file for one row.

    Raises:
        RowRefused: Always.
    """
    raise error


def columns_given(options: Sequence[str]) -> dict[str, str]:
    """Return the columns that the user named, by field.

    Args:
        options: `FIELD=COLUMN` each.

    Raises:
        ArgumentRefused: One of them is something else.
    """
    pairs = [option.partition("=") for option in options]
    for field, equals, column in pairs:
        if field not in FIELDS or not equals or not column:
            raise ArgumentRefused(
                f"--column {field}{equals}{column} is not FIELD=COLUMN.",
                next_step=f"FIELD is one of {', '.join(FIELDS)}; COLUMN is a name in the file, e.g. --column text=正文.",
            )
    return {field: column for field, _, column in pairs}


def places_of(header: Sequence[str], given: Mapping[str, str], *, name: str) -> dict[str, int]:
    """Return where the fields are among the columns: those that the user named, else those that are called like a field.

    Raises:
        FileRefused: A named column or the text's is not there, or is there twice.
    """
    spelled = [column.strip().casefold() for column in header]
    places = {}
    for field in FIELDS:
        wanted = given.get(field, field).strip().casefold()
        if spelled.count(wanted) > 1:
            raise FileRefused(
                f"{name}: the column {wanted!r} is there {spelled.count(wanted)} times; nothing was sent.",
                next_step="Rename one of them in the file.",
            )
        if wanted in spelled:
            places[field] = spelled.index(wanted)
        elif field in given or field == "text":
            shown = ", ".join(header[:20])
            raise FileRefused(
                f"{name}: there is no column {given.get(field, field)!r}; nothing was sent. The columns are: {shown}",
                next_step=f"Say which one holds the {field}: --column {field}=COLUMN.",
            )
    return places


def line_of_cells(cells: Mapping[str, object], columns: Mapping[str, str], *, where: str) -> bytes:
    """Return the document of a row as a line of JSON, ended by a newline.

    Args:
        cells: By field, as the file holds them.
        columns: The columns' names by field, for messages.
        where: File and row.

    Raises:
        FileRefused: They are no document; says which column.
    """
    fields = {field: value for field, cell in cells.items() if (value := _value(field, cell)) is not None}
    if "document_id" not in cells:
        fields["document_id"] = derived_id(str(fields.get("text", "")))
    return line_of(fields, where=where, columns=columns)


def line_of(fields: Mapping[str, object], *, where: str, columns: Mapping[str, str]) -> bytes:
    """Return the document that has these fields as a line of JSON, ended by a newline.

    Raises:
        FileRefused: There is no such document.
    """
    try:
        document = Document.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0])
        column = columns.get(field, field)
        raise RowRefused(
            f"{where}, {'column ' if column in columns.values() else ''}{column}: {first['msg']}",
            next_step="Correct it, or take it out, and send the file again.",
        ) from error
    data = document.model_dump_json(exclude_defaults=True).encode() + b"\n"
    if len(data) > MAX_LINE_BYTES:
        raise RowRefused(
            f"{where}: as JSON the document is longer than {MAX_LINE_BYTES:,} bytes",
            next_step="Split the text into several documents and send the file again.",
        )
    return data


def derived_id(text: str) -> str:
    """Return the id of a document that came without one: it follows from the text, so that a repetition is the same document."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:DERIVED_ID_CHARS]


def _value(field: str, cell: object) -> object:
    """Return a cell as its field's value; None: it says nothing. What does not fit is left for the contract to refuse."""
    if isinstance(cell, bytes):
        cell = _decoded(cell)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return cell or "" if field in {"document_id", "text"} else None
    if field == "published_on":
        return _day(cell)
    if field == "labels" and isinstance(cell, str):
        return [label for part in _SEPARATOR.split(cell) if (label := part.strip())]
    if field == "entities" and isinstance(cell, str):
        return _from_json(cell)
    if isinstance(cell, int) and not isinstance(cell, bool) and field != "text":
        return str(cell)
    return cell


def _decoded(cell: bytes) -> object:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell


def _from_json(cell: str) -> object:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _day(cell: object) -> object:
    """Return a date as the contract reads it: spreadsheets write 2025/1/3, people 2025年1月3日."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, str) and (found := _DATE.fullmatch(cell.strip())):
        year, month, day = (int(part) for part in found.groups())
        try:
            return date(year, month, day)
        except ValueError:
            return cell
    return cell
