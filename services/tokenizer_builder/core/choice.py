"""The tokenizer of a corpus version: its lexicon, the decision, and the tokenizer that follows. Pure.

Whether a tokenizer that serves is extended follows from what is new: users' terms that occur, and mined ones that the new text
brings, which must save enough. Each corpus version shows a few more mined terms, so to append whatever is mined would change
every model's embedding for half a percent of the tokens. But an extension that is made anyway takes all accepted terms that
occur and may be appended. In between such terms wait: they are called so, not accepted, as long as the tokenizer lacks them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import rjieba
from tokenizers import Tokenizer

from contracts.tokenizers import TermLeftOut
from services.tokenizer_builder.core import bpe, decision, recipe
from services.tokenizer_builder.core.decision import Decision, Extension, Rebuild
from services.tokenizer_builder.core.edges import kept_in_pieces
from services.tokenizer_builder.core.extension import NO_ROOM, Extended, extend, new_terms
from services.tokenizer_builder.core.fit import Fit, measure
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.judging import mined
from services.tokenizer_builder.core.lexicon import Lexicon, LexiconState, combined, terms_of
from services.tokenizer_builder.core.measured import Trial, judged_on, trial_of
from services.tokenizer_builder.core.mining import GeneralText
from services.tokenizer_builder.core.recipe import Built, Sizes
from services.tokenizer_builder.core.screen import MIN_ADDED_CHARS, Finder, Overlap, overlaps
from services.tokenizer_builder.core.segmentation import counted, is_general
from services.tokenizer_builder.core.terms import Term, standing
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules
from shared.errors import RunFailed

RISEN = 5.0
"""A mined term is new if it stands so many times more often in the new text than in the text before."""
WAITS = "waits for the next extension: new text does not bring such terms often enough to change what serves"
NUM_TOLD = 3
"""Users' terms that a reason names."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The tokenizer for a corpus version, how it fits the new text, and why this one.

    Attributes:
        terms_as_tokens: The lexicon's accepted terms that are tokens of it.
        num_left_out: Accepted terms that are none, those that wait not counted.
        left_out: Those of them that occur in the training text, what matters most first, each with the reason.
        waiting: Mined terms that the next extension takes, or the next new tokenizer.
    """

    tokenizer: Tokenizer
    fit: Fit
    action: Literal["built", "reused", "extended", "rebuilt"]
    reason: str
    terms_as_tokens: tuple[str, ...]
    num_left_out: int
    left_out: tuple[TermLeftOut, ...]
    waiting: tuple[TermLeftOut, ...] = ()
    num_new_tokens: int = 0


def lexicon_of(
    texts: CorpusTexts, state: LexiconState, general: Callable[[Sequence[str]], GeneralText], rules: LexiconRules
) -> Lexicon:
    """Return the domain's lexicon for a corpus version.

    Args:
        texts: Its texts; only the training ones are read.
        state: What users said.
        general: Tells how candidates stand in general text.
        rules: How terms are mined.
    """
    found, contrast = mined(texts.training, general, rules, texts.parts)
    allowed = [term for term, said in state.decisions.items() if said == "accepted" and standing(term) is None]
    in_pieces = kept_in_pieces(texts.training, allowed)
    wanted = [term for term in allowed if term not in in_pieces]
    # Apart, since of two terms at one place the longer is found: one that nobody wants must hide none.
    others = list(state.decisions.keys() - set(wanted))
    counts = Finder(wanted).counted(texts.training) + Finder(others).counted(texts.training)
    return combined(state, found, counts, in_pieces, contrast=contrast, max_shown=rules.max_shown)


def choose(texts: CorpusTexts, serving: Tokenizer | None, lexicon: Lexicon, rules: TokenizerRules) -> Choice:
    """Return the serving tokenizer if it still fits, extended where there are new terms, else a new one.

    Raises:
        RunFailed: There is no training text to build from.
    """
    work = _Work(texts, lexicon, rules)
    if serving is None:
        return work.as_built("built", "built: nothing serves yet")
    judged = judged_on(texts.new, texts.old, rules)
    on_judged = measure(serving, judged.texts)
    on_old = measure(serving, bpe.thin(texts.old, max_chars=rules.max_measure_chars))
    verdict = decision.holds(on_judged, on_old, rules, told=judged.told)
    extended = work.extended(serving)
    if verdict.holds:
        made = decision.decide(
            verdict, on_judged, rules, rebuild=None, extension=_extension(extended, lexicon, judged.texts)
        )
    else:
        trial = trial_of(texts, judged, rules)
        rebuild = Rebuild(fit=measure(work.tried(trial), trial.texts), told=trial.told)
        extension = _extension(extended, lexicon, trial.texts)
        made = decision.decide(verdict, measure(serving, trial.texts), rules, rebuild=rebuild, extension=extension)
    if made.action == "rebuilt":
        return work.as_built("rebuilt", made.reason)
    return work.as_kept(serving, extended, made)


class _Work:
    """What is made of a corpus version's training text, each part when it is needed."""

    def __init__(self, texts: CorpusTexts, lexicon: Lexicon, rules: TokenizerRules) -> None:
        self._texts = texts
        self._rules = rules
        self._users = _users(lexicon)
        self.terms = terms_of(lexicon)
        # The terms of users that occur stand first.
        self._num_first = sum(term.text in self._users and term.count > 0 for term in self.terms)

    @cached_property
    def training(self) -> list[str]:
        """The training text, or a sample of it."""
        if not self._texts.training:
            why = "all are held out for evaluation" if self._texts.held_out else "it is empty"
            raise RunFailed(f"the corpus version holds no training document, {why}")
        return bpe.thin(self._texts.training, max_chars=self._rules.max_build_chars)

    @cached_property
    def built(self) -> Built:
        """A new tokenizer."""
        return self._built(self.training)

    def tried(self, trial: Trial) -> Tokenizer:
        """Return a new tokenizer of the trial's training text."""
        if trial.training is self._texts.training:
            return self.built.tokenizer
        return self._built(bpe.thin(trial.training, max_chars=self._rules.max_build_chars)).tokenizer

    def _room(self, serving: Tokenizer) -> int:
        """Return how many terms may be appended: extensions may go beyond a new tokenizer's size, but not again and again."""
        training = bpe.thin(self._texts.training, max_chars=self._rules.max_build_chars)
        largest = self._vocab_size(training) + self._rules.max_extension_terms
        room = largest - serving.get_vocab_size(with_added_tokens=True)
        return max(min(self._rules.max_extension_terms, room), 0)

    def _vocab_size(self, training: Sequence[str]) -> int:
        return decision.vocab_size_for(sum(map(len, set(training))), self._rules)

    def _built(self, training: Sequence[str]) -> Built:
        sizes = Sizes(
            vocab_size=self._vocab_size(training), core_size=self._rules.core_size,
            max_word_chars=self._rules.max_word_chars, max_piece_chars=self._rules.max_token_chars,
        )  # fmt: skip
        screened = self._screened(self.terms)
        return recipe.build(counted(training), self.terms, screened, sizes, num_first=self._num_first)

    def as_built(self, action: Literal["built", "rebuilt"], reason: str) -> Choice:
        """Return the new tokenizer as the choice."""
        terms = self.built.added + self.built.merged
        left_out = self._left_out(self.built.tokenizer, {}, otherwise=NO_ROOM)
        return Choice(
            tokenizer=self.built.tokenizer, fit=self._on_new(self.built.tokenizer), action=action,
            reason=reason + self._told(left_out), terms_as_tokens=terms, num_left_out=len(self.built.left_out),
            left_out=left_out,
        )  # fmt: skip

    def extended(self, serving: Tokenizer) -> Extended | None:
        """Return the serving tokenizer with the terms that the new text brings, None where it brings none."""
        brought = self._brought(self._missing(serving))
        return extend(serving, brought, self._screened(brought), max_terms=self._room(serving)) if brought else None

    def extended_by_all(self, serving: Tokenizer) -> Extended | None:
        """Return the serving tokenizer with all terms that occur and that it lacks, those that the new text brings first."""
        missing = self._missing(serving)
        brought = self._brought(missing)
        first = {term.text for term in brought}
        terms = [*brought, *(term for term in missing if term.text not in first)]
        return extend(serving, terms, self._screened(terms), max_terms=self._room(serving)) if terms else None

    def _missing(self, serving: Tokenizer) -> list[Term]:
        return new_terms(serving, [term for term in self.terms if term.count])

    def _brought(self, missing: Sequence[Term]) -> list[Term]:
        finder = Finder([term.text for term in missing])
        on_new, on_old = finder.counted(self._texts.new), finder.counted(self._texts.old)
        share = max(sum(map(len, self._texts.new)), 1) / max(sum(map(len, self._texts.old)), 1)
        return [
            term for term in missing
            if term.text in self._users or on_new[term.text] > RISEN * share * on_old[term.text]
        ]  # fmt: skip

    def as_kept(self, serving: Tokenizer, extended: Extended | None, made: Decision) -> Choice:
        """Return the serving tokenizer, or its extension by all terms, as the choice.

        Args:
            serving: The serving tokenizer.
            extended: It with the terms that the new text brings, by which was decided.
            made: What was decided.
        """
        by_all = self.extended_by_all(serving)
        is_extended = made.action == "extended" and by_all is not None
        tokenizer = by_all.tokenizer if is_extended and by_all else serving
        missing = {term.text for term in new_terms(tokenizer, self.terms)}
        whys = {one.term: one.reason for one in by_all.left_out} if by_all else {}
        not_yet = self._left_out(tokenizer, whys, otherwise=WAITS)
        waiting = tuple(one for one in not_yet if one.reason == WAITS and one.term not in self._users)
        left_out = tuple(one for one in not_yet if one not in waiting)
        num_more = len(by_all.added) - len(extended.added) if is_extended and by_all and extended else 0
        return Choice(
            tokenizer=tokenizer, fit=self._on_new(tokenizer), action=made.action,
            reason=made.reason + _beside(num_more, len(waiting)) + self._told(left_out), left_out=left_out, waiting=waiting,
            terms_as_tokens=tuple(term.text for term in self.terms if term.text not in missing),
            num_left_out=len(missing) - len(waiting), num_new_tokens=by_all.num_new_tokens if is_extended and by_all else 0,
        )  # fmt: skip

    def _left_out(self, tokenizer: Tokenizer, whys: Mapping[str, str], *, otherwise: str) -> tuple[TermLeftOut, ...]:
        return tuple(
            TermLeftOut(term=term.text, reason=whys.get(term.text, otherwise)) for term in self._missing(tokenizer)
        )

    def _told(self, left_out: Sequence[TermLeftOut]) -> str:
        """Return the end of a reason: terms of users that occur and are no token; mined ones are many, and are not named."""
        users = [one for one in left_out if one.term in self._users]
        told = "; ".join(f"{one.term}: {one.reason}" for one in users[:NUM_TOLD])
        more = f"; and {len(users) - NUM_TOLD:,} more" if len(users) > NUM_TOLD else ""
        return f"; left out of users' terms: {told}{more}" if users else ""

    def _on_new(self, tokenizer: Tokenizer) -> Fit:
        return measure(tokenizer, bpe.thin(self._texts.new, max_chars=self._rules.max_measure_chars))

    def _screened(self, terms: Sequence[Term]) -> Mapping[str, Overlap]:
        long = [term.text for term in terms if len(term.text) >= MIN_ADDED_CHARS]
        sample = bpe.thin(self._texts.training, max_chars=self._rules.max_screen_chars)
        return overlaps(sample, long, cut=rjieba.cut, is_general=is_general)


def _beside(num_more: int, num_waiting: int) -> str:
    """Return what a reason says of the terms that did not decide."""
    more = f"; with them {num_more:,} accepted terms that had waited" if num_more else ""
    waiting = f"; {num_waiting:,} mined terms wait for the next extension" if num_waiting else ""
    return more + waiting


def _extension(extended: Extended | None, lexicon: Lexicon, texts: Sequence[str]) -> Extension | None:
    if extended is None:
        return None
    return Extension(
        num_terms=len(extended.added),
        num_user_terms=len(_users(lexicon).intersection(extended.added)),
        fit=measure(extended.tokenizer, texts),
    )


def _users(lexicon: Lexicon) -> frozenset[str]:
    return frozenset(entry.term for entry in lexicon.accepted if entry.origin == "user")
