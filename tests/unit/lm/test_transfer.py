"""Rows for another vocabulary, on tokenizers that were trained on real articles."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from services.tokenizer_builder.core import bpe
from shared.lm.transfer import (
    DEFAULT,
    Initialisation,
    character_space,
    piece_means,
    plan_transfer,
    sparsemax,
    transfer_rows,
    transferred,
    unit,
)
from tests.unit.tokenizer_builder.statutes import ARTICLES

WIDTH = 24
TERMS = ("劳动合同", "故意杀人", "有期徒刑", "专利行政部门", "外观设计")
HOWS = list(Initialisation)


@pytest.fixture(scope="module")
def old():
    return bpe.train(ARTICLES, vocab_size=800, max_token_chars=2)


@pytest.fixture(scope="module")
def extended(old):
    new = Tokenizer.from_str(old.to_str())
    new.add_tokens([AddedToken(term, normalized=False) for term in TERMS])
    return new


@pytest.fixture(scope="module")
def rows(old):
    return rows_of(old)


def rows_of(tokenizer):
    shape = (tokenizer.get_vocab_size(with_added_tokens=True), WIDTH)
    return np.random.default_rng(3).normal(0.0, 0.02, shape).astype(np.float32)


@pytest.mark.parametrize("how", HOWS)
def test_an_extension_keeps_every_old_row_bit_for_bit(old, extended, rows, how):
    moved = transfer_rows(rows, old, extended, how=how)
    assert moved.shape == (len(rows) + len(TERMS), WIDTH)
    assert moved.dtype == rows.dtype
    assert moved[: len(rows)].tobytes() == rows.tobytes()
    assert np.isfinite(moved).all()


@pytest.mark.parametrize("how", HOWS)
def test_a_rebuilt_tokenizer_keeps_the_rows_of_shared_tokens_wherever_their_ids_went(old, rows, how):
    new = bpe.train(ARTICLES[:6], vocab_size=700, max_token_chars=4)
    plan = plan_transfer(old, new)
    moved = transferred(rows, plan, how=how)
    new_ids = new.get_vocab()
    shared = {token: index for token, index in old.get_vocab().items() if token in new_ids}
    assert len(shared) == plan.num_kept
    assert any(new_ids[token] != index for token, index in shared.items())
    for token, index in shared.items():
        assert moved[new_ids[token]].tobytes() == rows[index].tobytes()
    assert plan.num_kept + plan.num_added == new.get_vocab_size()
    assert plan.num_kept + plan.num_dropped == old.get_vocab_size()
    assert plan.share_kept == plan.num_kept / new.get_vocab_size()


def test_new_rows_are_the_mean_of_their_pieces_and_if_asked_as_long_as_these(old, extended, rows):
    plain = transfer_rows(rows, old, extended, how=Initialisation.MEAN)
    stretched = transfer_rows(rows, old, extended, how=Initialisation.SCALED_MEAN)
    for term in TERMS:
        pieces = old.encode(term, add_special_tokens=False).ids
        assert len(pieces) > 1
        mean = rows[pieces].mean(axis=0)
        row = extended.token_to_id(term)
        np.testing.assert_allclose(plain[row], mean, rtol=1e-5, atol=1e-7)
        norm = np.linalg.norm(rows[pieces], axis=1).mean()
        np.testing.assert_allclose(stretched[row], mean / np.linalg.norm(mean) * norm, rtol=1e-4)
        assert norm > np.linalg.norm(mean)


def test_a_special_token_has_no_pieces_and_begins_at_the_mean_of_all_rows(old, rows):
    new = Tokenizer.from_str(old.to_str())
    new.add_special_tokens(["<mask>"])
    plan = plan_transfer(old, new)
    assert plan.pieces_N == ((),)
    for how in set(Initialisation) - {Initialisation.RANDOM}:
        np.testing.assert_allclose(transferred(rows, plan, how=how)[-1], rows.mean(axis=0), atol=1e-7)


def test_a_byte_level_vocabulary_that_grows_takes_over_the_pieces_of_its_text():
    old, new = (byte_level(vocab_size) for vocab_size in (300, 420))
    rows = rows_of(old)
    plan = plan_transfer(old, new)
    assert plan.num_dropped == 0
    assert plan.num_added == new.get_vocab_size() - old.get_vocab_size()
    moved = transferred(rows, plan, how=Initialisation.MEAN)
    whole = [
        (index, text)
        for index in plan.added_N
        if "\ufffd" not in (text := new.decode([index], skip_special_tokens=False))
    ]
    assert len(whole) > 20
    for index, text in whole:
        np.testing.assert_allclose(moved[index], rows[old.encode(text).ids].mean(axis=0), rtol=1e-4, atol=1e-7)


def byte_level(vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(ARTICLES, trainer)
    return tokenizer


def test_an_output_layer_of_its_own_is_moved_by_the_same_plan(old, extended, rows):
    plan = plan_transfer(old, extended)
    head = rows[:, ::-1].copy()
    np.testing.assert_allclose(transferred(head, plan)[:, ::-1], transferred(rows, plan), rtol=1e-6)


def test_a_padded_matrix_loses_its_padding_and_a_short_one_is_refused(old, extended, rows):
    padded = np.concatenate([rows, np.full((7, WIDTH), 9.0, dtype=np.float32)])
    np.testing.assert_array_equal(transfer_rows(padded, old, extended), transfer_rows(rows, old, extended))
    with pytest.raises(ValueError, match=f"has {len(rows) - 1} rows, the old vocabulary {len(rows)} ids"):
        transfer_rows(rows[:-1], old, extended)


def test_an_empty_extension_is_the_same_matrix(old, rows):
    assert transfer_rows(rows, old, old).tobytes() == rows.tobytes()


def test_focus_mixes_the_rows_that_the_given_space_finds_alike_with_those_of_the_pieces_and_stretches_them_if_asked(
    old, extended, rows
):
    alike = {"规定": [1.0, 0.0], "行政": [0.0, 1.0], "部门": [0.1, 1.0], "劳动合同": [0.95, 0.05]}
    assert {"规定", "行政", "部门"} <= old.get_vocab().keys()
    space = {token: np.array(vector, dtype=np.float32) for token, vector in alike.items()}
    plain = transfer_rows(rows, old, extended, how=Initialisation.MEAN)
    moved = transfer_rows(rows, old, extended, how=Initialisation.FOCUS, space=space)
    own, alike_row = extended.token_to_id("劳动合同"), rows[old.token_to_id("规定")]
    np.testing.assert_allclose(moved[own], (plain[own] + alike_row) / 2, atol=1e-6)
    without = extended.token_to_id("外观设计")
    np.testing.assert_array_equal(moved[without], plain[without])
    scaled = transfer_rows(rows, old, extended, space=space)
    norm = np.linalg.norm(rows[old.encode("劳动合同", add_special_tokens=False).ids], axis=1).mean()
    np.testing.assert_allclose(scaled[own], moved[own] / np.linalg.norm(moved[own]) * norm, rtol=1e-4)
    np.testing.assert_array_equal(scaled[without], plain[without])
    by_characters = [transfer_rows(rows, old, extended, how=how) for how in (DEFAULT, Initialisation.FOCUS)]
    np.testing.assert_array_equal(*by_characters)


def test_focus_without_a_space_goes_by_the_characters(old, extended):
    each_its_own = np.eye(old.get_vocab_size(), dtype=np.float32)
    new = extended.token_to_id("外观设计")
    focused = transfer_rows(each_its_own, old, extended, how=Initialisation.FOCUS)[new]
    by_likeness = 2 * focused - transfer_rows(each_its_own, old, extended, how=Initialisation.MEAN)[new]
    weights = dict(zip(sorted(old.get_vocab(), key=old.get_vocab().get), by_likeness, strict=True))
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-5)
    shared = {token for token in weights if set(token) & set("外观设计")}
    assert min(weights[token] for token in shared) > 3 * max(weights[token] for token in weights.keys() - shared)
    assert shared


def test_tokens_that_share_characters_lie_closer():
    (one, same, like, other) = character_space(["劳动合同", "劳动合同", "合同", "故意"])
    assert one @ same == pytest.approx(1.0)
    assert one @ like > one @ other + 0.2


SCORES = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-3, 3))


@given(SCORES)
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores):
    weights = sparsemax(scores)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    # A projection leaves no shorter way: moving weight between two entries never helps (the optimality condition).
    slack = scores - weights
    threshold = slack.max(axis=1, keepdims=True)
    np.testing.assert_allclose(
        np.where(weights > 1e-12, slack, threshold), np.broadcast_to(threshold, slack.shape), atol=1e-9
    )


def test_the_example_of_sparsemax_is_right():
    assert sparsemax(np.array([[1.0, 0.8, -1.0]])).round(2).tolist() == [[0.6, 0.4, 0.0]]


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=8))
def test_means_of_pieces_are_those_of_each_token_alone(pieces):
    rows = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    expected = [rows[own].mean(axis=0) if own else rows.mean(axis=0) for own in pieces]
    np.testing.assert_allclose(piece_means(rows, pieces), np.array(expected), atol=1e-6)


def test_a_row_of_zeros_is_not_stretched():
    np.testing.assert_array_equal(unit(np.zeros((1, 3), dtype=np.float32)), np.zeros((1, 3)))


def test_a_thousand_terms_take_less_than_a_second(old, rows):
    new = Tokenizer.from_str(old.to_str())
    new.add_tokens(
        [f"{first}{second}人" for first in "甲乙丙丁戊己庚辛壬癸" for second in "".join(ARTICLES[:3])[:120]][:1_000]
    )
    started = time.process_time()
    transfer_rows(rows, old, new)
    assert time.process_time() - started < 1.0
