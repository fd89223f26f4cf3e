"""What a corpus version holds, in numbers."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import NO_DATE, Facts
from services.cleaner.core.removed import reasons_of
from services.cleaner.core.verdicts import NOBODY, Verdicts
from shared.corpus import CorpusStatistics

MAX_LABELS = 1_000
"""The most frequent ones are listed."""


def statistics_of(
    facts: Facts, verdicts: Verdicts, held_out: NDArray[np.bool_], labels: Mapping[str, int]
) -> CorpusStatistics:
    """Return the statistics of a version."""
    kept = verdicts.kept
    lost = Counter(reasons_of(facts, verdicts, np.flatnonzero(verdicts.lost_to != NOBODY)))
    ranked = sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:MAX_LABELS]
    return CorpusStatistics(
        num_held_out=int((kept & held_out).sum()),
        num_superseded=int((kept & (verdicts.valid_until != NO_DATE)).sum()),
        num_characters=int(facts.num_characters[kept].sum(dtype=np.int64)),
        labels=dict(ranked),
        removed=dict(sorted(lost.items())),
    )
