"""The report of a tokenizer: what it is made of, and what it does to held-out text. Numbers only."""

from collections.abc import Callable, Mapping, Sequence

import rjieba

from contracts.envelope import Digest, Domain
from contracts.tokenizers import ComparedTokenizer, TokenizerParts, TokenizerReport
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.choice import Choice
from services.tokenizer_builder.core.fit import examine, measure, share_whole
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.lexicon import Lexicon
from services.tokenizer_builder.core.screen import Finder
from services.tokenizer_builder.settings import TokenizerRules

NUM_FREQUENT_TERMS = 1_000
NUM_LEFT_OUT = 50
"""Terms that are no token of which is told why."""

CountTokens = Callable[[str], int]


def report_on(
    choice: Choice,
    texts: CorpusTexts,
    lexicon: Lexicon,
    rules: TokenizerRules,
    *,
    domain: Domain,
    corpus_digest: Digest,
    tokenizer_digest: Digest,
    general: Mapping[str, CountTokens | None],
) -> TokenizerReport:
    """Return what is told of a tokenizer.

    Args:
        choice: The tokenizer and why it is the one.
        texts: The corpus version's texts.
        lexicon: The lexicon that it was made with.
        rules: Say how much text is looked at.
        domain: Whose it is.
        corpus_digest: The corpus version.
        tokenizer_digest: Its own name.
        general: Count the tokens of general tokenizers, by their names; None: this one is not there to compare with.
    """
    sample = bpe.thin(texts.held_out or texts.new, max_chars=rules.max_report_chars)
    fit = measure(choice.tokenizer, sample)
    accepted = [entry.term for entry in lexicon.accepted]
    found = examine(choice.tokenizer, sample, occurring(lexicon, sample), rjieba.cut)
    return TokenizerReport(
        domain=domain, corpus_digest=corpus_digest, tokenizer_digest=tokenizer_digest,
        decision=choice.action, reason=choice.reason, parts=_parts(choice, rules),
        is_held_out=bool(texts.held_out), num_texts=len(sample), num_chars=fit.num_chars, num_tokens=found.num_tokens,
        coverage=fit.coverage, tokens_per_char=fit.tokens_per_char, word_coverage=found.word_coverage,
        core_term_coverage=core_term_coverage(choice, lexicon, core_size=rules.core_size),
        num_terms=found.num_terms, terms_whole=found.terms_whole, terms_unbroken=found.terms_unbroken,
        num_term_occurrences=found.num_term_occurrences, crossing=found.crossing, spanning=found.spanning,
        num_byte_tokens=found.num_byte_tokens, num_unknown=found.num_unknown, round_trip=found.round_trip,
        num_accepted_terms=len(accepted), accepted_terms_whole=share_whole(choice.tokenizer, accepted),
        num_tokens_by_chars=found.num_tokens_by_chars, compared=compared(general, sample, found.num_tokens),
        not_compared=tuple(name for name, count in general.items() if count is None), num_entries=lexicon.num_entries,
        terms_left_out=choice.left_out[:NUM_LEFT_OUT],
    )  # fmt: skip


def occurring(lexicon: Lexicon, texts: Sequence[str]) -> list[str]:
    """Return the accepted terms that occur in the training text or in `texts`, whether they are tokens or not."""
    here = Finder([entry.term for entry in lexicon.accepted]).counted(texts)
    return [entry.term for entry in lexicon.accepted if entry.count or here[entry.term]]


def core_term_coverage(choice: Choice, lexicon: Lexicon, *, core_size: int) -> float | None:
    """Return the share of the occurrences of the most frequent accepted terms that are one token of the core, 0 to 1.

    None where no term occurs.
    """
    frequent = sorted(lexicon.accepted, key=lambda entry: (-(entry.count or 0), entry.term))[:NUM_FREQUENT_TERMS]
    total = sum(entry.count or 0 for entry in frequent)
    ids = {entry.term: choice.tokenizer.token_to_id(entry.term) for entry in frequent}
    known = sum(entry.count or 0 for entry in frequent if (index := ids[entry.term]) is not None and index < core_size)
    return known / total if total else None


def compared(
    general: Mapping[str, CountTokens | None], texts: Sequence[str], num_tokens: int
) -> tuple[ComparedTokenizer, ...]:
    """Return what general tokenizers make of the same texts."""
    num_chars = max(sum(map(len, texts)), 1)
    counts = {name: sum(map(count, texts)) for name, count in sorted(general.items()) if count}
    return tuple(
        ComparedTokenizer(name=name, num_tokens=count, tokens_per_char=count / num_chars, ratio=num_tokens / count)
        for name, count in counts.items()
        if count
    )


def _parts(choice: Choice, rules: TokenizerRules) -> TokenizerParts:
    size = choice.tokenizer.get_vocab_size(with_added_tokens=True)
    return TokenizerParts(
        vocab_size=size,
        core_size=min(size, rules.core_size),
        num_terms=len(choice.terms_as_tokens),
        num_terms_left_out=choice.num_left_out,
    )
