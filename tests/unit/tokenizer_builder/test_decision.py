import pytest

from services.tokenizer_builder.core.decision import (
    Extension,
    Rebuild,
    Verdict,
    decide,
    holds,
    saving,
    vocab_size_for,
)
from services.tokenizer_builder.core.fit import Fit
from services.tokenizer_builder.settings import TokenizerRules

RULES = TokenizerRules(min_coverage=0.995, max_fertility_rise=0.1, min_rebuild_gain=0.03, min_extension_gain=0.03)
HOLDS, FAILS = Verdict(holds=True, reason="it fits"), Verdict(holds=False, reason="it does not fit")


def fit(coverage: float = 1.0, tokens_per_char: float = 0.5, num_chars: int = 100) -> Fit:
    return Fit(coverage=coverage, tokens_per_char=tokens_per_char, num_chars=num_chars)


def extension(tokens_per_char: float, *, num_user_terms: int = 0, num_terms: int = 7) -> Extension:
    return Extension(num_terms=num_terms, num_user_terms=num_user_terms, fit=fit(tokens_per_char=tokens_per_char))


@pytest.mark.parametrize(
    ("on_new", "on_old", "expected"),
    [
        (fit(), fit(), True),
        (fit(coverage=0.995), fit(), True),
        (fit(coverage=0.9949), fit(), False),
        (fit(tokens_per_char=0.549), fit(), True),
        (fit(tokens_per_char=0.551), fit(), False),
        (fit(tokens_per_char=0.3), fit(), True),
        (fit(tokens_per_char=2.0), fit(num_chars=0), True),
        (fit(num_chars=0), fit(), True),
    ],
)
def test_the_serving_tokenizer_holds_while_it_covers_and_does_not_split_more(on_new, on_old, expected):
    assert holds(on_new, on_old, RULES).holds is expected


def test_the_reason_gives_value_and_limit():
    on_new, on_old = fit(coverage=0.999, tokens_per_char=0.62), fit(tokens_per_char=0.55)
    assert holds(on_new, on_old, RULES).reason == "fertility on the new text rose by 12.73 %, limit 10.00 %"
    assert holds(fit(coverage=0.9), on_old, RULES).reason == "it covers 90.00 % of the new characters, limit 99.50 %"
    told = holds(fit(coverage=0.9), on_old, RULES, told="judged on two").reason
    assert told == "it covers 90.00 % of the characters, limit 99.50 %; judged on two"


@pytest.mark.parametrize(
    ("verdict", "serving", "rebuilt", "more", "action"),
    [
        (HOLDS, fit(), None, None, "reused"),
        (HOLDS, fit(), None, extension(0.486), "reused"),
        (HOLDS, fit(), None, extension(0.484), "extended"),
        (HOLDS, fit(), None, extension(0.4999, num_user_terms=1), "extended"),
        (HOLDS, fit(), None, extension(0.3, num_terms=0), "reused"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.5), None, "rebuilt"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.59), None, "reused"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.59), extension(0.5), "extended"),
        (FAILS, fit(coverage=0.9), fit(coverage=0.95, tokens_per_char=0.5), None, "rebuilt"),
        (FAILS, fit(coverage=0.9), fit(coverage=0.9, tokens_per_char=0.5), None, "reused"),
        # A millionth more coverage is no reason, nor is more coverage at any price.
        (FAILS, fit(coverage=0.994), fit(coverage=0.994001, tokens_per_char=0.52), None, "reused"),
        (FAILS, fit(coverage=0.994), fit(coverage=0.994001), None, "reused"),
        (FAILS, fit(coverage=0.994), fit(coverage=0.9951, tokens_per_char=0.52), None, "reused"),
        (FAILS, fit(coverage=0.994), fit(coverage=0.9946, tokens_per_char=0.504), None, "rebuilt"),
        (FAILS, fit(coverage=0.999), fit(coverage=0.98, tokens_per_char=0.4), None, "reused"),
        # An extension keeps all ids.
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.5), extension(0.51), "extended"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.5), extension(0.53), "rebuilt"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.58), extension(0.584), "rebuilt"),
        (FAILS, fit(tokens_per_char=0.6), fit(tokens_per_char=0.58), extension(0.584, num_user_terms=1), "extended"),
        (FAILS, fit(coverage=0.9), fit(tokens_per_char=0.4), extension(0.4), "rebuilt"),
    ],
)
def test_what_is_done_follows_from_the_numbers(verdict, serving, rebuilt, more, action):
    rebuild = Rebuild(fit=rebuilt, told="held-out text") if rebuilt else None
    made = decide(verdict, serving, RULES, rebuild=rebuild, extension=more)
    assert made.action == action
    assert made.reason.startswith(f"{action}: ")
    assert verdict.reason in made.reason


def test_the_reason_names_what_terms_and_a_rebuild_would_bring():
    rebuild = Rebuild(fit=fit(tokens_per_char=0.594), told="held-out text")
    made = decide(FAILS, fit(tokens_per_char=0.6), RULES, rebuild=rebuild, extension=extension(0.594))
    assert made.reason == (
        "reused: it does not fit; but a new one saves 1.00 % of the tokens and covers 0.00 % more, on held-out text, "
        "limit 3.00 % saved; 7 new terms, 0 of them users', save 1.00 % of the tokens, limit 3.00 %"
    )
    low = decide(FAILS, fit(coverage=0.9), RULES, rebuild=rebuild, extension=None)
    assert "limit 3.00 % saved or 4.75 % covered at hardly any more" in low.reason


def test_a_saving_is_a_share_of_the_tokens_before():
    assert saving(fit(tokens_per_char=0.5), fit(tokens_per_char=0.4)) == pytest.approx(0.2)
    assert saving(fit(tokens_per_char=0.0, num_chars=0), fit()) == 0.0


def test_a_small_corpus_gets_a_small_vocabulary_and_a_large_one_no_larger_than_allowed():
    rules = TokenizerRules(vocab_size=20_480, small_vocab_size=6_000, chars_per_token=500)
    assert [vocab_size_for(chars, rules) for chars in (0, 3_000_000, 3_000_500, 5_000_000, 50_000_000)] == [
        6000, 6000, 6001, 10000, 20480,
    ]  # fmt: skip
