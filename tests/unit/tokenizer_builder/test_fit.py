import pytest
import rjieba
from tokenizers import Tokenizer

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.fit import Fit, coverage, examine, measure
from tests.unit.tokenizer_builder.statutes import ARTICLES

TOKENIZER = bpe.train(ARTICLES, vocab_size=1200, max_token_chars=6)


def pieces(*names: str) -> Tokenizer:
    """Return a tokenizer whose tokens are the characters of `names`, and each name that merges of its own make."""
    draft = bpe.draft_of(dict.fromkeys("".join(names)))
    for name in names:
        token = draft.ids[name[0]]
        for character in name[1:]:
            token = draft.merge((token, draft.ids[character]))
    return draft.tokenizer()


def test_coverage_is_the_share_of_characters_in_the_vocabulary():
    assert coverage(TOKENIZER, ARTICLES) == 1.0
    assert coverage(TOKENIZER, ["民法", "𠮷𠮷"]) == 0.5
    assert coverage(TOKENIZER, []) == 1.0


def test_fertility_counts_tokens_over_characters():
    assert measure(TOKENIZER, ["有期徒刑", "𠮷"]) == Fit(coverage=0.8, tokens_per_char=(1 + 4) / 5, num_chars=5)
    assert measure(TOKENIZER, [""]) == Fit(coverage=1.0, tokens_per_char=0.0, num_chars=0)


def test_words_and_terms_are_counted_where_they_stand():
    tokenizer = pieces("申请", "专利", "保护", "专利权", "人", "依法")
    text, words = "依法申请专利保护专利权人𠮷", ["依法", "申请", "专利", "保护", "专利权人", "𠮷"]
    found = examine(tokenizer, [text], ["专利权", "专利权人", "申请"], lambda _: words)
    assert found.num_tokens == 10
    assert found.num_byte_tokens == 4
    assert found.num_tokens_by_chars == {1: 1 + 4, 2: 4, 3: 1}
    assert found.word_coverage == 4 / 5
    assert found.terms_whole == 2 / 3
    # The longest term counts where several begin: 专利权人, which is two tokens.
    assert (found.num_term_occurrences, found.terms_unbroken) == (2, 0.5)
    assert (found.num_unknown, found.round_trip) == (0, 1.0)


def test_a_token_of_whole_words_spans_them():
    draft = bpe.draft_of("申请专利")
    left, right = (draft.merge((draft.ids[word[0]], draft.ids[word[1]])) for word in ("申请", "专利"))
    draft.merge((left, right))
    found = examine(draft.tokenizer(), ["申请专利"], [], lambda _: ["申请", "专利"])
    assert (found.num_tokens, found.spanning, found.crossing) == (1, 1.0, 0.0)


def test_a_token_that_joins_a_part_of_a_word_to_its_neighbour_crosses():
    words = ["保护", "专利"]
    good = examine(pieces("保护", "专利"), ["保护专利"], [], lambda _: words)
    bad = examine(pieces("护专", "保", "利"), ["保护专利"], [], lambda _: words)
    assert (good.crossing, bad.crossing) == (0.0, 1 / 3)
    assert (good.word_coverage, bad.word_coverage) == (1.0, 0.0)


def test_an_occurrence_across_a_general_word_is_none():
    text = "商标注册"
    over = examine(pieces("商标", "注册"), [text], ["标注"], lambda _: ["商标", "注册"])
    assert (over.num_term_occurrences, over.terms_unbroken) == (0, None)
    stands = examine(pieces("商标", "注册"), [text], ["商标注册"], rjieba.cut)
    assert (stands.num_term_occurrences, stands.terms_unbroken) == (1, 0.0)


@pytest.mark.parametrize("texts", [[], [""]])
def test_nothing_breaks_without_text(texts):
    found = examine(TOKENIZER, texts, [], rjieba.cut)
    assert (found.num_tokens, found.crossing, found.word_coverage, found.terms_unbroken) == (0, 0.0, 1.0, None)
