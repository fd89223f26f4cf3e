"""Events from a submitted document to a corpus version."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator

from contracts.envelope import Contract, Digest, Event

MAX_TEXT_CHARS = 200_000
MAX_DOCUMENTS_PER_BATCH = 10_000
"""Of an upload: two cleaners share a domain the better, the longer its batches are."""
MAX_DOCUMENTS_PER_EVENT = 5_000


Label = Annotated[str, Field(min_length=1, max_length=100)]


class Entity(Contract):
    """A labelled stretch of a document's text.

    Attributes:
        start: Its first character, counted from 0 in code points.
        end: The character behind its last one.
        label: What it is, e.g. a disease.
    """

    start: Annotated[int, Field(ge=0, le=MAX_TEXT_CHARS)]
    end: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARS)]
    label: Label


class Document(Contract):
    """One text of the domain, as a user submits it.

    Attributes:
        document_id: The user's own id; a later version of a text may reuse it.
        text: The text, 1 to 200,000 characters.
        label: The class that the classification head learns, e.g. a department of law; None: language model only.
        group: What must fall on one side of the held-out split, e.g. the law that an article belongs to; default: the id.
        published_on: The date of this version.
        source: Where it came from, for people.
        labels: Further classes, where a text may have several.
        entities: Labelled stretches of the text.
        licence: Under which terms it may be used, e.g. an SPDX identifier.
        language: BCP 47 language tag, e.g. zh or en.
        picture: A reference to a picture that belongs to it, e.g. a URL.
        tenant: Whose document it is, where several parties share a domain.
        annotated_at: When people gave it its label, labels or entities, in an annotation round.
        augmented_from: SHA-256 of the text that it was made from, e.g. by synonyms, with the group of that one. It is never
            evaluated with, and not in the corpus at all if that group is held out. None: it is an original.
    """

    document_id: Annotated[str, Field(min_length=1, max_length=300)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    label: Label | None = None
    group: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    published_on: date | None = None
    source: Annotated[str, Field(max_length=300)] | None = None
    labels: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    entities: Annotated[tuple[Entity, ...], Field(max_length=10_000)] = ()
    licence: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)] | None = None
    picture: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    tenant: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    annotated_at: AwareDatetime | None = None
    augmented_from: Digest | None = None

    @field_validator("entities", mode="after")
    @classmethod
    def _lie_in_the_text(cls, entities: tuple[Entity, ...], known: ValidationInfo) -> tuple[Entity, ...]:
        # A text that is no text is refused by itself.
        num_characters = len(known.data.get("text", ""))
        for entity in entities if num_characters else ():
            if not entity.start < entity.end <= num_characters:
                msg = f"entity {entity.start} to {entity.end} does not lie in the text of {num_characters} characters"
                raise ValueError(msg)
        return entities

    @field_validator("augmented_from", mode="after")
    @classmethod
    def _has_its_originals_group(cls, digest: Digest | None, known: ValidationInfo) -> Digest | None:
        if digest is not None and known.data.get("group") is None:
            msg = (
                "a text that was made from another needs the group of that one, which decides about the held-out split"
            )
            raise ValueError(msg)
        return digest

    @property
    def split_group(self) -> str:
        """What the held-out split hashes."""
        return self.group or self.document_id


class DocumentsSubmitted(Event):
    """A user's system hands documents over; the one event that carries text. At most 1 MB a message."""

    causation_id: UUID | None = None
    documents: Annotated[tuple[Document, ...], Field(min_length=1, max_length=MAX_DOCUMENTS_PER_EVENT)]


class BatchStatistics(Contract):
    """What a batch holds, in numbers; those of two batches add up to those of both.

    Attributes:
        num_documents: Documents.
        num_chars: Characters (code points) of all texts.
        length_counts: Documents by length: the k-th have 2^(k/2) up to 2^((k+1)/2) characters; zeros at the end are left out.
        script_chars: Characters by script: han, latin, digit, punctuation, ...
        character_counts: Characters by the hash of their code point; 256 counts, or none where there was no text.
        languages: Documents by language: as they say, else by script.
        labels: Labels of documents, further ones included; the rarest together under "…", as in the next two.
        sources: Documents by source.
        licences: Documents by licence.
        num_dated: Documents with a date of publication,
        num_fresh: and those of them that were published within two years before the batch arrived.
        num_repeated: Documents whose text another one of the same batch has before.
        num_known: Documents whose text an accepted batch of the domain had before, word for word; None: it was not looked.
        num_bigrams: Pairs of neighbouring characters within its texts,
        num_distinct_bigrams: and how many different ones, estimated; of several batches, the sum of each one's.
        num_compared_bigrams: Pairs that were compared with those of the domain's accepted batches before,
        num_known_bigrams: and how many of them these have.
        num_compared_texts: Texts that are long enough to be compared so one by one,
        num_unlike_texts: and those of them of whose pairs the domain has less than 60 %.
    """

    num_documents: int = 0
    num_chars: int = 0
    length_counts: tuple[int, ...] = ()
    script_chars: dict[str, int] = Field(default_factory=dict)
    character_counts: tuple[int, ...] = ()
    languages: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)
    sources: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, int] = Field(default_factory=dict)
    num_dated: int = 0
    num_fresh: int = 0
    num_repeated: int = 0
    num_known: int | None = None
    num_bigrams: int = 0
    num_distinct_bigrams: int = 0
    num_compared_bigrams: int = 0
    num_known_bigrams: int = 0
    num_compared_texts: int = 0
    num_unlike_texts: int = 0

    @property
    def relevance(self) -> float | None:
        """The share of its pairs of characters that the domain had before, 0 to 1; None: there was nothing to compare with."""
        return self.num_known_bigrams / self.num_compared_bigrams if self.num_compared_bigrams else None


class BatchReceived(Event):
    """A batch was validated and stored.

    Attributes:
        num_refused_documents: Records of the upload that were left out beside it, each with its reason.
        statistics: What it holds; empty of a batch from before they were taken.
    """

    batch_id: UUID
    raw_digest: Digest
    num_documents: int
    num_bytes: int
    source: Literal["http", "kafka"]
    num_refused_documents: int = 0
    statistics: BatchStatistics = Field(default_factory=BatchStatistics)


class BatchPrepared(Event):
    """A batch went through the steps, by a cleaner that does not have its domain; whoever has it goes on from here.

    What is said follows from the batch and the rules alone, so that two cleaners that prepare one batch say the same.

    Attributes:
        causation_id: The `batch-received` event.
        occurred_at: When the batch was received: a repeat must not say another time.
        shard_digest: What is left of it.
        facts_digest: What is known of each document that is left, its sketch among it.
        removed_digest: What the steps took out, as it came, and why.
        num_documents: How many are left.
        changed: Documents by the step that changed them.
        masked: Personal data that was masked, by kind.
        rejected: Documents that were taken out, by reason.
    """

    causation_id: UUID
    batch_id: UUID
    shard_digest: Digest
    facts_digest: Digest
    removed_digest: Digest
    num_documents: Annotated[int, Field(ge=0)]
    changed: dict[str, int]
    masked: dict[str, int]
    rejected: dict[str, int]


class BatchCleaned(Event):
    """A batch was cleaned; what is left of it lies in one shard, duplicates among it.

    `num_documents` = new + duplicate + rejected; near-duplicates count as duplicates, too, unless they are newer than what they
    are near. What a version holds is decided when it is cut, by all documents: the newest of duplicates, whichever came first.
    `num_pending_documents` counts new documents of the domain that no corpus version holds yet; at `min_new_documents` and some
    quiet the next version is cut. `changed` counts documents by the step that changed them, `masked` personal data by kind,
    `rejected` documents by reason.
    """

    batch_id: UUID
    shard_digest: Digest
    num_documents: int
    num_new_documents: int
    num_duplicate_documents: int
    num_near_duplicate_documents: int = 0
    num_rejected_documents: int
    num_pending_documents: int
    min_new_documents: int
    changed: dict[str, int] = Field(default_factory=dict)
    masked: dict[str, int] = Field(default_factory=dict)
    rejected: dict[str, int] = Field(default_factory=dict)

    @property
    def num_verbatim_documents(self) -> int:
        """Duplicates that were known word for word."""
        return self.num_duplicate_documents - self.num_near_duplicate_documents


class CorpusAmended(Event):
    """Somebody changed what the next version of a corpus holds, without sending documents.

    Attributes:
        causation_id: The `release-changed` event that speaks against batches; None: a person's order, or a cleaner's start, which
            says again what is open.
        order: What was done: documents came back, a batch was left out or put back; `said-again` by a cleaner that starts.
        num_pending_documents: New documents of the domain that no version holds, now.
        is_changed: Whether the next version would differ from the latest by what was restored, left out or put back.
    """

    order: Literal["restore", "quarantine", "put-back", "said-again"]
    num_pending_documents: Annotated[int, Field(ge=0)]
    is_changed: bool


class CorpusVersioned(Event):
    """A corpus version was cut: from here on one trace leads to a release."""

    corpus_digest: Digest
    parent_corpus_digest: Digest | None
    number: int
    num_documents: int
    num_new_documents: int
    batch_ids: tuple[UUID, ...]
    training_request_id: UUID | None
