"""From a body's bytes to its records, one by one, each a document or a refusal with its line and its reason."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from contracts.corpus import MAX_TEXT_CHARS
from services.ingest.core.records import Record, RecordRefused, record_of_json
from shared.errors import InvalidDocuments

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DERIVED_ID_CHARS = 32
MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARS
_PIECES = re.compile(rb"\n(?:[ \t\r]*+\n)*+|[^\n]+")
"""A line's end with all blank lines behind it, or what stands between ends: a small packed body may hold millions of them."""


class Entry(NamedTuple):
    """What one line or row holds.

    Attributes:
        number: The line or row, from 1.
        num_bytes: How much of the body it is.
        record: The document; None: there is none,
        reason: and why.
        raw: What came, of a refused one; of something too long, the beginning.
        is_cut: Whether `raw` is only the beginning.
    """

    number: int
    num_bytes: int
    record: Record | None
    reason: str = ""
    raw: bytes = b""
    is_cut: bool = False


class Line(NamedTuple):
    """A line without its end; of one that is too long, the beginning."""

    number: int
    data: bytes
    is_too_long: bool = False


def lines_of(blocks: Iterable[bytes], *, max_bytes: int) -> Iterator[Line]:
    r"""Cut a body into lines; never more than a line and a block of it is held. Blank ones are counted and passed over.

    Args:
        blocks: The body, in pieces of any size.
        max_bytes: Longest line, its end not counted; the rest of a longer one is passed over.

    Example:
        >>> [(line.number, line.data) for line in lines_of([b"a", b"b\nc", b"\r\n\nd"], max_bytes=10)]
        [(1, b'ab'), (2, b'c\r'), (4, b'd')]
    """
    rest, number, is_passing = bytearray(), 1, False
    for block in blocks:
        for piece in _PIECES.findall(block):
            if piece.startswith(b"\n"):
                if rest and not rest.isspace():
                    yield _line(number, bytes(rest), max_bytes)
                number += piece.count(b"\n")
                rest, is_passing = bytearray(), False
            elif not is_passing:
                rest += piece
                if len(rest) > max_bytes and rest.isspace():
                    del rest[max_bytes + 1 :]
                elif len(rest) > max_bytes:
                    yield _line(number, bytes(rest), max_bytes)
                    rest, is_passing = bytearray(), True
    if rest and not rest.isspace():
        yield _line(number, bytes(rest), max_bytes)


def json_entries(blocks: Iterable[bytes], *, max_line_bytes: int) -> Iterator[Entry]:
    """Yield what the lines of a JSONL body hold; blank ones are passed over."""
    for number, line, is_too_long in lines_of(blocks, max_bytes=max_line_bytes):
        data = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if is_too_long:
            yield _too_long(number, data, max_line_bytes)
            continue
        if not data.strip():
            continue
        try:
            yield Entry(number, len(line), record_of_json(data))
        except RecordRefused as error:
            yield Entry(number, len(line), None, _not_utf8(data) or str(error), line)


def text_entries(blocks: Iterable[bytes], *, max_line_bytes: int) -> Iterator[Entry]:
    """Yield the lines of a plain text in UTF-8 as documents, under ids that follow from them; blank ones are passed over."""
    for number, line, is_too_long in lines_of(blocks, max_bytes=max_line_bytes):
        data = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if is_too_long:
            yield _too_long(number, data, max_line_bytes)
        elif data.strip():
            yield _text_entry(number, data.removesuffix(b"\r"), document_id=None)


def text_entry(blocks: Iterable[bytes], *, document_id: str) -> Iterator[Entry]:
    """Yield a plain text in UTF-8 as one document.

    Raises:
        InvalidDocuments: It is longer than any text may be.
    """
    text = bytearray()
    for block in blocks:
        text += block
        if len(text) > MAX_TEXT_BYTES:
            raise InvalidDocuments(
                f"the text is longer than {MAX_TEXT_CHARS:,} characters",
                next_step="cut it into several documents, or leave document_id out: then each line is one",
            )
    data = bytes(text).removeprefix(BYTE_ORDER_MARK)
    if data.strip():
        yield _text_entry(1, data, document_id=document_id)


def derived_id(text: str) -> str:
    """Return the id of a document that came without one, as `plumb ingest` does: it follows from the text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:DERIVED_ID_CHARS]


def _text_entry(number: int, data: bytes, *, document_id: str | None) -> Entry:
    if reason := _not_utf8(data):
        return Entry(number, len(data), None, reason, data)
    text = data.decode()
    if len(text) > MAX_TEXT_CHARS:
        return Entry(number, len(data), None, f"longer than {MAX_TEXT_CHARS:,} characters", data)
    return Entry(number, len(data), Record(document_id=document_id or derived_id(text), text=text))


def _not_utf8(data: bytes) -> str:
    """Return why bytes are no text, or nothing."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}: convert it, or send the file with `plumb ingest --encoding`, e.g. gb18030"
    return ""


def _line(number: int, data: bytes, max_bytes: int) -> Line:
    return Line(number, data[:max_bytes], is_too_long=True) if len(data) > max_bytes else Line(number, data)


def _too_long(number: int, data: bytes, max_line_bytes: int) -> Entry:
    return Entry(number, len(data), None, f"longer than {max_line_bytes:,} bytes", data, is_cut=True)
