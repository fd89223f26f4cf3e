"""What becomes of mined candidates: accepted, proposed to a person, or filtered, each with the reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import rjieba

from contracts.lexicon import LexiconEntry
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.edges import kept_in_pieces
from services.tokenizer_builder.core.generality import ordinary_words, why_general, why_general_phrase, words_of
from services.tokenizer_builder.core.grams import count_grams
from services.tokenizer_builder.core.mining import MAX_CHARS, Candidate, GeneralText, candidates, why_no_term
from services.tokenizer_builder.core.screen import overlaps
from services.tokenizer_builder.core.segmentation import is_general
from services.tokenizer_builder.core.spread import beyond_ordinary, unevenness
from services.tokenizer_builder.core.terms import standing
from services.tokenizer_builder.settings import LexiconRules

MAX_PART_SHARE = 0.5
"""What cuts a general word at more of its places is a part of something longer, as 聚众哄 is of 聚众哄抢."""
PARTS_CHARS = 1_000_000
"""Characters of text in which is looked for that."""
SPREAD_CHARS = 3_000_000
"""Characters of text from which is learnt how words are spread."""


def mined(
    texts: Sequence[str],
    general: Callable[[Sequence[str]], GeneralText],
    rules: LexiconRules,
    parts: Sequence[str | None] = (),
) -> tuple[list[LexiconEntry], str]:
    """Return the terms that texts show, best first, with what was filtered; and what they were contrasted with.

    Args:
        texts: Training documents.
        general: Tells how candidates stand in general text.
        rules: The limits.
        parts: The part of the corpus that each text belongs to, see `spread.parts_of`; none: how words are spread does not count.
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
        told += f", and {contrast.num_chars:,} Han characters of the operator's general text"
    ordinary = ordinary_words(found, counted.num_chars, contrast, min_contrast=rules.min_contrast)
    spread = _spread(texts, parts, [candidate.text for candidate in found], ordinary)
    if spread:
        told += ", and how words are spread over the parts of the corpus"
    judge = _Judge(num_chars=counted.num_chars, general=contrast, spread=spread, rules=rules)
    entries = [judge.judged(candidate) for candidate in found]
    return _without_parts(judge.without_phrases(entries), bpe.thin(sample, max_chars=PARTS_CHARS)), told


def _spread(
    texts: Sequence[str], parts: Sequence[str | None], terms: Sequence[str], ordinary: Sequence[str]
) -> dict[str, float]:
    if not parts:
        return {}
    kept = set(bpe.thin(texts, max_chars=SPREAD_CHARS))
    sample = [(text, part) for text, part in zip(texts, parts, strict=True) if text in kept]
    uneven = unevenness([text for text, _ in sample], [part for _, part in sample], terms)
    return beyond_ordinary(uneven, ordinary)


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """What candidates are judged by."""

    num_chars: int
    general: GeneralText
    spread: Mapping[str, float]
    rules: LexiconRules

    def judged(self, candidate: Candidate) -> LexiconEntry:
        """Return what becomes of a candidate."""
        spread = self.spread.get(candidate.text)
        why = why_no_term(candidate.text, spread=spread, tag=rjieba.tag) or why_general(
            candidate, self.num_chars, self.general, min_contrast=self.rules.min_contrast, spread=spread, tag=rjieba.tag
        )
        why = why or standing(candidate.text)
        is_good = candidate.score >= self.rules.accept_score
        status: Literal["accepted", "proposed", "filtered"] = (
            "filtered" if why else "accepted" if is_good else "proposed"
        )
        told = f"score {candidate.score:.2f}, {'at least' if is_good else 'below'} {self.rules.accept_score:g}"
        return LexiconEntry(
            term=candidate.text, origin="mined", status=status, score=round(candidate.score, 4), count=candidate.count,
            reason=why or told,
        )  # fmt: skip

    def without_phrases(self, entries: Sequence[LexiconEntry]) -> list[LexiconEntry]:
        """Return the entries, those filtered that are phrases of no term."""
        terms = {entry.term for entry in entries if entry.status != "filtered"}
        judged = []
        for entry in entries:
            why = None
            if entry.status != "filtered":
                words = words_of(entry.term, self.general, tag=rjieba.tag)
                why = why_general_phrase(entry.term, terms, self.spread, words=words)
            judged.append(entry.model_copy(update={"status": "filtered", "reason": why}) if why else entry)
        return judged


def _without_parts(entries: Sequence[LexiconEntry], sample: Sequence[str]) -> list[LexiconEntry]:
    """Return the entries, those filtered that cut a general word at most of their places, or a longer number."""
    terms = [entry.term for entry in entries if entry.status != "filtered"]
    found = overlaps(sample, terms, cut=rjieba.cut, is_general=is_general)
    parts = {
        term: f"a part of something longer: it cuts {overlap.example} at {overlap.num_cuts} of {overlap.num_places} places"
        for term, overlap in found.items()
        if overlap.num_cuts > max(1, MAX_PART_SHARE * overlap.num_places)
    } | kept_in_pieces(sample, terms)
    return [
        entry.model_copy(update={"status": "filtered", "reason": parts[entry.term]}) if entry.term in parts else entry
        for entry in entries
    ]
