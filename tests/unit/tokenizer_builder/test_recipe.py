"""Tokenizers that are built from real statutes."""

import random
import re
from itertools import product

import pytest
import rjieba
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.fit import examine, share_whole
from services.tokenizer_builder.core.recipe import Built, Sizes, build
from services.tokenizer_builder.core.screen import overlaps
from services.tokenizer_builder.core.segmentation import counted, is_general
from services.tokenizer_builder.core.terms import Term
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes

DOCUMENTS = load_statutes().first
TEXTS = [document.text for document in DOCUMENTS if not is_held_out(document.split_group)][:2500]
HELD_OUT = [document.text for document in DOCUMENTS if is_held_out(document.split_group)][:400]
TERMS = ["不动产登记簿", "知识产权", "国家主权", "行政复议机关", "有限责任公司", "票据", "定金", "主权", "破产管理人"]
SIZES = Sizes(vocab_size=5000)
ODD = st.sampled_from(
    [
        "NaCl",
        "TP53",
        "p.V600E",
        "2,4-D",
        "GB/T 1234-2020",
        "H₂O",
        "10⁹/L",
        "２０２４年",
        "三十五",
        "𠮷",
        "\r\n",
        "é",
        "<eos>",
    ]
)
NUMERALS = re.compile("[〇零一二三四五六七八九十百千万亿两]{2}")


def with_terms() -> Built:
    counts = {term: sum(text.count(term) for text in TEXTS) for term in TERMS}
    found = [Term(text=term, count=count) for term, count in counts.items()]
    long = [term for term in TERMS if len(term) > 2]
    return build(counted(TEXTS), found, overlaps(TEXTS, long, cut=rjieba.cut, is_general=is_general), SIZES)


BUILT = with_terms()
TOKENIZER = BUILT.tokenizer


def pieces(text: str, tokenizer: Tokenizer = TOKENIZER) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | ODD | st.sampled_from(TERMS)).map("".join)
)
def test_every_text_comes_back_and_nothing_is_unknown(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert TOKENIZER.decode(ids) == text
    assert not {0, 1, 2} & set(ids)


def test_terms_are_one_token_alone_and_the_sizes_hold():
    assert share_whole(TOKENIZER, TERMS) == 1.0
    assert BUILT.left_out == ()
    assert set(BUILT.added + BUILT.merged) == set(TERMS)
    assert {"票据", "定金", "主权"} <= set(BUILT.merged), "two characters stand side by side by chance"
    assert TOKENIZER.get_vocab_size(with_added_tokens=True) <= SIZES.vocab_size
    longest = max((token for token in TOKENIZER.get_vocab() if token not in BUILT.added), key=len)
    assert len(longest) <= 8 or longest in bpe.BYTE_TOKENS


def test_words_of_held_out_laws_stay_whole_better_than_in_a_plain_bpe():
    plain = bpe.train(TEXTS, vocab_size=SIZES.vocab_size, max_token_chars=6)
    ours, theirs = (examine(one, HELD_OUT, TERMS, rjieba.cut) for one in (TOKENIZER, plain))
    assert ours.word_coverage > theirs.word_coverage
    assert ours.crossing < theirs.crossing
    assert ours.terms_unbroken > 0.99 > theirs.terms_unbroken
    assert ours.crossing < 0.02


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024年12月31日", ["2", "0", "2", "4", "年", "1", "2", "月", "3", "1", "日"]),
        ("1,234.56元", ["1", ",", "2", "3", "4", ".", "5", "6", "元"]),
        ("TP53", ["T", "P", "5", "3"]),
        ("NaCl", ["N", "a", "C", "l"]),
        ("BRCA1", ["B", "R", "C", "A", "1"]),
        ("2,4-D", ["2", ",", "4", "-", "D"]),
        ("GB/T", ["G", "B", "/", "T"]),
        ("0.5mg", ["0", ".", "5", "m", "g"]),
    ],
)
def test_numbers_formulas_genes_and_codes_are_read_character_by_character(text, expected):
    assert pieces(text) == expected


def test_chinese_numerals_are_read_one_by_one():
    assert not [token for token in TOKENIZER.get_vocab() if NUMERALS.search(token)]
    assert pieces("处三十五年")[-3:] in (["三", "十", "五年"], ["十", "五", "年"])


def test_the_core_is_a_part_of_its_own():
    # The first ids alone are a tokenizer: each later token only comes after them.
    names = [token for token, _ in sorted(TOKENIZER.get_vocab().items(), key=lambda item: item[1])]
    words = names[bpe.NUM_FIXED + BUILT.num_characters :][: BUILT.num_segmented]
    assert len(words) == BUILT.num_segmented
    dictionary = counted(TEXTS).words
    assert sum(word in dictionary or word in TERMS for word in words) / len(words) > 0.8


def test_the_order_of_the_texts_does_not_matter():
    shuffled = TEXTS[:500]
    random.Random(3).shuffle(shuffled)
    one, other = (build(counted(texts), [], {}, Sizes(vocab_size=2000)) for texts in (TEXTS[:500], shuffled))
    assert bpe.to_json(one.tokenizer) == bpe.to_json(other.tokenizer)


def test_terms_without_room_are_left_out_the_last_first():
    terms = [Term(text="".join(parts), count=1) for parts in product("甲乙丙丁戊", "己庚辛壬癸", "子丑寅卯辰巳")]
    roomy, tight = (build(counted(TEXTS[:500]), terms, {}, Sizes(vocab_size=size)) for size in (2500, 520))
    assert roomy.left_out == ()
    assert 0 < len(tight.left_out) < len(terms)
    assert tight.left_out[-1] == "戊癸巳"


def test_terms_that_users_named_go_before_words_and_the_size_holds():
    words = [word for word, _ in counted(HELD_OUT).runs.most_common() if 2 < len(word) < 9][:700]
    terms = [Term(text=word, count=1) for word in words]
    sizes = Sizes(vocab_size=4_000)
    as_others, first = (build(counted(TEXTS), terms, {}, sizes, num_first=num) for num in (0, len(terms)))
    assert len(first.left_out) == 0 < len(as_others.left_out)
    assert share_whole(first.tokenizer, words) == 1.0
    assert first.num_segmented < as_others.num_segmented
    assert first.tokenizer.get_vocab_size(with_added_tokens=True) <= sizes.vocab_size
    many = [
        Term(text="".join(parts), count=1)
        for parts in product("甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥", "鼠牛虎兔龙蛇马羊猴鸡狗猪")
    ]
    crowded = build(counted(TEXTS), many, {}, sizes, num_first=len(many))
    room = sizes.vocab_size - bpe.NUM_FIXED - crowded.num_characters
    assert 0.39 * room < crowded.num_segmented < 0.41 * room, "words keep their least share"
    assert crowded.left_out


def test_terms_that_occur_take_the_room_of_merges_without_a_segmenter():
    words = [word for word, _ in counted(HELD_OUT).runs.most_common() if 2 < len(word) < 9]
    sizes = Sizes(vocab_size=4_000)
    fewer, more = (
        build(counted(TEXTS), [Term(text=word, count=1) for word in words[:number]], {}, sizes) for number in (50, 500)
    )
    assert (fewer.left_out, more.left_out) == ((), ())
    assert share_whole(more.tokenizer, words[:500]) == 1.0
    assert 0 < more.num_continued < fewer.num_continued
    assert more.num_segmented == fewer.num_segmented, "words give room to terms of users only"
    absent = build(counted(TEXTS), [Term(text=word, count=0) for word in words[:500]], {}, sizes)
    assert len(absent.left_out) > 0, "what does not occur takes none of it"
    assert absent.num_continued > more.num_continued


def test_characters_that_terms_bring_count_into_the_size():
    rare = [chr(0x20000 + number) for number in range(400)]
    terms = [Term(text=left + right, count=1) for left, right in zip(rare[::2], rare[1::2], strict=True)]
    built = build(counted(TEXTS[:500]), terms, {}, Sizes(vocab_size=700))
    assert built.tokenizer.get_vocab_size(with_added_tokens=True) <= 700
    assert len(built.merged) > 0
    assert share_whole(built.tokenizer, built.merged) == 1.0


# As it lies in the artifact store, and as in a bundle, beside the model's own configuration.
@pytest.mark.parametrize("config", [None, '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'])
def test_transformers_loads_the_file_and_encodes_as_we_do(tmp_path, config):
    (tmp_path / "tokenizer.json").write_bytes(bpe.to_json(TOKENIZER))
    if config:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*HELD_OUT[:200], *TERMS, "TP53 𠮷 10⁹/L <eos>\r\n"]
    ours = [TOKENIZER.encode(text, add_special_tokens=False).ids for text in texts]
    assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == ours
    assert [theirs.decode(ids) for ids in ours] == texts
    assert len(theirs) == TOKENIZER.get_vocab_size(with_added_tokens=True)
