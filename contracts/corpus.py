"""Events from a submitted document to a corpus version."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Contract, Digest, Event

MAX_TEXT_CHARS = 200_000
MAX_DOCUMENTS_PER_BATCH = 5_000


class Document(Contract):
    """One text of the domain, as a user submits it.

    Attributes:
        document_id: The user's own id; a later version of a text may reuse it.
        text: The text, 1 to 200,000 characters.
        label: The class that the classification head learns, e.g. a department of law; None: language model only.
        group: What must fall on one side of the held-out split, e.g. the law that an article belongs to; default: the id.
        published_on: The date of this version.
        source: Where it came from, for people.
    """

    document_id: Annotated[str, Field(min_length=1, max_length=300)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    label: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    group: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    published_on: date | None = None
    source: Annotated[str, Field(max_length=300)] | None = None

    @property
    def split_group(self) -> str:
        """What the held-out split hashes."""
        return self.group or self.document_id


class DocumentsSubmitted(Event):
    """A user's system hands documents over; the one event that carries text. At most 1 MB a message."""

    causation_id: UUID | None = None
    documents: Annotated[tuple[Document, ...], Field(min_length=1, max_length=MAX_DOCUMENTS_PER_BATCH)]


class BatchReceived(Event):
    """A batch was validated and stored."""

    batch_id: UUID
    raw_digest: Digest
    num_documents: int
    num_bytes: int
    source: Literal["http", "kafka"]


class BatchCleaned(Event):
    """A batch was cleaned; its new documents lie in one shard.

    `num_documents` = new + duplicate + rejected. `num_pending_documents` counts new documents of the domain that no corpus
    version holds yet; at `min_new_documents` and some quiet the next version is cut.
    """

    batch_id: UUID
    shard_digest: Digest
    num_documents: int
    num_new_documents: int
    num_duplicate_documents: int
    num_rejected_documents: int
    num_pending_documents: int
    min_new_documents: int


class CorpusVersioned(Event):
    """A corpus version was cut: from here on one trace leads to a release."""

    corpus_digest: Digest
    parent_corpus_digest: Digest | None
    number: int
    num_documents: int
    num_new_documents: int
    batch_ids: tuple[UUID, ...]
    training_request_id: UUID | None
