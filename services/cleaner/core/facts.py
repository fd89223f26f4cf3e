"""What is known of each document of a domain without reading its text: columns of numbers, one row a document."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.corpus import content_key, is_held_out
from shared.shards import SCHEMA

NO_DATE = np.iinfo(np.int32).min
"""Stands for a document without a date; older than any."""
NOT_ANNOTATED = np.iinfo(np.int64).min
"""Stands for a document that nobody annotated; before any time."""
KEY_BYTES = 8
LABELS_KEY_BYTES = 4
LABELS, ENTITIES, LABEL = 1, 2, 4


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Columns over the documents of a domain, in the order in which they were cleaned.

    Attributes:
        digest: SHA-256 of the document, all its fields; (N, 32) bytes.
        text_key: First 8 bytes of the SHA-256 of the text; equal texts have equal keys.
        content_key: What a model learns from it, see `shared.corpus.content_key`.
        document_key: First 8 bytes of the SHA-256 of the document id.
        group_key: The same of what the held-out split hashes.
        is_held_out: What the split says of the group alone.
        published_on: Days since 1970-01-01, or `NO_DATE`.
        annotated_at: When people labelled it, in microseconds since 1970-01-01, or `NOT_ANNOTATED`.
        made_from_key: The text key of the text that it was made from; 0: it is an original.
        labels_key: 4 bytes that name its label and labels together, in whatever order; 0: it has none.
        tells: What people said of it: the sum of `LABEL`, `ENTITIES` and `LABELS`, so that more is worth more.
        num_characters: Length of the text.
    """

    digest: NDArray[np.uint8]
    text_key: NDArray[np.uint64]
    content_key: NDArray[np.uint64]
    document_key: NDArray[np.uint64]
    group_key: NDArray[np.uint64]
    is_held_out: NDArray[np.bool_]
    published_on: NDArray[np.int32]
    annotated_at: NDArray[np.int64]
    made_from_key: NDArray[np.uint64]
    labels_key: NDArray[np.uint32]
    tells: NDArray[np.uint8]
    num_characters: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.text_key)

    @property
    def is_made(self) -> NDArray[np.bool_]:
        """Which were made from another document's text."""
        return np.not_equal(self.made_from_key, 0)

    @classmethod
    def none(cls) -> Self:
        """Return facts of no document."""
        return cls.of(SCHEMA.empty_table(), [])

    @classmethod
    def of(cls, table: pa.Table, digests: Sequence[bytes]) -> Self:
        """Return the facts of cleaned documents.

        Args:
            table: The documents, with `shared.shards.SCHEMA`.
            digests: Theirs, as `document_digests` gives them.
        """
        texts, ids = table["text"].to_pylist(), table["document_id"].to_pylist()
        groups = [group or one for group, one in zip(table["group"].to_pylist(), ids, strict=True)]
        sides = {group: is_held_out(group) for group in set(groups)}
        days = table["published_on"].cast(pa.int32()).fill_null(int(NO_DATE))
        times = table["annotated_at"].cast(pa.int64()).fill_null(int(NOT_ANNOTATED))
        return cls(
            digest=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
            text_key=keys_of(texts),
            content_key=_content_keys(table, texts),
            document_key=keys_of(ids),
            group_key=keys_of(groups),
            is_held_out=np.array([sides[group] for group in groups], np.bool_),
            published_on=days.to_numpy(zero_copy_only=False).astype(np.int32) if len(texts) else np.empty(0, np.int32),
            annotated_at=times.to_numpy() if len(texts) else np.empty(0, np.int64),
            made_from_key=np.array([_key_of_digest(one) for one in table["augmented_from"].to_pylist()], np.uint64),
            labels_key=_labels_keys(table),
            tells=_tells(table),
            num_characters=np.array([len(text) for text in texts], np.int32),
        )


def _content_keys(table: pa.Table, texts: Sequence[str]) -> NDArray[np.uint64]:
    columns = (table[name].to_pylist() for name in ("label", "labels", "entities"))
    return np.array([content_key(*row) for row in zip(texts, *columns, strict=True)], np.uint64)


def _key_of_digest(digest: str | None) -> int:
    """Return the text key of the text with a SHA-256; an original's is 0, which no text in reach has."""
    return int(digest[: 2 * KEY_BYTES], 16) if digest else 0


def _labels_keys(table: pa.Table) -> NDArray[np.uint32]:
    rows = zip(table["label"].to_pylist(), table["labels"].to_pylist(), strict=True)
    classes = [frozenset([*([label] if label else []), *(labels or [])]) for label, labels in rows]
    keys = {one: _labels_key(one) for one in set(classes)}
    return np.array([keys[one] for one in classes], np.uint32)


def _tells(table: pa.Table) -> NDArray[np.uint8]:
    found = np.zeros(len(table), np.uint8)
    for name, worth in (("label", LABEL), ("entities", ENTITIES), ("labels", LABELS)):
        if table[name].null_count < len(table):
            found += worth * np.array([bool(value) for value in table[name].to_pylist()], np.uint8)
    return found


def _labels_key(classes: frozenset[str]) -> int:
    if not classes:
        return 0
    digest = hashlib.sha256(msgspec.json.encode(sorted(classes))).digest()
    return int.from_bytes(digest[:LABELS_KEY_BYTES]) or 1


def document_digests(table: pa.Table) -> list[bytes]:
    """Return the SHA-256 of each document of a table with `shared.shards.SCHEMA`: of its fields in JSON, empty ones left out."""
    given = [name for name in SCHEMA.names if table[name].null_count < len(table)]
    columns = [table[name].to_pylist() for name in given]
    encode = msgspec.json.Encoder().encode
    return [
        hashlib.sha256(
            encode({name: value for name, value in zip(given, row, strict=True) if value is not None})
        ).digest()
        for row in zip(*columns, strict=True)
    ]


def keys_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of the SHA-256 of each text, as numbers whose order is that of the digests."""
    joined = b"".join(hashlib.sha256(text.encode()).digest()[:KEY_BYTES] for text in texts)
    return np.frombuffer(joined, ">u8").astype(np.uint64)
