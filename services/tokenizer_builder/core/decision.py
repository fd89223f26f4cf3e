"""Whether the serving tokenizer is reused, extended or rebuilt, and why: numbers in, a verdict out."""

from dataclasses import dataclass
from typing import Literal

from services.tokenizer_builder.core.fit import Fit
from services.tokenizer_builder.settings import TokenizerRules

MIN_GAP_CLOSED = 0.5
"""A new tokenizer covers enough more if it closes this share of the gap between the coverage and its limit,"""
MAX_TOKENS_LOST = 0.01
"""and needs at most this share of tokens more: every id and every row of the model's embedding changes its meaning."""
NEARLY = 0.8
"""An extension that saves this share of what a new tokenizer saves is preferred: it keeps all ids."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the serving tokenizer holds, and why, for people."""

    holds: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done, and why, for people."""

    action: Literal["reused", "extended", "rebuilt"]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Extension:
    """What new terms would bring.

    Attributes:
        num_terms: How many there are that may be appended.
        num_user_terms: How many of them users named.
        fit: The extended tokenizer on the text that decides.
    """

    num_terms: int
    num_user_terms: int
    fit: Fit


@dataclass(frozen=True, kw_only=True)
class Rebuild:
    """What a new tokenizer would bring.

    Attributes:
        fit: It on the text that decides.
        told: What this text is to it, for people.
    """

    fit: Fit
    told: str


def holds(on_new: Fit, on_old: Fit, rules: TokenizerRules, *, told: str = "") -> Verdict:
    """Return whether the serving tokenizer still fits.

    Args:
        on_new: The serving tokenizer on the text that the corpus version adds.
        on_old: The same tokenizer on the text before; without any, only coverage decides.
        rules: The limits, both inclusive.
        told: What there is to be said of the text; ends the reason.

    Example:
        >>> rules = TokenizerRules(min_coverage=0.995, max_fertility_rise=0.1)
        >>> holds(Fit(coverage=0.999, tokens_per_char=0.62, num_chars=100),
        ...       Fit(coverage=1.0, tokens_per_char=0.55, num_chars=100), rules).reason
        'fertility on the new text rose by 12.73 %, limit 10.00 %'
    """
    covered = f"it covers {percent(on_new.coverage)} of the {'new ' if not told else ''}characters"
    told = f"; {told}" if told else ""
    if on_new.coverage < rules.min_coverage:
        return Verdict(holds=False, reason=f"{covered}, limit {percent(rules.min_coverage)}{told}")
    rise = on_new.tokens_per_char / on_old.tokens_per_char - 1 if on_new.num_chars and on_old.num_chars else 0.0
    risen = f"fertility on the new text rose by {percent(rise)}, limit {percent(rules.max_fertility_rise)}"
    if rise > rules.max_fertility_rise:
        return Verdict(holds=False, reason=f"{risen}{told}")
    return Verdict(holds=True, reason=f"{covered}; {risen}{told}")


def decide(
    verdict: Verdict, fit: Fit, rules: TokenizerRules, *, rebuild: Rebuild | None, extension: Extension | None
) -> Decision:
    """Return what is done with the serving tokenizer.

    Args:
        verdict: Whether it holds.
        fit: It on the text that decides, the same for all.
        rules: The limits.
        rebuild: What a new one would bring; None: none was built, since the serving one holds.
        extension: What new terms would bring; None: there are none.
    """
    why = verdict.reason
    saved_by_terms = saving(fit, extension.fit) if _is_worth(extension, fit, rules) and extension else None
    if rebuild is not None:
        gain = _gain(rebuild, fit)
        closes = _closes_gap(rebuild.fit, fit, rules)
        if closes or _saves(rebuild.fit, fit, rules):
            if closes or saved_by_terms is None or saved_by_terms < NEARLY * saving(fit, rebuild.fit):
                return Decision(action="rebuilt", reason=f"rebuilt: {why}; {gain}")
            why = f"{why}; {gain}, hardly more than the new terms"
        else:
            why = f"{why}; but {gain}, {_limits(fit, rules)}"
    if extension is not None and extension.num_terms:
        terms = f"{extension.num_terms:,} new terms, {extension.num_user_terms:,} of them users',"
        told = f"{terms} save {percent(saving(fit, extension.fit))} of the tokens"
        if saved_by_terms is not None:
            return Decision(action="extended", reason=f"extended: {told}; {why}")
        why = f"{why}; {told}, limit {percent(rules.min_extension_gain)}"
    return Decision(action="reused", reason=f"reused: {why}")


def _is_worth(extension: Extension | None, fit: Fit, rules: TokenizerRules) -> bool:
    """Whether new terms shall be appended: some are users', or they save enough."""
    if extension is None or not extension.num_terms:
        return False
    return extension.num_user_terms > 0 or saving(fit, extension.fit) >= rules.min_extension_gain


def _closes_gap(rebuilt: Fit, fit: Fit, rules: TokenizerRules) -> bool:
    """Whether a new tokenizer covers so much more of what is not covered that it may need some more tokens for it."""
    gap = rules.min_coverage - fit.coverage
    is_covered = gap > 0 and rebuilt.coverage - fit.coverage >= MIN_GAP_CLOSED * gap
    return is_covered and saving(fit, rebuilt) >= -MAX_TOKENS_LOST


def _saves(rebuilt: Fit, fit: Fit, rules: TokenizerRules) -> bool:
    """Whether a new tokenizer saves enough, and does not cover too little for it."""
    covers = rebuilt.coverage >= min(fit.coverage, rules.min_coverage)
    return covers and saving(fit, rebuilt) >= rules.min_rebuild_gain


def _gain(rebuild: Rebuild, fit: Fit) -> str:
    covers = percent(rebuild.fit.coverage - fit.coverage)
    return (
        f"a new one saves {percent(saving(fit, rebuild.fit))} of the tokens and covers {covers} more, on {rebuild.told}"
    )


def _limits(fit: Fit, rules: TokenizerRules) -> str:
    gap = rules.min_coverage - fit.coverage
    covering = f" or {percent(MIN_GAP_CLOSED * gap)} covered at hardly any more" if gap > 0 else ""
    return f"limit {percent(rules.min_rebuild_gain)} saved{covering}"


def saving(before: Fit, after: Fit) -> float:
    """Return the share of tokens that one tokenizer saves against another on the same text; negative: it needs more."""
    return 1 - after.tokens_per_char / before.tokens_per_char if before.tokens_per_char else 0.0


def vocab_size_for(num_chars: int, rules: TokenizerRules) -> int:
    """Return how many tokens a corpus may have: those of a small one, or one for each `chars_per_token` characters.

    Example:
        >>> [vocab_size_for(chars, TokenizerRules()) for chars in (50_000, 3_000_000, 5_000_000, 50_000_000)]
        [6000, 6666, 11111, 22528]
    """
    return min(rules.vocab_size, max(rules.small_vocab_size, num_chars // rules.chars_per_token))


def percent(share: float) -> str:
    """Return a share for people."""
    return f"{100 * share:.2f} %"
