"""On real statutes: an extension keeps every id, and texts without the new terms give the same tokens."""

import json
from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.extension import extend, new_terms
from services.tokenizer_builder.core.recipe import Sizes, build
from services.tokenizer_builder.core.screen import Overlap
from services.tokenizer_builder.core.segmentation import counted
from services.tokenizer_builder.core.terms import Term
from shared.demo.statutes import load_statutes

TEXTS = [document.text for document in load_statutes().first[:1200]]
OTHERS = [document.text for document in load_statutes().later[:1200]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    terms = [Term(text="不动产登记簿", count=9), Term(text="保证保险合同", count=9)]
    return build(counted(TEXTS), terms, {}, Sizes(vocab_size=3000)).tokenizer


def terms(*texts: str) -> list[Term]:
    return [Term(text=text, count=3) for text in texts]


def ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def test_old_ids_stay_and_text_without_the_new_terms_gives_the_same_tokens(tokenizer: Tokenizer):
    runs = counted(OTHERS).runs
    asked = new_terms(tokenizer, terms(*[run for run, _ in runs.most_common() if 1 < len(run) < 12]))[:1000]
    assert len(asked) == 1000
    extended = extend(tokenizer, asked, {})
    before, after = tokenizer.get_vocab(), extended.tokenizer.get_vocab()
    assert {token: after[token] for token in before} == before
    assert len(after) - len(before) == extended.num_new_tokens == len(extended.added)
    assert sorted(after[term] for term in extended.added) == list(range(len(before), len(after)))
    without = [text for text in TEXTS + OTHERS if not any(term in text for term in extended.added)]
    assert len(without) > 400
    assert ids(extended.tokenizer, without) == ids(tokenizer, without)
    assert all(len(one) == 1 for one in ids(extended.tokenizer, extended.added))
    everything = TEXTS[:500] + OTHERS
    assert [extended.tokenizer.decode(one) for one in ids(extended.tokenizer, everything)] == everything
    assert sum(map(len, ids(extended.tokenizer, OTHERS))) < sum(map(len, ids(tokenizer, OTHERS)))


def test_an_extension_can_be_extended(tokenizer: Tokenizer):
    once = extend(tokenizer, terms("数据出境安全评估"), {})
    twice = extend(once.tokenizer, terms("生成式人工智能服务"), {})
    assert ids(twice.tokenizer, ["数据出境安全评估", "生成式人工智能服务", "不动产登记簿"]) == [
        [3000], [3001], ids(tokenizer, ["不动产登记簿"])[0],
    ]  # fmt: skip


def test_what_cuts_general_words_is_added_as_a_merge_or_not_at_all(tokenizer: Tokenizer):
    harmful = Overlap(num_places=100, num_cuts=50, example="例")
    pair = next(term for term in ("担保人员", "登记保险", "合同登记") if len(ids(tokenizer, [term])[0]) == 2)
    many = "保险合同登记人民法院"
    extended = extend(tokenizer, terms(pair, many), {pair: harmful, many: harmful})
    assert extended.added == (pair,)
    assert [(one.term, one.reason) for one in extended.left_out] == [(many, "it cuts 例 at 50 of 100 places")]
    merges = json.loads(extended.tokenizer.to_str())["model"]["merges"]
    assert "".join(merges[-1]) == pair
    assert len(ids(extended.tokenizer, [pair])[0]) == 1
    assert len(ids(extended.tokenizer, [many])[0]) > 1


def test_an_extension_ends_where_there_is_no_more_room(tokenizer: Tokenizer):
    extended = extend(tokenizer, terms("数据出境安全评估", "生成式人工智能服务"), {}, max_terms=1)
    assert (extended.added, extended.num_new_tokens) == (("数据出境安全评估",), 1)
    assert [(one.term, one.reason) for one in extended.left_out] == [("生成式人工智能服务", "there is no room for it")]


def test_a_character_that_is_no_token_needs_an_added_token(tokenizer: Tokenizer):
    extended = extend(tokenizer, terms("𠮷氏", "𠮷野家"), {})
    assert (extended.added, [one.term for one in extended.left_out]) == (("𠮷野家",), ["𠮷氏"])
    assert "too short" in extended.left_out[0].reason
    assert extended.tokenizer.decode(ids(extended.tokenizer, ["𠮷野家𠮷氏"])[0]) == "𠮷野家𠮷氏"


def test_a_draft_that_was_reopened_gives_the_same_file(tokenizer: Tokenizer):
    assert bpe.to_json(bpe.reopened(tokenizer).tokenizer()) == bpe.to_json(tokenizer)
    assert extend(tokenizer, [], {}).num_new_tokens == 0
