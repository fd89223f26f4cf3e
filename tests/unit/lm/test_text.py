import pytest
from tokenizers import Tokenizer, models

from shared.lm.text import encode_prompt, encode_texts, special_ids


def tokenizer_of(*tokens):
    return Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))


LETTERS = tokenizer_of("<pad>", "<bos>", "<eos>", "a", "b", "c", "d", "e", "f", "法")


def test_a_text_is_framed_and_cut_to_the_context():
    short, exact, long = encode_texts(LETTERS, ["ab", "abc", "abcd"], block_size=5)
    assert (short.ids, short.truncated) == ([1, 3, 4, 2], False)
    assert (exact.ids, exact.truncated) == ([1, 3, 4, 5, 2], False)
    assert (long.ids, long.truncated) == ([1, 3, 4, 5, 6], True)


def test_a_prompt_has_no_end():
    assert encode_prompt(LETTERS, "法a") == [1, 9, 3]


def test_a_tokenizer_without_special_tokens_is_refused():
    with pytest.raises(ValueError, match="has no <bos>"):
        special_ids(tokenizer_of("<pad>", "a"))
