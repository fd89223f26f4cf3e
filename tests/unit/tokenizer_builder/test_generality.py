"""Which words are general, on real statutes and by the rule."""

import numpy as np
import pytest
import rjieba

from services.tokenizer_builder.core.generality import asked_contrast, ordinary_words, why_general_phrase, words_of
from services.tokenizer_builder.core.judging import mined
from services.tokenizer_builder.core.mining import Candidate, GeneralText, dictionary_frequency, why_no_term
from services.tokenizer_builder.core.spread import parts_of
from services.tokenizer_builder.generals import general_text
from services.tokenizer_builder.settings import LexiconRules
from shared.demo.statutes import load_statutes

DOCUMENTS = load_statutes().first
TEXTS = [document.text for document in DOCUMENTS]
PARTS = parts_of([one.label for one in DOCUMENTS], [one.split_group for one in DOCUMENTS])
GENERAL = GeneralText(frequency=dictionary_frequency)


def test_words_of_style_are_filtered_and_terms_are_not():
    entries, contrast = mined(TEXTS, general_text(None), LexiconRules(), PARTS)
    status = {entry.term: entry.status for entry in entries}
    style = ("规定", "有关", "人员", "本法", "应当", "依法", "违反", "下列", "有关部门", "违反本法规定")
    assert {term: status[term] for term in style} == dict.fromkeys(style, "filtered")
    terms = ("国务院", "人民法院", "抵押权", "仲裁", "承运人", "全国人民代表大会")
    assert not [term for term in terms if status[term] == "filtered"]
    assert all(entry.reason for entry in entries)
    assert contrast.endswith("and how words are spread over the parts of the corpus")


def test_the_order_of_the_texts_changes_nothing():
    order = np.random.default_rng(5).permutation(800)
    texts, parts = [TEXTS[at] for at in order], [PARTS[at] for at in order]
    general, rules = general_text(None), LexiconRules()
    assert mined(texts, general, rules, parts) == mined(TEXTS[:800], general, rules, PARTS[:800])


@pytest.mark.parametrize(
    ("spread", "kind", "asked"),
    [
        (None, "n", 8.0), (0.2, "n", 8.0), (0.2, "v", 20.0), (-0.1, "n", 8 * 10**0.9), (0.7, "n", 8 * 10**-1.5),
        (None, "nt", 2.0), (-0.1, "nt", 2.0),
    ],
)  # fmt: skip
def test_evenly_spread_words_and_verbs_need_more_contrast_and_institutions_less(spread, kind, asked):
    assert asked_contrast(8.0, spread, kind=kind) == pytest.approx(asked)


def test_ordinary_words_are_frequent_elsewhere_and_not_much_more_here():
    words = [Candidate(text=text, count=count, cohesion=1, freedom=1) for text, count in
             (("问题", 900), ("人们", 90_000), ("提单", 9))]  # fmt: skip
    assert ordinary_words(words, 1_000_000, GENERAL, min_contrast=8) == ["问题"]


def test_a_phrase_is_general_that_holds_no_term_and_is_spread_as_ordinary_words_are():
    words = ["具体", "办法"]
    found = why_general_phrase("具体办法", {"提单"}, {"具体办法": -0.1}, words=words)
    assert found == "general: neither of 具体 and 办法 is a term, and it is spread at -0.10, as ordinary words are"
    assert why_general_phrase("具体办法", {"办法"}, {"具体办法": -0.1}, words=words) is None
    assert why_general_phrase("具体办法", set(), {"具体办法": 0.3}, words=words) is None
    assert why_general_phrase("具体办法", set(), {}, words=words) is None
    assert why_general_phrase("办法", set(), {"办法": -0.1}, words=["办法"]) is None


def test_words_that_the_dictionary_hardly_knows_are_cut():
    assert words_of("具体办法", GENERAL, tag=rjieba.tag) == ["具体", "办法"]
    assert words_of("国务院", GENERAL, tag=rjieba.tag) == ["国务院"]
    assert words_of("有关规定", GENERAL, tag=rjieba.tag) == ["有关", "规定"]
    assert words_of("甲", GeneralText(frequency=lambda _: 0), tag=lambda text: [(text, "n")]) == ["甲"]


def test_an_adverb_may_begin_the_name_of_something_few_texts_are_about():
    assert why_no_term("特别行政区", spread=0.8, tag=rjieba.tag) is None
    assert str(why_no_term("特别行政区", spread=0.1, tag=rjieba.tag)).startswith("begins with 特别")
    assert str(why_no_term("特别行政区", tag=rjieba.tag)).startswith("begins with 特别")
    assert str(why_no_term("不起诉", spread=0.8, tag=rjieba.tag)).startswith("begins with 不")
