"""Counts against a naive count, scores against the formulas, and judgements on real statutes."""

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
import rjieba
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tokenizer_builder.core.generality import why_general
from services.tokenizer_builder.core.grams import count_grams
from services.tokenizer_builder.core.judging import mined
from services.tokenizer_builder.core.mining import Candidate, GeneralText, candidates, dictionary_frequency, why_no_term
from services.tokenizer_builder.core.terms import HAN_RUN
from services.tokenizer_builder.generals import general_text
from services.tokenizer_builder.settings import LexiconRules
from shared.demo.statutes import load_statutes
from shared.errors import RunFailed

TEXTS = [document.text for document in load_statutes().first[:1500]]
HAN_TEXTS = st.lists(st.text("甲乙丙，", max_size=30), max_size=12)
NOTHING = GeneralText(frequency=lambda _: 0)


def naive(texts, length):
    counts = Counter()
    for text in texts:
        for run in HAN_RUN.findall(text):
            counts.update(run[at : at + length] for at in range(len(run) - length + 1))
    return counts


def told(counted, length):
    grams = counted.of[length]
    spelled, whole = counted.spelled(length, grams.keys)
    rows = zip(spelled[whole], grams.counts[whole], strict=True)
    return {row.tobytes().decode("utf-32-le"): int(count) for row, count in rows}


@settings(deadline=None)
@given(HAN_TEXTS)
def test_what_occurs_twice_is_counted_exactly(texts):
    counted = count_grams(texts, longest=4)
    for length in range(1, 5):
        assert told(counted, length) == {gram: count for gram, count in naive(texts, length).items() if count > 1}


@settings(deadline=None)
@given(HAN_TEXTS, st.integers(1, 40))
def test_chunks_and_full_tables_count_too_low_never_too_high(texts, chunk_chars):
    counted = count_grams(texts, longest=3, chunk_chars=chunk_chars, max_entries=5)
    for length in range(1, 4):
        truth = naive(texts, length)
        found = told(counted, length)
        assert len(found) <= 5
        assert all(count <= truth[gram] for gram, count in found.items())


def test_memory_is_bounded_by_the_entries_that_are_kept():
    small = count_grams(TEXTS, longest=9, chunk_chars=20_000, max_entries=2_000)
    assert max(len(grams.keys) for grams in small.of) <= 2_000
    found = {one.text: one.count for one in candidates(small, min_count=5, min_cohesion=0.2, min_freedom=0.5)}
    assert {"国务院", "海上货物运输合同"} <= set(found)
    assert all(count <= sum(text.count(term) for text in TEXTS) for term, count in found.items())


def test_cohesion_and_freedom_are_what_the_formulas_say():
    texts = ["甲乙丙", "丁甲乙", "戊甲乙丙", "丙戊丁", "甲乙"] * 3
    counted = count_grams(texts, longest=3)
    found = {one.text: one for one in candidates(counted, min_count=2, min_cohesion=-1, min_freedom=0)}
    total, own, left, right = 14 * 3, 12, 12, 12
    pmi = math.log(own / total) - math.log(left / total) - math.log(right / total)
    assert found["甲乙"].count == own
    assert found["甲乙"].cohesion == pytest.approx(pmi / -math.log(own / total))
    # Before it: nothing six times, different each time, 丁 and 戊 thrice each; after it: 丙 six times, nothing six times.
    before = -(6 * (1 / 12) * math.log(1 / 12) + 2 * 0.25 * math.log(0.25))
    after = -(0.5 * math.log(0.5) + 6 * (1 / 12) * math.log(1 / 12))
    assert found["甲乙"].freedom == pytest.approx(1 - math.exp(-min(before, after)))
    assert found["甲乙"].score == pytest.approx(found["甲乙"].cohesion * found["甲乙"].freedom)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("应当登记", "begins with 应当"),
        ("登记的", "ends with 的"),
        ("债权和债务", "a phrase: it holds 和"),
        ("违反本法", "style: 本法"),
        ("不动产登记簿", None),
    ],
)
def test_candidates_that_are_no_terms_are_filtered_with_the_reason(text, reason):
    found = why_no_term(text, tag=rjieba.tag)
    assert (found is None) == (reason is None)
    if reason:
        assert str(found).startswith(reason)


def test_general_text_of_the_operator_filters_what_is_common_there(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text("信用卡诈骗 很常见\n" * 50, encoding="utf-8")
    general = general_text(path)(["信用卡诈骗", "质押"])
    assert general.counts == {"信用卡诈骗": 50}
    by_chance = GeneralText(frequency=lambda _: 0, counts={"质押": 2, "抵押": 3}, num_chars=1000)
    assert [by_chance.per_million(term) for term in ("质押", "抵押", "登记")] == [0.0, 3000.0, 0.0]
    candidate = Candidate(text="信用卡诈骗", count=50, cohesion=0.9, freedom=0.9)
    asked = partial(why_general, candidate, 1_000_000, min_contrast=3.0, spread=None, tag=rjieba.tag)
    assert asked(NOTHING) is None
    assert str(asked(general)).startswith("general: 0.0 times as frequent")
    with pytest.raises(RunFailed, match="cannot be read") as caught:
        general_text(tmp_path / "gone.txt")
    assert "GENERAL_TEXT" in str(caught.value.next_step)


def test_the_dictionarys_frequencies_are_general_ones():
    assert dictionary_frequency("人们") > 1000
    assert dictionary_frequency("不动产登记簿") == 0


def test_statutes_give_terms_proposals_and_what_was_filtered():
    entries, contrast = mined(TEXTS, general_text(None), LexiconRules())
    by_status = {
        status: [one for one in entries if one.status == status] for status in ("accepted", "proposed", "filtered")
    }
    assert all(by_status.values())
    accepted = {one.term for one in by_status["accepted"]}
    assert {"抵押权", "船舶优先权", "海事请求保全"} <= accepted
    assert {"人民检察院", "海上货物运输", "公安机关"} <= {one.term for one in by_status["proposed"]}
    assert {"问题", "应当", "或者", "其他"} <= {one.term for one in by_status["filtered"]}
    parts = [one for one in by_status["filtered"] if str(one.reason).startswith("a part of something longer: it cuts ")]
    assert {"事诉讼", "中华人民共和国领"} <= {one.term for one in parts}
    assert all(one.score >= 0.45 for one in by_status["accepted"])
    assert all(one.score < 0.45 for one in by_status["proposed"])
    assert all(one.reason for one in entries)
    assert contrast == "frequencies of the segmenter's general dictionary"
    assert mined(TEXTS, general_text(None), LexiconRules(mine=False)) == ([], "nothing: no terms were mined")


def test_the_same_terms_are_found_in_any_order_of_the_texts():
    shuffled = list(np.random.default_rng(5).permutation(np.array(TEXTS[:400], dtype=object)))
    assert mined(shuffled, general_text(None), LexiconRules()) == mined(TEXTS[:400], general_text(None), LexiconRules())
