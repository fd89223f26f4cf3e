"""A batch as a table, cleaned: what is kept with its text changed, what is removed as it came, with step, reason and score."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from contracts.corpus import Entity
from contracts.envelope import Contract
from services.cleaner.core.cleaning import UNKNOWN, CleanedTexts, DomainLanguage, Stage, clean_texts
from services.cleaner.core.entities import realigned
from services.cleaner.core.made_texts import made_from_held_out
from services.cleaner.core.removed import REMOVED_SCHEMA
from services.cleaner.core.steps.quality import Reason
from services.cleaner.settings import CleaningRules
from shared.shards import ENTITY, SCHEMA

MAKING = "augmentation"
"""The step that is named where a made text is taken out; it is the user's."""


class CleaningCounts(Contract):
    """What the steps did to a batch.

    Attributes:
        changed: Documents that a step changed, by step; steps that changed none are left out.
        masked: Personal data that was masked, by kind.
        rejected: Documents that were rejected, by reason.
    """

    changed: dict[str, int] = Field(default_factory=dict)
    masked: dict[str, int] = Field(default_factory=dict)
    rejected: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CleanedTable:
    """A batch's documents after the steps.

    Attributes:
        kept: With `SCHEMA`, in the batch's order.
        removed: With `REMOVED_SCHEMA`.
    """

    kept: pa.Table
    removed: pa.Table
    counts: CleaningCounts


def clean_table(raw: pa.Table, rules: CleaningRules, language: DomainLanguage = UNKNOWN) -> CleanedTable:
    """Return what becomes of a batch's documents, with `SCHEMA`, all of one domain."""
    before = raw["text"].to_pylist()
    cleaned = clean_texts(before, rules, language)
    removed = _removed(cleaned, _made_from_held_out(raw))
    counts = CleaningCounts(
        changed={str(stage): count.documents for stage, count in cleaned.counts.items() if count.documents},
        masked={str(kind): count for kind, count in sorted(cleaned.masked.items())},
        rejected=dict(sorted(Counter(reason for _, _, reason, _ in removed).items())),
    )
    kept, out = split_off(raw, before, cleaned.texts, removed)
    return CleanedTable(kept=kept, removed=out, counts=counts)


def _made_from_held_out(raw: pa.Table) -> list[int]:
    if raw["augmented_from"].null_count == len(raw):
        return []
    return made_from_held_out(raw["augmented_from"].to_pylist(), raw["group"].to_pylist())


def _removed(cleaned: CleanedTexts, made: Sequence[int]) -> list[tuple[int, str, str, float | None]]:
    rows: dict[int, tuple[int, str, str, float | None]] = {
        # An empty text is no document, also where quality is not judged.
        at: (at, str(Stage.QUALITY), str(Reason.EMPTY), None)
        for at, text in enumerate(cleaned.texts)
        if not text
    }
    rows |= {one.position: (one.position, str(one.stage), str(one.reason), one.score) for one in cleaned.rejections}
    rows |= {at: (at, MAKING, str(Reason.MADE_FROM_HELD_OUT), None) for at in made}
    return [rows[at] for at in sorted(rows)]


def split_off(
    raw: pa.Table,
    before: Sequence[str],
    after: Sequence[str],
    removed: Sequence[tuple[int, str, str, float | None]],
) -> tuple[pa.Table, pa.Table]:
    """Return the table with its texts replaced, and the removed rows, (position, step, reason, score), apart from it."""
    gone = [position for position, *_ in removed]
    keeps = np.ones(len(before), np.bool_)
    keeps[gone] = False
    table = raw.set_column(SCHEMA.get_field_index("text"), SCHEMA.field("text"), [pa.array(after, pa.string())])
    if table["entities"].null_count < len(table):
        entities = [
            _moved(found, old, new) if found and old != new else found
            for found, old, new in zip(table["entities"].to_pylist(), before, after, strict=True)
        ]
        place = SCHEMA.get_field_index("entities")
        table = table.set_column(place, SCHEMA.field("entities"), [pa.array(entities, pa.list_(ENTITY))])
    out = raw.take(pa.array(gone, pa.int64()))
    positions, steps, reasons, scores = zip(*removed, strict=True) if removed else ((), (), (), ())
    out = out.append_column(REMOVED_SCHEMA.field("position"), pa.array(positions, pa.int32()))
    out = out.append_column(REMOVED_SCHEMA.field("step"), pa.array(steps, pa.string()))
    out = out.append_column(REMOVED_SCHEMA.field("reason"), pa.array(reasons, pa.string()))
    out = out.append_column(REMOVED_SCHEMA.field("score"), pa.array(scores, pa.float32()))
    return table.filter(pa.array(keeps)), out


def _moved(entities: Sequence[dict[str, Any]], before: str, after: str) -> list[dict[str, Any]] | None:
    moved = realigned([Entity(**entity) for entity in entities], before, after)
    return [entity.model_dump() for entity in moved] or None
