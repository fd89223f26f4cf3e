import hashlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.fit import Fit, coverage, keep_or_rebuild, measure
from services.tokenizer_builder.core.job import CorpusTexts, choose
from services.tokenizer_builder.settings import TokenizerRules
from shared.errors import RunFailed
from tests.unit.tokenizer_builder.statutes import ARTICLES, DRUG_LEAFLET

RULES = TokenizerRules(vocab_size=1200)
TOKENIZER = bpe.train(ARTICLES, vocab_size=1200, max_token_chars=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SPOKEN = ["<eos>", "<pad>", "<0x41>", "<0xFF>", "第三条", "a b", "  ", "\n", "10⁹/L", "ｶ", "𠮷", "é", "é"]


def ids(text: str, tokenizer: Tokenizer = TOKENIZER) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@settings(deadline=None)
@given(TEXTS | st.lists(st.sampled_from(SPOKEN)).map("".join))
def test_every_text_comes_back_from_ids_that_are_never_special(text):
    assert TOKENIZER.decode(ids(text)) == text
    assert not {0, 1, 2} & set(ids(text))


def test_special_and_byte_tokens_have_their_places():
    assert [TOKENIZER.token_to_id(token) for token in ("<pad>", "<bos>", "<eos>", "<0x00>", "<0xFF>")] == [
        0,
        1,
        2,
        3,
        258,
    ]
    assert TOKENIZER.get_vocab_size(with_added_tokens=True) <= 1200


def test_tokens_are_short_and_digits_and_punctuation_stand_alone():
    learned = [token for token, index in TOKENIZER.get_vocab().items() if index > 258]
    assert max(map(len, learned)) <= 6
    assert not [token for token in learned if len(token) > 1 and any(char in "，。；、\n0123456789" for char in token)]
    assert [TOKENIZER.id_to_token(index) for index in ids("处12年。")] == ["处", "1", "2", "年", "。"]


def test_what_recurs_becomes_one_token():
    assert len(ids("有期徒刑")) == 1
    assert len(ids("有期徒刑")) < len(ids("有期房刑")) <= 4 + 2


def test_the_file_gives_the_same_tokenizer_back():
    again = Tokenizer.from_str(bpe.to_json(TOKENIZER).decode())
    assert [ids(text, again) for text in (*ARTICLES, DRUG_LEAFLET)] == [ids(text) for text in (*ARTICLES, DRUG_LEAFLET)]
    assert bpe.to_json(again) == bpe.to_json(TOKENIZER)


# With 512 there is no room for every character: which of the rare ones stay must not be left to chance.
@pytest.mark.parametrize("vocab_size", [1200, 512])
def test_the_same_texts_give_the_same_bytes_in_another_process(vocab_size):
    code = (
        "import hashlib; from services.tokenizer_builder.core import bpe;"
        "from tests.unit.tokenizer_builder.statutes import ARTICLES;"
        f"tokenizer = bpe.train(ARTICLES, vocab_size={vocab_size}, max_token_chars=6);"
        "print(hashlib.sha256(bpe.to_json(tokenizer)).hexdigest())"
    )
    environments = [
        {"PYTHONHASHSEED": "1", "RAYON_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "2"},
    ]
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()
        for environment in environments
    }
    here = bpe.train(ARTICLES, vocab_size=vocab_size, max_token_chars=6)
    assert digests == {hashlib.sha256(bpe.to_json(here)).hexdigest()}


def test_the_alphabet_is_ascii_and_then_what_is_most_frequent():
    alphabet = bpe.alphabet_of(["法法律律第"], limit=len(bpe.ASCII) + 2)
    assert alphabet[-2:] == ["律", "法"]
    assert bpe.alphabet_of([], limit=3) == bpe.ASCII[:3]


def test_a_vocabulary_without_room_is_refused():
    with pytest.raises(ValueError, match="at least 512"):
        bpe.train(ARTICLES, vocab_size=300, max_token_chars=6)


@settings(deadline=None)
@given(st.lists(st.text("甲乙丙丁", min_size=1, max_size=30), max_size=40), st.integers(1, 400))
def test_a_sample_is_part_of_the_texts_and_the_same_whatever_their_order(texts, max_chars):
    sample = bpe.thin(texts, max_chars=max_chars)
    assert sorted(bpe.thin(texts[::-1], max_chars=max_chars)) == sorted(sample)
    assert [text for text in texts if text in set(sample)] == sample
    assert sample == texts or sum(map(len, texts)) > max_chars


def test_a_sample_has_about_the_size_that_was_asked_for():
    texts = [f"第{number}条" for number in range(10_000)]
    assert 0.9 < sum(map(len, bpe.thin(texts, max_chars=10_000))) / 10_000 < 1.1


def test_coverage_is_the_share_of_characters_in_the_vocabulary():
    assert coverage(TOKENIZER, ARTICLES) == 1.0
    assert coverage(TOKENIZER, ["民法", "𠮷𠮷"]) == 0.5
    assert coverage(TOKENIZER, []) == 1.0


def test_fertility_counts_tokens_over_characters():
    assert measure(TOKENIZER, ["有期徒刑", "𠮷"]) == Fit(coverage=0.8, tokens_per_char=(1 + 4) / 5, num_chars=5)
    assert measure(TOKENIZER, [""]) == Fit(coverage=1.0, tokens_per_char=0.0, num_chars=0)


def fit(coverage: float = 1.0, tokens_per_char: float = 0.5, num_chars: int = 100) -> Fit:
    return Fit(coverage=coverage, tokens_per_char=tokens_per_char, num_chars=num_chars)


@pytest.mark.parametrize(
    ("on_new", "on_old", "keep"),
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
def test_the_serving_tokenizer_is_kept_while_it_covers_and_does_not_split_more(on_new, on_old, keep):
    verdict = keep_or_rebuild(on_new, on_old, TokenizerRules(min_coverage=0.995, max_fertility_rise=0.1))
    assert verdict.keep is keep
    assert verdict.reason.startswith("kept" if keep else "rebuilt")


def test_the_reason_gives_value_and_limit():
    on_new, on_old = fit(coverage=0.999, tokens_per_char=0.62), fit(tokens_per_char=0.55)
    assert (
        keep_or_rebuild(on_new, on_old, RULES).reason
        == "rebuilt: fertility on the new text rose by 12.73 %, limit 10.00 %"
    )


def test_new_statutes_keep_the_tokenizer_and_another_field_rebuilds_it():
    statutes = CorpusTexts(new=ARTICLES[-1:], old=ARTICLES[:-1], training=ARTICLES)
    kept = choose(statutes, TOKENIZER, RULES)
    assert kept.kept
    assert kept.tokenizer is TOKENIZER
    leaflets = CorpusTexts(new=[DRUG_LEAFLET], old=ARTICLES, training=[*ARTICLES, DRUG_LEAFLET])
    rebuilt = choose(leaflets, TOKENIZER, RULES)
    assert not rebuilt.kept
    assert "it covers" in rebuilt.reason
    assert rebuilt.fit.coverage == 1.0


def test_without_a_serving_tokenizer_one_is_built_and_without_training_text_none_can_be():
    assert not choose(CorpusTexts(new=ARTICLES, old=(), training=ARTICLES), None, RULES).kept
    with pytest.raises(RunFailed, match="no training document"):
        choose(CorpusTexts(new=ARTICLES, old=(), training=()), None, RULES)
