"""Cleaning one text. Knows nothing of batches.

Plain NFKC would change meaning (10^9 in superscript becomes 109, circled numbers and full-width punctuation become ASCII), so
only what is known to be noise is touched: composition, invisible characters, full-width letters and digits, white space.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from contracts.corpus import Document

LINE_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Whatever ends a line or a paragraph, apart from the line feed itself."""

INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f"  # control characters that are neither tab nor line break
    "\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"  # soft hyphen, Arabic mark, Hangul fillers, Khmer, Mongolian selectors
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"  # zero widths, direction marks, byte order mark
    "\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"  # interlinear marks, non-characters, tags
)
FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
"""Full-width digits and letters; full-width punctuation is right in Chinese and stays."""
FULL_WIDTH_OFFSET = 0xFEE0

NEEDS_WORK = re.compile(f"{LINE_BREAK.pattern}|{INVISIBLE.pattern}|{FULL_WIDTH.pattern}")
"""Guards the slow path: most texts need none of it."""

SPACE_RUN = re.compile(r"[^\S\n]+")
SPACED_BREAK = re.compile(r" ?\n[ \n]*")


class Reason(StrEnum):
    """Why a document is rejected."""

    EMPTY = "empty"
    TOO_LONG = "too-long"


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
    if NEEDS_WORK.search(text):
        text = LINE_BREAK.sub("\n", text)
        text = INVISIBLE.sub("", text)
        text = FULL_WIDTH.sub(lambda match: chr(ord(match[0]) - FULL_WIDTH_OFFSET), text)
    # Composition comes after the removals: what stood apart because of them may compose now.
    text = unicodedata.normalize("NFC", text)
    return SPACED_BREAK.sub("\n", SPACE_RUN.sub(" ", text)).strip()


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
