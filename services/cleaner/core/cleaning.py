"""Cleaning documents in batches: the steps, their order, and what each of them did.

The order: wrongly read text first, since the wrong characters include some that later steps remove; then invisible characters and
widths, so that no other step has to see through them; markup, and the white space that it leaves; runs of symbols and, if asked
for, traditional characters; then boilerplate, whose patterns want tidy lines; personal data last, in its final form.
Quality is judged on what is left.

What a step leaves may be work for an earlier one (an escaped tag is a tag after unescaping), so documents that changed go round
again until nothing changes: cleaning twice changes nothing more, by construction. A document is cleaned by what it holds alone,
never by its neighbours: a replay in batches of any size gives the same texts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps import (
    boilerplate,
    invisible_characters,
    markup,
    mojibake,
    personal_data,
    quality,
    simplified,
    spaces,
    symbols,
    widths,
)
from services.cleaner.core.steps.joined import Flags, JoinedTexts
from services.cleaner.core.steps.personal_data import PersonalKind
from services.cleaner.core.steps.quality import Limits, Reason, TextStatistics
from services.cleaner.core.steps.traits import Trait
from services.cleaner.settings import CleaningRules
from shared.relevance.model import RelevanceModel, Verdict

if TYPE_CHECKING:
    # Its dictionaries take half a second and 100 MB; who corrects no typos does not load them.
    from services.cleaner.core.typos.corrector import TypoCorrector

MAX_ROUNDS: Final = 8
"""Markup escaped deeper than this is no document."""
CHUNK_DOCUMENTS: Final = quality.MAX_DOCUMENTS // 4
CHUNK_CHARACTERS: Final = 2**17
"""Documents that numpy looks at together: as many as stay in the processor's cache, measured."""


class Stage(StrEnum):
    """The steps in their order, and the judgement after them."""

    MOJIBAKE = "mojibake"
    INVISIBLE = "invisible"
    WIDTH = "width"
    MARKUP = "markup"
    SPACES = "spaces"
    SYMBOLS = "symbols"
    SIMPLIFIED = "simplified"
    BOILERPLATE = "boilerplate"
    TYPOS = "typos"
    PERSONAL_DATA = "personal-data"
    QUALITY = "quality"
    RELEVANCE = "relevance"


STAGE_OF: Final = {
    Reason.BROKEN: Stage.MOJIBAKE,
    Reason.UNSETTLED: Stage.MARKUP,
    Reason.OFF_DOMAIN: Stage.RELEVANCE,
}
"""What finds out that a document is no use; the other reasons are quality's."""


@dataclass(frozen=True, kw_only=True)
class DomainLanguage:
    """What is known of a domain's language; a step without its part is off.

    Attributes:
        typos: Corrects slips of the domain's terms.
        relevance: Tells texts of the domain from others.
    """

    typos: "TypoCorrector | None" = None
    relevance: RelevanceModel | None = None


UNKNOWN: Final = DomainLanguage()
"""A domain of which nothing is known."""


@dataclass(frozen=True)
class Step:
    """A step of the rules.

    Attributes:
        stage: Its name.
        needs: Which documents of a batch may need it; it never misses one.
        clean: Returns the text it leaves and how many places it changed; 0 if and only if the text stayed.
    """

    stage: Stage
    needs: Callable[[JoinedTexts], Flags]
    clean: Callable[[str], tuple[str, int]]


@dataclass
class StepCount:
    """What a step did: documents that it changed, and the places in them."""

    documents: int = 0
    occurrences: int = 0


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A document that is no use.

    Attributes:
        position: Its place in the batch, from 0.
        stage: What found out.
        reason: Why.
        score: What was measured: a share, 0 to 1; a number of characters for one that is too long; for one that is off-domain,
            nats a character, from about -20 to 0.
    """

    position: int
    stage: Stage
    reason: Reason
    score: float


@dataclass(frozen=True, kw_only=True)
class CleanedTexts:
    """A cleaned batch.

    Attributes:
        texts: A text for each that was given; that of a rejected one is as far as it got.
        counts: What each step that is on did.
        masked: Personal data that was masked, by kind.
        rejections: By position.
        statistics: What the cleaned texts are made of; None where quality is off.
    """

    texts: list[str]
    counts: dict[Stage, StepCount]
    masked: Counter[PersonalKind]
    rejections: list[Rejection]
    statistics: TextStatistics | None


@dataclass
class _Record:
    """What is counted while a batch is cleaned."""

    counts: dict[Stage, StepCount] = field(default_factory=dict)
    masked: Counter[PersonalKind] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)
    statistics: list[TextStatistics] = field(default_factory=list)


def clean_texts(texts: Sequence[str], rules: CleaningRules, language: DomainLanguage = UNKNOWN) -> CleanedTexts:
    """Clean a batch of texts of one domain; each on its own, so that batches may be cut anywhere."""
    record = _Record()
    steps = steps_of(rules, record.masked, language)
    record.counts = {step.stage: StepCount() for step in steps}
    cleaned: list[str] = []
    for chunk in _chunks(texts):
        cleaned += _clean_chunk(chunk, steps, rules, language.relevance, record, len(cleaned))
    return CleanedTexts(
        texts=cleaned,
        counts=record.counts,
        masked=record.masked,
        rejections=sorted(record.rejections, key=lambda rejection: rejection.position),
        statistics=TextStatistics.joined(record.statistics) if rules.quality else None,
    )


def personal_kinds(rules: CleaningRules) -> tuple[PersonalKind, ...]:
    """Return what the rules mask."""
    return (*personal_data.NUMBERS, PersonalKind.EMAIL) if rules.email else personal_data.NUMBERS


def steps_of(rules: CleaningRules, masked: Counter[PersonalKind], language: DomainLanguage = UNKNOWN) -> list[Step]:
    """Return the steps that are on, in their order; personal data is counted in `masked`."""
    kinds = personal_kinds(rules)

    def mask(text: str) -> tuple[str, int]:
        text, found = personal_data.mask(text, kinds)
        masked.update(found)
        return text, found.total()

    most = rules.max_repeats
    every = (
        (rules.mojibake, Step(Stage.MOJIBAKE, mojibake.needs, mojibake.repair)),
        (rules.invisible, Step(Stage.INVISIBLE, _has_invisible, invisible_characters.remove_invisible)),
        (rules.width, Step(Stage.WIDTH, _has_folded, widths.fold)),
        (rules.markup, Step(Stage.MARKUP, markup.needs, markup.strip_markup)),
        (rules.spaces, Step(Stage.SPACES, spaces.needs, spaces.tighten)),
        (
            rules.symbols,
            Step(Stage.SYMBOLS, partial(symbols.needs, max_repeats=most), partial(symbols.shorten, max_repeats=most)),
        ),
        (rules.simplified, Step(Stage.SIMPLIFIED, simplified.needs, simplified.simplify)),
        (rules.boilerplate, Step(Stage.BOILERPLATE, boilerplate.needs, boilerplate.drop_lines)),
        *((True, _typos_step(corrector)) for corrector in (language.typos,) if corrector),
        (rules.personal_data, Step(Stage.PERSONAL_DATA, lambda joined: personal_data.needs(joined, kinds), mask)),
    )
    return [step for is_on, step in every if is_on]


def _typos_step(corrector: "TypoCorrector") -> Step:
    def needs(joined: JoinedTexts) -> Flags:
        return joined.documents_at(np.array(corrector.places(joined.text), np.int64))

    def correct(text: str) -> tuple[str, int]:
        [corrected], corrections = corrector.correct([text])
        return corrected, len(corrections)

    return Step(Stage.TYPOS, needs, correct)


def _has_invisible(joined: JoinedTexts) -> Flags:
    return joined.has(Trait.INVISIBLE, Trait.LINE_BREAK)


def _has_folded(joined: JoinedTexts) -> Flags:
    return joined.has(Trait.FOLDED, Trait.COMPOSING)


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) == CHUNK_DOCUMENTS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _clean_chunk(
    texts: list[str],
    steps: list[Step],
    rules: CleaningRules,
    relevance: RelevanceModel | None,
    record: _Record,
    first: int,
) -> list[str]:
    """Clean the texts in place; `first` is the position of the first one in the batch."""
    touched: dict[Stage, set[int]] = {step.stage: set() for step in steps}
    joined = JoinedTexts.of(texts)
    positions = np.arange(len(texts))
    for number in range(MAX_ROUNDS):
        if number:
            joined = JoinedTexts.of([texts[at] for at in positions])
        positions = _round(texts, joined, positions, steps, record.counts, touched)
        if not len(positions):
            break
    for stage, documents in touched.items():
        record.counts[stage].documents += len(documents)
    rejected = _off_domain(texts, relevance) if relevance else {}
    if rules.quality:
        joined = JoinedTexts.of(texts)
        record.statistics.append(measured := quality.statistics(joined))
        rejected |= quality.judge(texts, joined, measured, limits(rules))
    rejected |= {int(at): (Reason.UNSETTLED, float(MAX_ROUNDS)) for at in positions}
    for at, (reason, score) in rejected.items():
        stage = STAGE_OF.get(reason, Stage.QUALITY)
        record.rejections.append(Rejection(position=first + at, stage=stage, reason=reason, score=score))
    return texts


def _off_domain(texts: list[str], relevance: RelevanceModel) -> dict[int, tuple[Reason, float]]:
    judged = enumerate(relevance.judge(texts))
    return {at: (Reason.OFF_DOMAIN, one.score) for at, one in judged if one.verdict is Verdict.REJECT}


def limits(rules: CleaningRules) -> Limits:
    """Return what the rules let a document be at most."""
    return Limits(
        characters=rules.max_characters,
        broken=rules.max_broken_share,
        symbols=rules.max_symbol_share,
        top_character=rules.max_top_character_share,
        repeated=rules.max_repeated_share,
    )


def _round(
    texts: list[str],
    joined: JoinedTexts,
    positions: npt.NDArray[np.int64],
    steps: list[Step],
    counts: dict[Stage, StepCount],
    touched: dict[Stage, set[int]],
) -> npt.NDArray[np.int64]:
    """Let the steps see each document once; return the positions of those that changed.

    What a step leaves for an earlier or later one, the next round finds. White space is tightened at once where anything
    changed, since removals leave most of it.
    """
    changed = np.zeros(len(texts), np.bool_)
    for step in steps:
        needed = step.needs(joined)
        chosen = positions[needed | changed[positions] if step.stage is Stage.SPACES else needed]
        now_changed = [at for at in chosen.tolist() if _apply(step, texts, at, counts[step.stage])]
        touched[step.stage].update(now_changed)
        changed[now_changed] = True
    return np.flatnonzero(changed)


def _apply(step: Step, texts: list[str], at: int, count: StepCount) -> bool:
    """Whether the step changed the document."""
    text, occurrences = step.clean(texts[at])
    if text == texts[at]:
        return False
    texts[at] = text
    count.occurrences += max(occurrences, 1)
    return True
