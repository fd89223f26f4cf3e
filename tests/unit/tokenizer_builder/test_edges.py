"""Letters and Han numerals at a term's edge, against the text of real statutes, and sentences of medicine."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tokenizer_builder.core.choice import choose, lexicon_of
from services.tokenizer_builder.core.edges import NOT_SEEN, Inside, kept_in_pieces, lying_inside
from services.tokenizer_builder.core.job import CorpusTexts
from services.tokenizer_builder.core.lexicon import LexiconState, known_of
from services.tokenizer_builder.core.terms import NUMERALS
from services.tokenizer_builder.generals import general_text
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules
from shared.demo.statutes import load_statutes

STATUTES = [document.text for document in load_statutes().first]
MEDICINE = (
    "维生素C可以减轻症状，维生素C每日三次。",
    "胸部CT检查未见异常，高危人群可做LDCT检查，也可复查LDCT检查。",
    "补充维生素B12和维生素B6，T细胞计数正常，CAR-T细胞治疗后复查。",
    "补充支链氨基酸BCAA，不是维生素BCAA。",
)


@pytest.mark.parametrize("term", ["二审", "第三人", "三分之二", "一次性", "万元", "三年以下有期徒刑", "人民法院"])
def test_numerals_of_a_name_and_units_are_no_part_of_a_longer_number(term):
    assert kept_in_pieces(STATUTES, [term]) == {}


@pytest.mark.parametrize("term", ["十万元", "五年", "一人", "十人", "一百", "第二十", "第一", "十年以上"])
def test_what_lies_in_longer_numbers_stays_in_pieces(term):
    why = kept_in_pieces(STATUTES, [term])[term]
    assert why.startswith("it would be cut out of a longer number, such as ")


def test_the_reason_shows_the_longer_run_and_how_often():
    texts = ["仲裁庭由三人组成。", "超过十三人的，推选二十三人。", "第三人"]
    assert lying_inside(texts, ["三人", "仲裁庭"]) == {"三人": Inside(num_places=4, num_in_numbers=2, example="十三人")}
    assert kept_in_pieces(texts, ["三人"]) == {
        "三人": "it would be cut out of a longer number, such as 十三人, at 2 of 4 places"
    }
    assert kept_in_pieces(["三人"] * 200 + ["十三人"], ["三人"]) == {}, "once in two hundred times may be a slip"


def test_a_unit_multiplies_what_stands_before_it_and_a_number_with_a_unit_does_not():
    texts = ["罚款五十万元，万元以上，万一不足，三万一千元，二百零五亿元"]
    told = lying_inside(texts, ["万元", "亿元", "万一"])
    assert [told[term].num_in_numbers for term in ("万元", "亿元", "万一")] == [0, 0, 1]


def test_letters_at_an_edge_may_stay_where_no_longer_run_has_them():
    terms = ["维生素C", "CT检查", "维生素B", "T细胞", "X线片", "胸部"]
    told = lying_inside(MEDICINE, terms)
    assert told["维生素B"] == Inside(num_places=3, num_in_letters=1, example="维生素BCAA"), "digits are read one by one"
    assert told["X线片"] == Inside()
    assert kept_in_pieces(MEDICINE, terms) == {
        "CT检查": "it would be cut out of a longer run of letters, such as LDCT检查, at 2 of 3 places",
        "维生素B": "it would be cut out of a longer run of letters, such as 维生素BCAA, at 1 of 3 places",
        "X线片": NOT_SEEN,
    }


def test_letters_of_any_script_and_their_marks_are_letters():
    texts = ["β受体阻滞剂，αβ受体", "维生素e\u0301", "カルシウム片 ウム片"]
    told = lying_inside(texts, ["β受体", "维生素e", "ウム片"])
    assert [told[term].num_in_letters for term in ("β受体", "维生素e", "ウム片")] == [1, 1, 1]


@given(st.lists(st.text("三十万人元第TX", max_size=12), max_size=8), st.randoms())
def test_neither_the_order_of_texts_and_terms_nor_other_terms_change_what_is_said(texts, rng):
    terms = ["三人", "十三人", "第三", "万元", "T人", "人X", "元人"]
    told = lying_inside(texts, terms)
    shuffled: list[str] = random.Random(rng.random()).sample(texts, len(texts))
    assert lying_inside(shuffled, terms[::-1]) == told
    assert {term: one for each in terms for term, one in lying_inside(texts, [each]).items()} == told
    for term, inside in told.items():
        assert inside.num_places == sum(text.startswith(term, at) for text in texts for at in range(len(text)))
        assert max(inside.num_in_numbers, inside.num_in_letters) <= inside.num_places


def test_a_persons_term_that_the_text_keeps_in_pieces_is_filtered_with_the_reason_and_makes_no_token():
    texts = CorpusTexts(new=STATUTES, old=(), training=STATUTES[:3000], held_out=())
    state = LexiconState().with_terms(["十万元", "十五日", "有期徒刑二年", "第二审人民法院", "S型曲线"])
    lexicon = lexicon_of(texts, state, general_text(None), LexiconRules(mine=False))
    status = {entry.term: entry.status for entry in lexicon.entries}
    assert {term for term, said in status.items() if said == "filtered"} == {"十万元", "十五日", "S型曲线"}
    counts = {entry.term: entry.count for entry in lexicon.entries}
    assert counts["十万元"] == sum(text.count("十万元") for text in STATUTES[:3000]), "it hides none, and is counted"
    known = known_of(state.with_decision("十五日", "accepted"), lexicon)
    assert known["十五日"].status == "filtered", "to accept it once more does not change the text"
    assert str(known["十五日"].reason).startswith("it would be cut out of a longer number")
    assert known_of(state.with_decision("十五日", "rejected"), lexicon)["十五日"].status == "rejected"
    rules = TokenizerRules(vocab_size=3000, small_vocab_size=3000)
    tokenizer = choose(texts, None, lexicon, rules).tokenizer
    tokens = tokenizer.encode("并处三十万元罚款", add_special_tokens=False).tokens
    assert not [token for token in tokens if sum(character in NUMERALS for character in token) > 1]


def test_mined_fragments_of_numbers_are_filtered():
    texts = ["审判庭由二人组成。", "陪审庭由十二人组成，合议庭由二十二人组成。"]
    assert "二人组成" in kept_in_pieces(texts, ["二人组成"])
