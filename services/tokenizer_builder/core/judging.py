"""What becomes of mined candidates: accepted, proposed to a person, or filtered, each with the reason."""

from collections.abc import Callable, Sequence
from typing import Literal

import rjieba

from contracts.lexicon import LexiconEntry
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.grams import count_grams
from services.tokenizer_builder.core.mining import MAX_CHARS, Candidate, GeneralText, candidates, why_not
from services.tokenizer_builder.core.screen import overlaps
from services.tokenizer_builder.core.segmentation import is_general
from services.tokenizer_builder.core.terms import standing
from services.tokenizer_builder.settings import LexiconRules

MAX_PART_SHARE = 0.5
"""What cuts a general word at more of its places is a part of something longer, as 聚众哄 is of 聚众哄抢."""
PARTS_CHARS = 1_000_000
"""Characters of text in which is looked for that."""


def mined(
    texts: Sequence[str], general: Callable[[Sequence[str]], GeneralText], rules: LexiconRules
) -> tuple[list[LexiconEntry], str]:
    """Return the terms that texts show, best first, with what was filtered; and what they were contrasted with.

    Args:
        texts: Training documents.
        general: Tells how candidates stand in general text.
        rules: The limits.
    """
    if not rules.mine:
        return [], "nothing: no terms were mined"
    sample = bpe.thin(texts, max_chars=rules.max_mine_chars)
    counted = count_grams(sample, longest=MAX_CHARS + 1)
    min_count = max(rules.min_count, counted.num_chars * rules.min_count_per_million // 1_000_000)
    found = candidates(counted, min_count=min_count, min_cohesion=rules.min_cohesion, min_freedom=rules.min_freedom)
    contrast = general([candidate.text for candidate in found])
    told = "frequencies of the segmenter's general dictionary"
    if contrast.num_chars:
        told += f", and {contrast.num_chars:,} characters of the operator's general text"
    entries = [_judged(candidate, counted.num_chars, contrast, rules) for candidate in found]
    return _without_parts(entries, bpe.thin(sample, max_chars=PARTS_CHARS)), told


def _judged(candidate: Candidate, num_chars: int, general: GeneralText, rules: LexiconRules) -> LexiconEntry:
    why = why_not(candidate, num_chars, general, min_contrast=rules.min_contrast, tag=rjieba.tag)
    why = why or standing(candidate.text)
    is_good = candidate.score >= rules.accept_score
    status: Literal["accepted", "proposed", "filtered"] = "filtered" if why else "accepted" if is_good else "proposed"
    told = f"score {candidate.score:.2f}, {'at least' if is_good else 'below'} {rules.accept_score:g}"
    return LexiconEntry(
        term=candidate.text, origin="mined", status=status, score=round(candidate.score, 4), count=candidate.count,
        reason=why or told,
    )  # fmt: skip


def _without_parts(entries: Sequence[LexiconEntry], sample: Sequence[str]) -> list[LexiconEntry]:
    """Return the entries, those filtered that cut a general word at most of their places."""
    terms = [entry.term for entry in entries if entry.status != "filtered"]
    found = overlaps(sample, terms, cut=rjieba.cut, is_general=is_general)
    parts = {
        term: f"a part of something longer: it cuts {overlap.example} at {overlap.num_cuts} of {overlap.num_places} places"
        for term, overlap in found.items()
        if overlap.num_cuts > max(1, MAX_PART_SHARE * overlap.num_places)
    }
    return [
        entry.model_copy(update={"status": "filtered", "reason": parts[entry.term]}) if entry.term in parts else entry
        for entry in entries
    ]
