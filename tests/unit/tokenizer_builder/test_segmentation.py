from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.tokenizer_builder.core import segmentation
from services.tokenizer_builder.core.segmentation import counted
from tests.unit.tokenizer_builder.statutes import ARTICLES, DRUG_LEAFLET


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("法律𠮷a1，\n", max_size=9), max_size=9), st.integers(1, 12))
def test_characters_are_counted_in_any_chunks(texts, chunk_chars):
    size, segmentation.CHUNK_CHARS = segmentation.CHUNK_CHARS, chunk_chars
    try:
        assert counted(texts).characters == Counter("".join(texts))
    finally:
        segmentation.CHUNK_CHARS = size


def test_words_runs_and_latin_words_are_told_apart():
    found = counted([*ARTICLES, DRUG_LEAFLET])
    assert found.num_chars == sum(map(len, [*ARTICLES, DRUG_LEAFLET]))
    assert found.words["有期徒刑"] == ARTICLES[7].count("有期徒刑") + ARTICLES[8].count("有期徒刑")
    assert {" with", " water"} <= set(found.words)
    assert not [word for word in found.words if len(word) == 1 or any(character in "，。；、" for character in word)]
    assert found.runs["情节较轻的"] == 2


def test_letters_of_genes_formulas_and_codes_are_no_words():
    assert counted(["TP53、NaCl、BRCA1、2,4-D、GB/T 1234、CRISPR、Take"]).words.keys() == {"CRISPR", "Take"}
