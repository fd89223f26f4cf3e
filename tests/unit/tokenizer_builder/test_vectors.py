"""Word vectors of real articles, narrow and short, and what is read off them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from services.tokenizer_builder.core.learning import learn, segmented
from services.tokenizer_builder.core.vectors import MIN_WORDS_A_DIMENSION, meaning_drift, synonym_candidates
from services.tokenizer_builder.core.vectors_job import VectorRules
from shared.demo.statutes import load_statutes
from shared.lm.word_vectors import NoWordVectors, WordVectors, from_bytes, starting_rows, to_bytes

SMALL = VectorRules(dimensions=32, epochs=3, min_count=3, subsample=1e-3)


@pytest.fixture(scope="module")
def texts():
    return [document.text for document in load_statutes().first[:3_000]]


@pytest.fixture(scope="module")
def vectors(texts):
    return learn(segmented(texts), SMALL)


def made(words, rows, counts=None):
    counts = counts or list(range(len(words), 0, -1))
    return WordVectors(tuple(words), np.array(counts), np.array(rows, dtype=np.float32))


def test_frequent_words_have_vectors_and_rare_ones_have_none(vectors, texts):
    words = [word for sentence in segmented(texts) for word in sentence]
    assert vectors.vectors_WD.shape == (len(vectors.words), 32)
    assert all(vectors.count(word) == words.count(word) >= 3 for word in ("合同", "犯罪", *vectors.words[-5:]))
    assert vectors.count("量子力学") == 0
    assert "量子力学" not in vectors
    assert list(vectors.counts_W) == sorted(vectors.counts_W, reverse=True)


def test_words_of_the_same_company_lie_close(vectors):
    near = synonym_candidates(vectors, ["拘役", "管制", "量子力学"], num_nearest=10)
    assert near.keys() == {"拘役", "管制"}
    assert {"有期徒刑", "管制"} & {candidate.word for candidate in near["拘役"]}
    for candidates in near.values():
        cosines = [candidate.cosine for candidate in candidates]
        assert cosines == sorted(cosines, reverse=True)


def test_segmenting_leaves_out_punctuation_and_keeps_words_and_digits():
    (words,) = segmented(["处三年以下有期徒刑、拘役；罚款500元。 OK!"])
    assert "".join(words) == "处三年以下有期徒刑拘役罚款500元OK"
    assert "有期徒刑" in words


def test_the_same_text_gives_the_same_vectors_in_another_process():
    code = (
        "import hashlib; from services.tokenizer_builder.core.learning import learn, segmented; "
        "from shared.lm.word_vectors import to_bytes; "
        "from services.tokenizer_builder.core.vectors_job import VectorRules; "
        "from tests.unit.tokenizer_builder.statutes import ARTICLES; "
        "rules = VectorRules(dimensions=16, epochs=2, min_count=1); "
        "print(hashlib.sha256(to_bytes(learn(segmented(ARTICLES), rules))).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},  # noqa: TID251 - handed on whole
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_each_epoch_is_told():
    told = []
    rules = VectorRules(dimensions=8, epochs=4, min_count=1)
    learn([["合同", "当事人"], ["合同", "订立"]], rules, on_epoch=told.append)
    assert told == [1, 2, 3, 4]


@pytest.mark.parametrize("sentences", [[], [[]], [["合同", "当事人"]]])
def test_a_text_too_short_for_vectors_is_refused(sentences):
    with pytest.raises(NoWordVectors, match="no word occurs 3 times"):
        learn(sentences, SMALL)


def test_the_artifact_gives_back_words_counts_and_vectors_exactly(vectors):
    data = to_bytes(vectors)
    again = from_bytes(data)
    assert again.words == vectors.words
    np.testing.assert_array_equal(again.counts_W, vectors.counts_W)
    np.testing.assert_array_equal(again.vectors_WD, vectors.vectors_WD)
    assert to_bytes(again) == data
    assert len(data) < len(vectors.words) * (32 * 2 + 40)


OTHER = save({"vectors": np.zeros((1, 2), dtype=np.float32)})


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 64, OTHER])
def test_other_bytes_are_refused(data):
    with pytest.raises(NoWordVectors, match="holds no word vectors"):
        from_bytes(data)


def test_candidates_are_mutual_where_both_are_near_and_end_at_the_least_likeness():
    vectors = made(["甲", "乙", "丙", "丁"], [[1, 0], [0.9, 0.1], [0.8, 0.3], [-1, 0.2]])
    found = synonym_candidates(vectors, ["甲", "丙"], num_nearest=1, min_cosine=0.5)
    assert [(one.word, one.is_mutual) for one in found["甲"]] == [("乙", True)]
    assert [(one.word, one.is_mutual) for one in found["丙"]] == [("乙", False)]
    assert synonym_candidates(vectors, ["丁"], min_cosine=0.5) == {"丁": []}


def rotation(width, seed):
    turned, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))
    return turned


def test_a_space_that_was_only_turned_has_not_drifted_and_a_word_that_moved_is_first():
    rng = np.random.default_rng(0)
    words = [f"词{number}" for number in range(200)]
    old = made(words, rng.normal(size=(200, 12)))
    turned = made(words, old.vectors_WD @ rotation(12, seed=1) * 3.0)
    assert max(meaning_drift(old, turned).values()) < 1e-5
    moved = turned.vectors_WD.copy()
    moved[17] = moved[60]
    drift = meaning_drift(old, made(words, moved))
    first, second = list(drift.items())[:2]
    assert first[0] == "词17"
    assert first[1] > 0.5 > 10 * second[1]
    assert meaning_drift(old, made(words, moved), ["词3", "词17", "neu"]).keys() == {"词17", "词3"}


def test_meaning_that_did_change_between_two_versions_is_found(texts):
    before = segmented(texts)
    instead = {"合同": "犯罪", "犯罪": "合同"}
    after = [[instead.get(word, word) for word in sentence] for sentence in before]
    old, new = (learn(sentences, SMALL) for sentences in (before, after))
    frequent = [word for word in old.words if min(old.count(word), new.count(word)) >= 50]
    drift = list(meaning_drift(old, new, frequent))
    assert len(drift) > 300
    assert max(drift.index(word) for word in instead) < 0.05 * len(drift)


def test_versions_without_common_words_or_of_other_widths_are_not_compared():
    one, other = made(["甲"], [[1, 0]]), made(["乙"], [[1, 0]])
    assert meaning_drift(one, other) == {}
    with pytest.raises(ValueError, match="of 2 and of 3 dimensions"):
        meaning_drift(one, made(["甲"], [[1, 0, 0]]))


@pytest.mark.parametrize("width", [24, 60])
def test_drift_is_told_only_where_words_outnumber_what_the_alignment_can_fit(width):
    rng = np.random.default_rng(0)
    words = [f"词{number}" for number in range(MIN_WORDS_A_DIMENSION * width)]
    old, new = (made(words, rng.normal(size=(len(words), width))) for _ in range(2))
    unrelated = meaning_drift(old, new)
    assert 0.55 < np.mean(list(unrelated.values())) < 1, (
        "as the docstring says: less than the 1 of unrelated directions"
    )
    assert meaning_drift(made(words[1:], old.vectors_WD[1:]), new) == {}


@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_drift_lies_between_0_and_2_whatever_the_common_words_are(num_shared, seed):
    rng = np.random.default_rng(seed)
    shared = rng.choice(40, num_shared, replace=False).tolist()
    old = made([f"词{number}" for number in range(40)], rng.normal(size=(40, 4)))
    new = made([f"词{number}" for number in shared], rng.normal(size=(len(shared), 4)))
    drift = meaning_drift(old, new)
    assert drift.keys() == (set(new.words) if num_shared >= 4 * MIN_WORDS_A_DIMENSION else set())
    assert all(-1e-5 <= value <= 2 + 1e-5 for value in drift.values())
    assert list(drift.values()) == sorted(drift.values(), reverse=True)


def test_tokens_start_from_their_words_from_words_in_them_or_from_words_around_them():
    vectors = made(["合同", "劳动", "保险合同", "合法"], [[1, 0], [0, 1], [1, 1], [-1, 0]], counts=[30, 20, 10, 5])
    rows = starting_rows(vectors, ["合同", " 合同", "劳动合同", "险合", "法", "罪", " ", ""])
    assert rows.keys() == {"合同", " 合同", "劳动合同", "险合", "法"}
    np.testing.assert_array_equal(rows[" 合同"], [1, 0])
    np.testing.assert_allclose(rows["劳动合同"], [0.5, 0.5])
    np.testing.assert_array_equal(rows["险合"], [1, 1])
    np.testing.assert_array_equal(rows["法"], [-1, 0])
    assert all(row.dtype == np.float32 for row in rows.values())
