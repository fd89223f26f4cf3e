"""Cleaning one text of what cannot be seen, and sorting a batch. `cleaning` has all steps."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.corpus import Document
from services.cleaner.core.steps.invisible_characters import remove_invisible
from services.cleaner.core.steps.quality import Reason
from services.cleaner.core.steps.spaces import tighten
from services.cleaner.core.steps.widths import fold


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


def clean(text: str) -> str:
    r"""Return the text without noise: composed (NFC), visible, letters and digits of one width, white space collapsed.

    A run of spaces becomes one space, a run of line breaks one line feed. Cleaning twice changes nothing more.

    Example:
        >>> clean("第\u200b１２条　 10⁹/L，甲：\r\n\r\n 乙 ")
        '第12条 10⁹/L，甲：\n乙'
    """
    for step in (remove_invisible, fold, tighten):
        text, _ = step(text)
    return text


def sort_out(documents: Iterable[Document], *, max_chars: int) -> tuple[list[Kept], list[Rejected]]:
    """Return the cleaned documents and the rejected ones, each in the batch's order.

    Args:
        documents: A batch as it was received.
        max_chars: A cleaned text that is longer is rejected.
    """
    kept: list[Kept] = []
    rejected: list[Rejected] = []
    for position, document in enumerate(documents):
        text = clean(document.text)
        reason = reject(text, max_chars=max_chars)
        if reason:
            rejected.append(Rejected(position=position, document_id=document.document_id, reason=reason))
            continue
        # The text only shrinks within its limits, so the copy needs no new validation.
        cleaned = document.model_copy(update={"text": text})
        kept.append(Kept(position=position, document=cleaned, digest=hashlib.sha256(text.encode()).digest()))
    return kept, rejected


def reject(text: str, *, max_chars: int) -> Reason | None:
    """Return why a cleaned text is no use, or None."""
    if not text:
        return Reason.EMPTY
    return Reason.TOO_LONG if len(text) > max_chars else None
