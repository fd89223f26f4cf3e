"""Documents made from documents: marked, with their original's group, and only from what is trained on."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.corpus import MAX_TEXT_CHARS, Document
from shared.annotation.records import text_digest
from shared.augmentation.records import TrainingText, may_be_augmented

ID_CHARS = 250
MARK_CHARS = 16


@dataclass(frozen=True, kw_only=True)
class Originals:
    """What texts are made from, and what not.

    Attributes:
        documents: Those that are trained on.
        num_held_out: Left out, since they are for evaluation.
        num_made: Left out, since they were made themselves.
        num_with_entities: Left out, since their labelled stretches would move.
    """

    documents: tuple[Document, ...]
    num_held_out: int
    num_made: int
    num_with_entities: int


def originals_of(documents: Iterable[Document]) -> Originals:
    """Return which documents texts may be made from."""
    kept: list[Document] = []
    num_held_out = num_made = num_with_entities = 0
    for document in documents:
        if document.augmented_from is not None:
            num_made += 1
        elif not may_be_augmented(training_text(document)):
            num_held_out += 1
        elif document.entities:
            num_with_entities += 1
        else:
            kept.append(document)
    return Originals(
        documents=tuple(kept), num_held_out=num_held_out, num_made=num_made, num_with_entities=num_with_entities
    )


def training_text(document: Document) -> TrainingText:
    """Return a document as what decides where it may be used."""
    return TrainingText(text=document.text, group=document.split_group, augmented_from=document.augmented_from)


def made_document(original: Document, made: TrainingText) -> Document | None:
    """Return a made text as a document: with its original's labels and group, and an id that follows from both.

    None: it is longer than a document may be.
    """
    if len(made.text) > MAX_TEXT_CHARS:
        return None
    mark = text_digest(made.text)[:MARK_CHARS]
    changes = {
        "document_id": f"{original.document_id[:ID_CHARS]}#{made.method}-{mark}",
        "text": made.text,
        "group": original.split_group,
        # Nobody looked at it.
        "annotated_at": None,
        "augmented_from": made.augmented_from,
    }
    return Document.model_validate({**original.model_dump(), **changes})
