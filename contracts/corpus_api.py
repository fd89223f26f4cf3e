"""Bodies of the cleaner's HTTP API: what a corpus holds, what was removed from it and why, and how two versions differ."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Contract, Digest, Domain

MAX_LISTED = 1_000
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class CorpusVersionView(Contract):
    """A corpus version, as far as people want to know at first.

    Attributes:
        content_digest: Equal for two versions that hold the same documents.
        num_new_documents: Documents whose content the version before did not hold.
        labels: Documents by label; `""` stands for none.
        removed: Documents that lost to another one, by reason.
    """

    number: int
    corpus_digest: Digest
    parent_digest: Digest | None
    content_digest: Digest
    cut_at: AwareDatetime
    num_documents: int
    num_new_documents: int
    num_held_out: int
    num_superseded: int
    num_characters: int
    num_shards: int
    num_batches: int
    num_quarantined_batches: int
    labels: dict[str, int]
    removed: dict[str, int]


class CorpusVersions(Contract):
    """A domain's corpus versions, newest first."""

    domain: Domain
    versions: tuple[CorpusVersionView, ...]


class RemovedDocument(Contract):
    """A document that did not get into a corpus version.

    Attributes:
        removed_id: Names it for `plumb corpus restore`.
        stage: `cleaning`: a step found it to be no use; `duplicates`: another document is kept in its place.
        step: The step that removed it; `duplicates` for those.
        reason: Why, e.g. `too-long` or `near-duplicate`.
        score: What was measured: a share, a length, or how like it is to the document that is kept, 0 to 1.
        matched_document_id: The document that is kept in its place.
        matched_text: The beginning of that one's text,
        matched_labels: and its label and further labels.
        text: The beginning of its own.
        labels: Its label and further labels.
    """

    removed_id: str
    stage: Literal["cleaning", "duplicates"]
    step: str
    reason: str
    score: float | None
    batch_id: UUID
    document_id: str
    published_on: date | None
    text: str
    labels: tuple[str, ...] = ()
    matched_document_id: str | None = None
    matched_published_on: date | None = None
    matched_text: str | None = None
    matched_labels: tuple[str, ...] = ()


class RemovedDocuments(Contract):
    """What was removed.

    Attributes:
        number: Of the version up to which duplicates are known; 0: there is none yet.
        counts: How many there are by reason, listed or not.
    """

    domain: Domain
    number: int
    counts: dict[str, int]
    documents: tuple[RemovedDocument, ...]


class RestoreRequest(Contract):
    """A person wants documents in the corpus, whatever they are like."""

    removed_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_LISTED)]
    reason: Reason


class Restored(Contract):
    """How many documents will be in the next version that were not to be."""

    num_documents: int


class ChangedDocument(Contract):
    """A document id that stands for other content in the later version.

    Attributes:
        fields: What differs.
    """

    document_id: str
    fields: tuple[str, ...]


class CorpusDiff(Contract):
    """What the later of two versions has that the earlier one has not, and the other way round.

    Attributes:
        num_added: Documents whose id the earlier one does not know.
        num_removed: Documents whose id the later one does not know.
        num_changed: Ids that stand for other documents.
        num_unchanged: Documents that both hold.
        added: Ids of the first of them, and so on.
    """

    domain: Domain
    earlier: int
    later: int
    num_added: int
    num_removed: int
    num_changed: int
    num_unchanged: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[ChangedDocument, ...]


class CorpusBatchView(Contract):
    """A batch that was cleaned.

    Attributes:
        num_documents: How many of its documents are left after cleaning, duplicates among them.
        changed: Documents by the step that changed them.
        masked: Personal data that was masked, by kind.
        rejected: Documents by the reason for which they were rejected.
    """

    batch_id: UUID
    cleaned_at: AwareDatetime
    num_documents: int
    is_quarantined: bool
    changed: dict[str, int]
    masked: dict[str, int]
    rejected: dict[str, int]


class CorpusBatches(Contract):
    """A domain's batches, newest first."""

    domain: Domain
    batches: tuple[CorpusBatchView, ...]


class BatchOrder(Contract):
    """An operator's word on a batch."""

    reason: Reason
