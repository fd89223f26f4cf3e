"""How words are spread, against the formulas and a simulation."""

import numpy as np
import pytest

from services.tokenizer_builder.core.spread import (
    MAX_PARTS,
    MIN_ORDINARY,
    _mean_deviation,
    beyond_ordinary,
    parts_of,
    unevenness,
)

PARTS = ["甲", "乙", "丙", "丁"]


def test_labels_are_the_parts_where_most_have_one_and_else_groups():
    groups = ["law 1", "law 1", "law 2", "law 2", "law 3", "law 3"]
    assert parts_of(["a", "b", "c", None, None, None], groups) == ["a", "b", "c", None, None, None]
    assert parts_of(["a", "b", None, None, None, None], groups) == groups
    assert parts_of(["a", "b", "a", "b", "a", "b"], groups) == groups, "two labels are too few"
    assert parts_of([None] * 6, list("abcdef")) == [None] * 6
    assert parts_of([], []) == []


def test_many_groups_share_parts():
    groups = [f"law {number // 2}" for number in range(4 * MAX_PARTS)]
    parts = parts_of([None] * len(groups), groups)
    assert parts[::2] == parts[1::2]
    assert MAX_PARTS / 2 < len(set(parts)) <= MAX_PARTS


def test_a_word_of_one_part_is_uneven_and_one_of_all_is_not():
    texts = [f"规定{'提单' * 30 if part == '甲' else '其他其他' * 15}规定" for part in PARTS for _ in range(10)]
    found = unevenness(texts, [part for part in PARTS for _ in range(10)], ["规定", "提单", "从未"])
    assert set(found) == {"规定", "提单"}
    # One of four equal parts: its share is 1 there and not a quarter; by chance, nearly nothing of 300 places is out of place.
    assert found["规定"] == 0.0
    assert found["提单"] == pytest.approx(0.75, abs=0.02)


def test_neither_the_order_of_texts_nor_texts_without_a_part_change_it():
    rng = np.random.default_rng(3)
    texts = ["规定" * int(count) for count in rng.integers(1, 9, size=80)]
    parts = [PARTS[number % 4] for number in range(80)]
    order = rng.permutation(80)
    shuffled = unevenness([*(texts[at] for at in order), "规定"], [*(parts[at] for at in order), None], ["规定"])
    assert shuffled == unevenness(texts, parts, ["规定"])


def test_few_occurrences_and_few_parts_tell_nothing():
    assert unevenness(["提单"] * 9, PARTS * 2 + ["甲"], ["提单"]) == {}
    assert unevenness(["提单"] * 40, ["甲", "乙"] * 20, ["提单"]) == {}
    assert unevenness(["提单"] * 40, PARTS * 10, []) == {}


def test_what_chance_gives_is_the_mean_deviation_of_poisson_counts():
    means = np.array([0.05, 0.9, 1.0, 3.4, 40.0])
    drawn = np.random.default_rng(1).poisson(means, size=(400_000, 5))
    assert _mean_deviation(means) == pytest.approx(np.abs(drawn - means).mean(axis=0), rel=0.02)
    assert _mean_deviation(np.array([0.0])) == pytest.approx([0.0])


def test_spread_is_counted_from_the_ordinary_words_of_the_corpus():
    ordinary = {f"词{number}": 0.1 + 0.2 * number / MIN_ORDINARY for number in range(MIN_ORDINARY + 1)}
    found = beyond_ordinary({**ordinary, "提单": 0.6, "规定": 0.12}, ordinary)
    assert found["提单"] == pytest.approx(0.5)
    assert found["规定"] == pytest.approx(-0.1)
    assert beyond_ordinary({"提单": 0.6}, ordinary) == {}
