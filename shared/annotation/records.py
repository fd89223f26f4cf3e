"""What goes out to annotators and what comes back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import PermanentError


class AnnotationRefused(PermanentError):
    """A row of an annotation file cannot be taken; the others can.

    Attributes:
        row: The line of a JSON lines file, or the task of a JSON array, from 1.
    """

    def __init__(self, row: int, problem: str, *, next_step: str) -> None:
        super().__init__(f"row {row}: {problem}", next_step=next_step)
        self.row = row


@dataclass(frozen=True, order=True)
class Entity:
    """A labelled stretch of a text.

    Attributes:
        start, end: Code points from the text's begin; the end is exclusive.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True, kw_only=True)
class AnnotationDocument:
    """A document as it goes out.

    Attributes:
        document_id: Unique in its round.
        labels: Its classes as they are known or guessed, e.g. by a model; annotators see and may change them.
        entities: The same for stretches of the text.
    """

    document_id: str
    text: str
    labels: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the text, by which a changed text is noticed when it comes back."""
        return text_digest(self.text)


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What one annotator says of one document.

    Attributes:
        annotator: The tool's own name for a person; "unknown" if it gives none.
    """

    document_id: str
    annotator: str
    labels: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a file held.

    Attributes:
        annotations: In the file's order.
        refused: Rows that were left out, and why.
        num_skipped: Rows without an annotation, and annotations that their annotators cancelled.
    """

    annotations: tuple[Annotation, ...]
    refused: tuple[AnnotationRefused, ...]
    num_skipped: int


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def by_id(documents: Sequence[AnnotationDocument]) -> Mapping[str, AnnotationDocument]:
    """Return a round's documents by their ids.

    Raises:
        ValueError: Two documents have the same id.
    """
    known = {document.document_id: document for document in documents}
    if len(known) != len(documents):
        msg = "two documents of a round have the same id"
        raise ValueError(msg)
    return known


def known_document(
    row: int, document_id: object, text: object, documents: Mapping[str, AnnotationDocument]
) -> AnnotationDocument:
    """Return the document that a row is about.

    Raises:
        AnnotationRefused: The id is unknown, or the text is not the one that went out.
    """
    document = documents.get(document_id) if isinstance(document_id, str) else None
    if document is None:
        raise AnnotationRefused(
            row,
            f"no document of this round has the id {document_id!r}",
            next_step="keep the field document_id as exported",
        )
    if not isinstance(text, str) or text_digest(text) != document.digest:
        raise AnnotationRefused(
            row,
            f"the text of {document.document_id!r} is not the one that was exported",
            next_step="label the text as it is, or submit the changed text as a new document first",
        )
    return document


def checked_entity(row: int, entity: Entity, text: str) -> Entity:
    """Return an entity whose offsets are code points, as it is.

    Raises:
        AnnotationRefused: It is empty, reaches out of the text, or has no label.
    """
    if not 0 <= entity.start < entity.end <= len(text):
        problem = f"the entity {entity.start} to {entity.end} is not inside a text of {len(text)} characters"
        raise AnnotationRefused(row, problem, next_step="mark the entity again in the labelling tool")
    if not entity.label:
        raise AnnotationRefused(row, "an entity has no label", next_step="choose a label in the labelling tool")
    return entity


def text_field(row: int, record: Mapping[str, Any], name: str) -> str:
    """Return a field that must be text.

    Raises:
        AnnotationRefused: It is absent or something else.
    """
    value = record.get(name)
    if not isinstance(value, str):
        raise AnnotationRefused(
            row, f"the field {name} is no text", next_step="export the file from the labelling tool again"
        )
    return value


def whole_number(row: int, value: object, name: str) -> int:
    """Return a field that must be a whole number.

    Raises:
        AnnotationRefused: It is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise AnnotationRefused(
            row, f"{name} is no whole number", next_step="export the file from the labelling tool again"
        )
    return value


def to_utf16(text: str, at: int) -> int:
    """Return an offset in code points as one in UTF-16 code units, which browsers count in.

    Example:
        >>> to_utf16("𠮷野家", 1)
        2
    """
    return at + sum(character > "\uffff" for character in text[:at])


def from_utf16(text: str, at: int) -> int:
    """Return an offset in UTF-16 code units as one in code points; one past the end stays past it.

    An offset between the two halves of a character means the character's begin.
    """
    if at < 0:
        return at
    units = text.encode("utf-16-le", "surrogatepass")
    if 2 * at > len(units):
        return len(text) + at - len(units) // 2
    return len(units[: 2 * at].decode("utf-16-le", "ignore"))
