"""How well a tokenizer fits a text, and whether the serving one is kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from services.tokenizer_builder.settings import TokenizerRules

CHUNK_TEXTS = 1_000


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A tokenizer on a sample of text.

    Attributes:
        coverage: Share of characters that are in the vocabulary, so need no byte fallback; 0 to 1, higher is better.
        tokens_per_char: Fertility: tokens over characters, no special tokens counted; lower is better.
        num_chars: Size of the sample. An empty one has coverage 1 and fertility 0.
    """

    coverage: float
    tokens_per_char: float
    num_chars: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the serving tokenizer is kept, and why, for people."""

    keep: bool
    reason: str


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> Fit:
    """Return how `tokenizer` fits `texts`."""
    num_chars = sum(len(text) for text in texts)
    if num_chars == 0:
        return Fit(coverage=1.0, tokens_per_char=0.0, num_chars=0)
    return Fit(
        coverage=coverage(tokenizer, texts),
        tokens_per_char=_num_tokens(tokenizer, texts) / num_chars,
        num_chars=num_chars,
    )


def coverage(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Return the share of the texts' characters that are tokens of their own; 1.0 where there is no character."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    known = sum(count for char, count in counts.items() if tokenizer.token_to_id(char) is not None)
    return known / counts.total() if counts else 1.0


def _num_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    chunks = (texts[start : start + CHUNK_TEXTS] for start in range(0, len(texts), CHUNK_TEXTS))
    return sum(
        len(encoding) for chunk in chunks for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
    )


def keep_or_rebuild(on_new: Fit, on_old: Fit, rules: TokenizerRules) -> Verdict:
    """Return whether the serving tokenizer is kept.

    Args:
        on_new: The serving tokenizer on the text that the corpus version adds.
        on_old: The same tokenizer on the text before; without any, only coverage decides.
        rules: The limits, both inclusive.

    Example:
        >>> rules = TokenizerRules(min_coverage=0.995, max_fertility_rise=0.1)
        >>> keep_or_rebuild(Fit(coverage=0.999, tokens_per_char=0.62, num_chars=100),
        ...                 Fit(coverage=1.0, tokens_per_char=0.55, num_chars=100), rules).reason
        'rebuilt: fertility on the new text rose by 12.73 %, limit 10.00 %'
    """
    covered = f"{_percent(on_new.coverage)} of the new characters"
    if on_new.coverage < rules.min_coverage:
        return Verdict(keep=False, reason=f"rebuilt: it covers {covered}, limit {_percent(rules.min_coverage)}")
    rise = on_new.tokens_per_char / on_old.tokens_per_char - 1 if on_new.num_chars and on_old.num_chars else 0.0
    risen = f"fertility on the new text rose by {_percent(rise)}, limit {_percent(rules.max_fertility_rise)}"
    if rise > rules.max_fertility_rise:
        return Verdict(keep=False, reason=f"rebuilt: {risen}")
    return Verdict(keep=True, reason=f"kept: it covers {covered}; {risen}")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
