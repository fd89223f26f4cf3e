"""Which tokens stay, and that text whose tokens all stay is written as before."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tokenizer_builder.core import bpe, surgery
from services.tokenizer_builder.core.surgery import UncuttableVocabulary
from tests.unit.tokenizer_builder.general_model import END, ENGLISH, START, TEXTS, byte_level
from tests.unit.tokenizer_builder.statutes import DRUG_LEAFLET


def values_of(tokenizer):
    return json.loads(tokenizer.to_str())


OLD = {ignore: byte_level(ignore_merges=ignore) for ignore in (False, True)}
COUNTS = {ignore: surgery.count(tokenizer, TEXTS) for ignore, tokenizer in OLD.items()}
BOTH = pytest.mark.parametrize("ignore_merges", [False, True], ids=["as Qwen2", "as Llama 3"])
TEXT = st.text(alphabet="劳动合同故意杀人第二条，。 contract party\n0é\U0001f600", max_size=30)


def cut_of(ignore_merges=False, *, coverage=0.9, texts=None):
    counts = COUNTS[ignore_merges] if texts is None else surgery.count(OLD[ignore_merges], texts)
    return surgery.choose(values_of(OLD[ignore_merges]), counts, coverage=coverage)


def new_of(cut, *, ignore_merges=False):
    return surgery.tokenizer_of(surgery.cut_tokenizer(values_of(OLD[ignore_merges]), cut))


CUTS = {ignore: cut_of(ignore) for ignore in (False, True)}
NEW = {ignore: new_of(cut, ignore_merges=ignore) for ignore, cut in CUTS.items()}


@BOTH
@given(TEXT)
def test_any_text_comes_back_and_one_whose_tokens_all_stay_is_written_as_before(ignore_merges, text):
    old, new = OLD[ignore_merges], NEW[ignore_merges]
    before, after = (tokenizer.encode(text, add_special_tokens=False) for tokenizer in (old, new))
    assert new.decode(after.ids) == old.decode(before.ids)
    if all(map(CUTS[ignore_merges].stays, before.ids)):
        assert after.tokens == before.tokens
        assert after.ids == [CUTS[ignore_merges].new_id(index) for index in before.ids]


@BOTH
def test_articles_whose_tokens_all_stay_are_written_as_before(ignore_merges):
    cut = cut_of(ignore_merges, texts=TEXTS[:20], coverage=1.0)
    new = new_of(cut, ignore_merges=ignore_merges)
    assert len(cut.old_ids) < cut.num_old
    for text in TEXTS[:20]:
        assert new.encode(text).tokens == OLD[ignore_merges].encode(text).tokens
    assert surgery.coverage_of(surgery.count(OLD[ignore_merges], TEXTS[:20]), cut) == 1.0


@BOTH
def test_the_wanted_share_of_occurrences_stays_whole(ignore_merges):
    for coverage in (0.5, 0.9, 0.99):
        cut = cut_of(ignore_merges, coverage=coverage)
        assert surgery.coverage_of(COUNTS[ignore_merges], cut) >= coverage
    smaller, larger = (set(cut_of(ignore_merges, coverage=coverage).old_ids) for coverage in (0.5, 0.9))
    assert smaller < larger


@BOTH
def test_bytes_and_added_tokens_stay_with_their_flags_whatever_the_text(ignore_merges):
    old = OLD[ignore_merges]
    cut = cut_of(ignore_merges, texts=[])
    assert len(cut.old_ids) == len(surgery.BYTES) + len(old.get_added_tokens_decoder())
    new = new_of(cut, ignore_merges=ignore_merges)
    assert new.get_vocab_size(with_added_tokens=True) == len(cut.old_ids)
    for old_id, token in old.get_added_tokens_decoder().items():
        kept = new.get_added_tokens_decoder()[cut.new_id(old_id)]
        assert (kept.content, kept.special) == (token.content, token.special)
    assert new.encode(f"{START}abc<think>", add_special_tokens=False).tokens == [START, *"abc", "<think>"]
    assert new.decode(new.encode(DRUG_LEAFLET).ids) == OLD[False].decode(OLD[False].encode(DRUG_LEAFLET).ids)


def test_the_template_around_a_text_names_the_new_id():
    new = NEW[True]
    encoding = new.encode("合同")
    assert encoding.tokens[0] == START
    assert encoding.ids[0] == new.token_to_id(START) == CUTS[True].new_id(OLD[True].token_to_id(START))


def test_new_ids_keep_the_order_and_have_no_gaps():
    cut = CUTS[False]
    assert list(cut.old_ids) == sorted(set(cut.old_ids))
    assert [cut.new_id(old) for old in cut.old_ids] == list(range(len(cut.old_ids)))
    assert set(NEW[False].get_vocab().values()) == set(range(len(cut.old_ids)))


def test_every_merge_that_stays_has_its_parts_and_what_it_makes():
    values = values_of(NEW[False])
    vocabulary = values["model"]["vocab"]
    merges = values["model"]["merges"]
    assert merges
    assert all({first, second, first + second} <= vocabulary.keys() for first, second in merges)
    made = {first + second for first, second in merges}
    assert made | surgery.BYTES == vocabulary.keys()


def test_merges_in_the_old_notation_are_read_and_stay_so():
    values = values_of(OLD[False])
    values["model"]["merges"] = [" ".join(pair) for pair in values["model"]["merges"]]
    kept = surgery.cut_tokenizer(values, CUTS[False])
    assert [tuple(merge.split(" ")) for merge in kept["model"]["merges"]] == [
        tuple(pair) for pair in values_of(NEW[False])["model"]["merges"]
    ]
    assert surgery.choose(values, COUNTS[False], coverage=0.9) == CUTS[False]


def test_a_token_that_several_merges_make_keeps_the_way_that_is_gone():
    # As converted from tiktoken: abc is ab + c and a + bc. The first way is gone, since ab has the lower rank.
    values = values_of(byte_level(256, texts=["x"]))
    vocabulary = values["model"]["vocab"]
    values["added_tokens"] = []
    for token in ("ab", "bc", "abc"):
        vocabulary[token] = max(vocabulary.values()) + 1
    values["model"]["merges"] = [["a", "b"], ["b", "c"], ["ab", "c"], ["a", "bc"]]
    cut = surgery.choose(values, {vocabulary["abc"]: 1}, coverage=1.0)
    assert surgery.derivation("abc", surgery.ranks_of(values)) == {"a", "b", "c", "ab", "abc"}
    assert not cut.stays(vocabulary["bc"])
    assert surgery.tokenizer_of(surgery.cut_tokenizer(values, cut)).encode("abc").tokens == ["abc"]


@given(st.dictionaries(st.integers(0, 50), st.integers(1, 100), max_size=30), st.floats(0, 1))
def test_the_most_frequent_tokens_are_enough_and_none_too_many(counts, coverage):
    taken = surgery.most_frequent(counts, coverage=coverage)
    covered = [counts[index] for index in taken]
    total = sum(counts.values())
    assert sum(covered) >= coverage * total
    assert not taken or sum(covered[:-1]) < coverage * total
    assert min(covered, default=100) >= max((counts[index] for index in counts.keys() - set(taken)), default=0)


def test_a_coverage_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="a share is 0 to 1"):
        cut_of(coverage=95)


def test_a_configuration_gets_the_new_ids_and_nothing_else_changes():
    old, cut = OLD[False], CUTS[False]
    end, start = old.token_to_id(END), old.token_to_id(START)
    config = {
        "vocab_size": 999, "eos_token_id": [end, start], "bos_token_id": end, "pad_token_id": None, "mask_token_id": -1,
        "max_new_tokens": 300, "suppress_tokens": [start], "hidden_size": 32, "use_cache": True,
    }  # fmt: skip
    assert surgery.named_ids(config) == {end, start}
    assert surgery.cut_config(config, cut) == {
        **config, "vocab_size": len(cut.old_ids), "eos_token_id": [cut.new_id(end), cut.new_id(start)],
        "bos_token_id": cut.new_id(end), "suppress_tokens": [cut.new_id(start)],
    }  # fmt: skip
    assert "vocab_size" not in surgery.cut_config({"eos_token_id": end}, cut)
    with pytest.raises(UncuttableVocabulary, match="names the id 5000"):
        surgery.cut_config({"eos_token_id": 5_000}, cut)


def test_an_id_that_a_configuration_names_stays_though_the_text_lacks_it():
    rare = next(index for index in range(700) if not CUTS[False].stays(index))
    cut = surgery.choose(values_of(OLD[False]), COUNTS[False], coverage=0.9, named=[rare, 123_456])
    assert cut.stays(rare)
    assert not cut.stays(123_456)


def test_post_processors_of_bert_and_roberta_are_renumbered():
    cut = CUTS[False]
    end = OLD[False].token_to_id(END)
    values = values_of(OLD[False])
    values["post_processor"] = {"type": "RobertaProcessing", "sep": [END, end], "cls": [END, end], "trim_offsets": True}
    kept = surgery.cut_tokenizer(values, cut)["post_processor"]
    assert (kept["sep"], kept["cls"]) == ([END, cut.new_id(end)],) * 2
    assert kept["trim_offsets"] is True


def test_only_added_tokens_that_stay_are_in_the_table_of_the_tokenizers_configuration():
    old, cut = OLD[False], CUTS[False]
    end = old.token_to_id(END)
    assert surgery.cut_tokenizer_config({"added_tokens_decoder": {str(end): {}, "99999": {}}}, cut) == {
        "added_tokens_decoder": {str(cut.new_id(end)): {}}
    }
    assert surgery.cut_tokenizer_config({"eos_token": END}, cut) == {"eos_token": END}


def test_fertility_and_round_trip_are_measured():
    found = surgery.fit(OLD[False], ENGLISH[:2])
    assert found.num_chars == sum(map(len, ENGLISH[:2]))
    assert found.tokens_per_char == found.num_tokens / found.num_chars
    assert found.round_trip == 1.0
    # NFC composes what came in two characters.
    assert surgery.fit(OLD[False], ["e\u0301"]).round_trip == 0.0
    assert surgery.fit(OLD[False], []) == surgery.TextFit(num_chars=0, num_tokens=0, round_trip=1.0)
    assert surgery.coverage_of(Counter(), CUTS[False]) == 1.0


def test_other_tokenizers_are_refused_by_name():
    with pytest.raises(UncuttableVocabulary, match="is a WordPiece model"):
        surgery.check({"model": {"type": "WordPiece"}})
    ours = bpe.train(TEXTS, vocab_size=600, max_token_chars=4)
    with pytest.raises(UncuttableVocabulary, match="no byte-level BPE"):
        surgery.check(values_of(ours))
    surgery.check(values_of(OLD[True]))
