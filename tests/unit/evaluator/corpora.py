"""Corpus versions for the evaluator's tests; groups are chosen by their side of the held-out split."""

from collections.abc import Sequence
from itertools import count, islice

from contracts.corpus import Document
from shared.corpus import is_held_out

HELD_OUT = list(islice((f"law {n}" for n in count() if is_held_out(f"law {n}")), 4))
TRAINING = next(f"law {n}" for n in count() if not is_held_out(f"law {n}"))


def documents(label: str | None, texts: Sequence[str], *, group: str = HELD_OUT[0], prefix: str = "") -> list[Document]:
    """Return documents with ids of their own."""
    return [
        Document(document_id=f"{prefix}{label}-{number}", text=text, label=label, group=group)
        for number, text in enumerate(texts)
    ]
