"""From bytes to a batch of documents: all of it, or a refusal that says which line, which field, what is wrong and what to do."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.corpus import BatchReceived, Document, DocumentsSubmitted
from contracts.envelope import derived_id
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments

BATCH_NAMESPACE = UUID("6a2f43a4-5a5c-5d0e-9d3b-0d1f6a1c7e11")
"""Names batches; pinned, since a change would take an upload that is known already for a new one."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CORRECT = "correct it and send the whole batch again; nothing of it was taken"
SPLIT = "split the input into smaller batches and send each; nothing of this one was taken"


class BatchTooLarge(InvalidDocuments):
    """A batch goes beyond a limit; reading it stopped there."""


class BatchParser:
    """Reads JSONL chunk by chunk; holds the documents so far and at most one unfinished line.

    Example:
        >>> parser = BatchParser(BatchLimits())
        >>> parser.feed(b'{"document_id": "a", "te')
        >>> parser.feed(b'xt": "A clause."}')
        >>> [document.document_id for document in parser.finish()]
        ['a']
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._seen = SeenTexts("line")
        self._documents: list[Document] = []
        self._rest = bytearray()
        self._num_bytes = 0
        self._num_lines = 0

    def feed(self, chunk: bytes) -> None:
        """Read on.

        Raises:
            BatchTooLarge: A line, or the batch, is longer than its limit.
            InvalidDocuments: A line is no document.
        """
        self._num_bytes += len(chunk)
        first, *others = chunk.split(b"\n")
        self._grow(first)
        for part in others:
            self._end_line()
            self._grow(part)
        if self._num_bytes > self._limits.batch_bytes:
            raise BatchTooLarge(f"the batch is longer than {self._limits.batch_bytes:,} bytes", next_step=SPLIT)

    def finish(self) -> tuple[Document, ...]:
        """Return all documents.

        Raises:
            BatchTooLarge: A limit was passed.
            InvalidDocuments: The last line is no document, or there was none at all.
        """
        self._end_line()
        if not self._documents:
            raise InvalidDocuments("the batch holds no document", next_step="send one JSON object a line")
        return tuple(self._documents)

    def _grow(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > self._limits.line_bytes:
            what = f"line {self._num_lines + 1}: longer than {self._limits.line_bytes:,} bytes"
            raise BatchTooLarge(what, next_step="cut the text into several documents; nothing of the batch was taken")

    def _end_line(self) -> None:
        line = bytes(self._rest)
        self._rest.clear()
        self._num_lines += 1
        if self._num_lines == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.strip():
            return
        if len(self._documents) == self._limits.documents:
            raise BatchTooLarge(f"the batch holds more than {self._limits.documents:,} documents", next_step=SPLIT)
        document = parse_line(line, self._num_lines)
        self._seen.add(document, self._num_lines)
        self._documents.append(document)


def parse_line(line: bytes, number: int) -> Document:
    """Return the document of one line.

    Args:
        line: A JSON object in UTF-8.
        number: The line's number for the message, from 1.

    Raises:
        InvalidDocuments: It is none.
    """
    try:
        return Document.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidDocuments(f"line {number}: {_explain(first)}", next_step=CORRECT) from None


def _explain(error: ErrorDetails) -> str:
    if error["type"] == "json_invalid":
        # The parser counts lines inside the one line that it was given.
        return error["msg"].replace("Invalid JSON", "not JSON").replace("at line 1 column", "at column")
    if not error["loc"]:
        return "not a JSON object"
    field = ".".join(str(part) for part in error["loc"])
    return f"field {field!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"


class SeenTexts:
    """Which text each document id of a batch stands for.

    The same text twice is fine, the cleaner recognises it; two texts under one id in one batch leave open which one holds.
    """

    def __init__(self, unit: str) -> None:
        """Start with none.

        Args:
            unit: What is counted, for the message: `line` or `document`.
        """
        self._unit = unit
        self._first: dict[str, tuple[int, str]] = {}

    def add(self, document: Document, number: int) -> None:
        """Take a document.

        Raises:
            InvalidDocuments: Its id stands for another text already.
        """
        first, text = self._first.setdefault(document.document_id, (number, document.text))
        if text != document.text:
            what = f"{document.document_id!r} stands for another text on {self._unit} {first}"
            raise InvalidDocuments(
                f"{self._unit} {number}: field 'document_id': {what}",
                next_step="give each text its own id, or send a later version in a later batch; nothing was taken",
            )


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A valid batch that came in.

    Attributes:
        content_digest: SHA-256 of the documents, whatever form they came in.
    """

    batch_id: UUID
    event_id: UUID
    causation_id: UUID | None
    domain: str
    occurred_at: datetime
    source: Literal["http", "kafka"]
    documents: tuple[Document, ...]
    content_digest: str

    def announcement(self, raw_digest: str) -> BatchReceived:
        """Return the event that says so.

        Args:
            raw_digest: The artifact that holds the documents.
        """
        return BatchReceived(
            event_id=self.event_id,
            causation_id=self.causation_id,
            occurred_at=self.occurred_at,
            domain=self.domain,
            batch_id=self.batch_id,
            raw_digest=raw_digest,
            num_documents=len(self.documents),
            num_bytes=text_bytes(self.documents),
            source=self.source,
        )


def uploaded(domain: str, documents: tuple[Document, ...], now: datetime) -> Arrival:
    """Return the arrival of an upload: the same documents for the same domain are the same batch and the same event."""
    digest = content_digest(documents)
    batch_id = derived_id(BATCH_NAMESPACE, domain, digest)
    return Arrival(
        batch_id=batch_id,
        event_id=derived_id(batch_id, BatchReceived.__name__),
        causation_id=None,
        domain=domain,
        occurred_at=now,
        source="http",
        documents=documents,
        content_digest=digest,
    )


def submitted(event: DocumentsSubmitted, now: datetime) -> Arrival:
    """Return the arrival of an event's documents: the same event in the same domain is the same batch.

    Raises:
        InvalidDocuments: One id stands for two texts.
    """
    seen = SeenTexts("document")
    for number, document in enumerate(event.documents, start=1):
        seen.add(document, number)
    return Arrival(
        batch_id=derived_id(event.event_id, "batch", event.domain),
        event_id=derived_id(event.event_id, BatchReceived.__name__, event.domain),
        causation_id=event.event_id,
        domain=event.domain,
        occurred_at=now,
        source="kafka",
        documents=event.documents,
        content_digest=content_digest(event.documents),
    )


def content_digest(documents: Iterable[Document]) -> str:
    """Return the SHA-256 of the documents, in hexadecimal."""
    content = hashlib.sha256()
    for document in documents:
        content.update(document.model_dump_json(exclude_defaults=True).encode() + b"\n")
    return content.hexdigest()


def text_bytes(documents: Iterable[Document]) -> int:
    """Return the size of the texts, in UTF-8 bytes."""
    return sum(len(document.text.encode()) for document in documents)
