"""What did not get into the corpus, and why. Nothing is thrown away: a person can look at it and restore it."""

from enum import StrEnum

import numpy as np
import pyarrow as pa

from services.cleaner.core.facts import ENTITIES, Facts
from services.cleaner.core.partition import in_order_of_digests
from services.cleaner.core.steps.quality import Reason
from services.cleaner.core.verdicts import NOBODY, Numbers, Outcome, Verdicts
from shared.shards import SCHEMA


class Stage(StrEnum):
    """Where a document was removed."""

    CLEANING = "cleaning"
    """It is no use, whatever else there is: its batch's artifact of removed documents keeps it as it came."""
    DUPLICATES = "duplicates"
    """Another document is kept in its place: the batch's shard still holds it."""


REASONS = {
    Outcome.DUPLICATE: "duplicate",
    Outcome.NEAR_DUPLICATE: "near-duplicate",
    Outcome.MADE_FROM_HELD_OUT: str(Reason.MADE_FROM_HELD_OUT),
}
CONFLICTS = {Outcome.DUPLICATE: "label-conflict", Outcome.NEAR_DUPLICATE: "near-label-conflict"}
"""The reasons of those whose labels, or of equal texts whose entities, are others than those of the document that is kept."""

REMOVED_SCHEMA = pa.schema(
    [
        *SCHEMA,
        pa.field("position", pa.int32(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
    ]
)
"""A batch's documents that a cleaning step took out, as they came."""

LOSERS_SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("winner", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("digest", pa.binary(32), nullable=False),
        pa.field("winner_digest", pa.binary(32), nullable=False),
    ]
)
"""The documents of a version that lost to another one, by their place in the order in which the cleaner took them."""


def reasons_of(facts: Facts, verdicts: Verdicts, losers: Numbers) -> list[str]:
    """Return why each of these documents lost to another one."""
    winners, outcome = verdicts.lost_to[losers], verdicts.outcome[losers]
    labels, kept_labels = facts.labels_key[losers], facts.labels_key[winners]
    conflicts = (labels != 0) & (kept_labels != 0) & (labels != kept_labels)
    have_entities = (facts.tells[losers] & facts.tells[winners] & ENTITIES) != 0
    differ = facts.content_key[losers] != facts.content_key[winners]
    conflicts |= (outcome == Outcome.DUPLICATE) & have_entities & differ
    rows = zip(outcome.tolist(), conflicts.tolist(), strict=True)
    return [(CONFLICTS if conflict else REASONS).get(Outcome(one), REASONS[Outcome(one)]) for one, conflict in rows]


def losers_table(facts: Facts, verdicts: Verdicts) -> pa.Table:
    """Return who lost to whom, in the order of the losers' digests, so that it follows from the documents."""
    numbers = in_order_of_digests(facts, np.flatnonzero(verdicts.lost_to != NOBODY))
    winners = verdicts.lost_to[numbers]
    return pa.table(
        {
            "number": numbers,
            "winner": winners,
            "reason": reasons_of(facts, verdicts, numbers),
            "score": verdicts.similarity[numbers],
            "digest": [bytes(row) for row in facts.digest[numbers]],
            "winner_digest": [bytes(row) for row in facts.digest[winners]],
        },
        schema=LOSERS_SCHEMA,
    )
