import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry_store import patterns, words
from shared.telemetry_store.words import Phrase, phrases_of, words_of

MIXED = st.text(alphabet="ab1 .-_劳动合同法第条，。Ａ", max_size=30)


@pytest.mark.parametrize("module", [words, patterns])
def test_the_examples_in_the_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted


@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        ("劳动", [Phrase(("劳动",), False)]),
        ("劳动合同法", [Phrase(("劳动", "动合", "合同", "同法"), False)]),
        ("刑", [Phrase(("刑",), True)]),
        ("第12条", [Phrase(("第", "12", "条"), True)]),
        ("劳动2 x", [Phrase(("劳动", "动", "2"), False), Phrase(("x",), False)]),
        ("07DAF* 劳动*", [Phrase(("07daf",), True), Phrase(("劳动",), False)]),
        ("-- * 。", []),
    ],
)
def test_what_a_query_asks_for(query: str, phrases: list[Phrase]):
    assert phrases_of(query) == phrases


def test_a_word_is_as_long_as_a_digest_at_most():
    assert words_of("a" * 100) == ["a" * 64]
    assert phrases_of("a" * 100) == [Phrase(("a" * 64,), False)]


@given(before=MIXED, text=MIXED, after=MIXED)
def test_any_part_of_a_chinese_text_is_found_in_it(before: str, text: str, after: str):
    query = "".join(char for char in text if char in "劳动合同法第条")
    found = words_of(f"{before}{query}{after}")
    for phrase in phrases_of(query):
        assert any(_stands_at(phrase, found[at:]) for at in range(len(found)))


def _stands_at(phrase: Phrase, found: list[str]) -> bool:
    *whole, last = phrase.words
    if len(found) < len(phrase.words) or found[: len(whole)] != whole:
        return False
    there = found[len(whole)]
    return there.startswith(last) if phrase.is_prefix else there == last
