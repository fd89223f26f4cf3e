"""A batch of documents, sorted: what is kept, cleaned, and what is no use, with the reason."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.corpus import Document
from services.cleaner.core.cleaning import clean_texts
from services.cleaner.core.entities import realigned
from services.cleaner.core.steps.quality import Reason
from services.cleaner.settings import CleaningRules


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A cleaned document.

    Attributes:
        position: Its place in the batch, from 0.
        digest: SHA-256 of the cleaned text, which recognises a duplicate.
    """

    position: int
    document: Document
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A document that is no use, and why."""

    position: int
    document_id: str
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class SortedBatch:
    """A batch's documents, each in the batch's order.

    Attributes:
        changed: Documents that a cleaning step changed, by step.
        masked: Personal data that was masked, by kind.
    """

    kept: list[Kept]
    rejected: list[Rejected]
    changed: dict[str, int]
    masked: dict[str, int]


def sort_out(documents: Sequence[Document], rules: CleaningRules) -> SortedBatch:
    """Return the cleaned documents and the rejected ones of a batch as it was received."""
    cleaned = clean_texts([document.text for document in documents], rules)
    # An empty text is no document, also where quality is not judged.
    reasons = {position: Reason.EMPTY for position, text in enumerate(cleaned.texts) if not text}
    reasons |= {rejection.position: rejection.reason for rejection in cleaned.rejections}
    kept = [
        Kept(position=position, document=with_text(document, text), digest=hashlib.sha256(text.encode()).digest())
        for position, (document, text) in enumerate(zip(documents, cleaned.texts, strict=True))
        if position not in reasons
    ]
    rejected = [
        Rejected(position=position, document_id=documents[position].document_id, reason=reason)
        for position, reason in sorted(reasons.items())
    ]
    return SortedBatch(
        kept=kept,
        rejected=rejected,
        changed={str(step): count.documents for step, count in cleaned.counts.items() if count.documents},
        masked={str(kind): count for kind, count in sorted(cleaned.masked.items())},
    )


def with_text(document: Document, text: str) -> Document:
    """Return a document with its cleaned text, its entities where they lie in it now.

    It needs no new validation: the text is not empty and within the limits, or it was rejected.
    """
    if text == document.text:
        return document
    entities = realigned(document.entities, document.text, text)
    return document.model_copy(update={"text": text, "entities": entities})
