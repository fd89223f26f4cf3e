import hashlib
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from services.tokenizer_builder.core import bpe
from tests.unit.tokenizer_builder.statutes import ARTICLES, DRUG_LEAFLET

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
    alphabet = bpe.alphabet_of(Counter("法法律律第"), limit=len(bpe.ASCII) + 2)
    assert alphabet[-2:] == ["律", "法"]
    assert bpe.alphabet_of({}, limit=3) == bpe.ASCII[:3]


def test_a_vocabulary_without_room_is_refused():
    with pytest.raises(ValueError, match="at least 512"):
        bpe.train(ARTICLES, vocab_size=300, max_token_chars=6)


@settings(deadline=None)
@given(st.lists(st.text("甲乙丙丁", min_size=1, max_size=30), max_size=40), st.integers(1, 400))
def test_a_sample_is_part_of_the_texts_and_the_same_whatever_their_order(texts, max_chars):
    sample = bpe.thin(texts, max_chars=max_chars)
    assert sorted(bpe.thin(texts[::-1], max_chars=max_chars)) == sorted(sample)
    rest = iter([text[:max_chars] for text in texts])
    assert all(piece in rest for piece in sample), "beginnings of texts, in their order"
    assert bool(sample) is bool(texts)
    assert sample == texts or sum(map(len, texts)) > max_chars


def test_a_sample_has_about_the_size_that_was_asked_for():
    texts = [f"第{number}条" for number in range(10_000)]
    assert 0.9 < sum(map(len, bpe.thin(texts, max_chars=10_000))) / 10_000 < 1.1


def test_a_sample_of_few_long_texts_is_neither_empty_nor_too_long():
    one, other = ("甲乙丙丁" * 5_000, "戊己庚辛" * 5_000)
    for size in (10, 1_000, 19_000, 30_000):
        sample = bpe.thin([one, other], max_chars=size)
        assert sample
        assert sample == bpe.thin([one, other], max_chars=size)
        assert all(0 < len(text) <= size for text in sample)
    assert set(bpe.thin([one, other], max_chars=10)) == set(bpe.thin([other, one], max_chars=10))
