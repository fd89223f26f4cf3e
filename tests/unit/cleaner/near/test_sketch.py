import random
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.cleaner.core.near.codepoints import join
from services.cleaner.core.near.similarity import similarities
from services.cleaner.core.near.skeleton import skeleton, skeletons
from services.cleaner.core.near.sketch import LONG, NUM_SLOTS, SHORT, SKETCH_FORMAT, gram_hashes, sketch
from tests.unit.cleaner.near.made import articles, grams, jaccard, mistyped, sketched, without_a_part


def test_skeleton_is_letters_digits_and_han():
    assert skeleton("第 ３ 条，ＡbＣ——〔2020〕１２号。") == "第3条abc202012号"
    assert skeleton("血小板 10⁹/L，①½㎎ 〇") == "血小板10⁹l①½〇"
    assert skeleton("𠮷野家\U00030000ß") == "𠮷野家\U00030000ß"
    assert skeleton("，。！ \ud800") == ""


@given(st.lists(st.text(alphabet=st.characters(), max_size=40), max_size=8))
def test_many_skeletons_are_each_texts_own(texts):
    joined = skeletons(join(texts))
    pieces = [
        joined.values[begin:end].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        for begin, end in zip(joined.starts, joined.ends, strict=True)
    ]
    assert pieces == [skeleton(text) for text in texts]
    assert all(skeleton(piece) == piece for piece in pieces)


@given(st.lists(st.text(alphabet="甲乙，1", max_size=9), max_size=8))
def test_no_gram_spans_two_texts(texts):
    hashes, counts = gram_hashes(skeletons(join(texts)))
    own = [gram_hashes(skeletons(join([text])))[0] for text in texts]
    assert counts.tolist() == [max(0, len(skeleton(text)) - 2) for text in texts]
    assert hashes.tolist() == [value for some in own for value in some.tolist()]
    assert all(len(set(some.tolist())) == len(grams(text)) for some, text in zip(own, texts, strict=True))


def test_a_sketch_is_the_texts_own():
    texts = [*articles()[:300], "", "甲乙", "甲乙丙", articles()[7] * 200]
    together = sketched(texts)
    alone = np.concatenate([sketched([text]).packed for text in texts])
    assert np.array_equal(together.packed, alone)
    assert together.is_exact_only.tolist() == [len(skeleton(text)) < 3 for text in texts]
    assert not together.packed[together.is_exact_only].any()


def test_punctuation_width_and_case_change_nothing():
    left = sketched(["第3条 依照ABC标准，应当处理。"])
    right = sketched(["第３条：依照ａｂｃ标准应当处理"])
    assert np.array_equal(left.packed, right.packed)


def test_order_and_repetition_of_grams_change_nothing():
    text = "甲乙丙丁戊己庚辛壬癸"
    assert np.array_equal(sketched([text + text]).packed, sketched([text + text + text]).packed)


def test_kept_bits_are_even():
    """Else texts would agree by more than chance. Random texts: real ones share their most frequent 3-grams."""
    rng = random.Random(1)

    def packed(num_characters: int, count: int) -> NDArray[np.uint8]:
        texts = ("".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(num_characters)) for _ in range(count))
        return sketched(list(texts)).packed

    short, long = packed(60, 3_000), packed(2_000, 300)
    assert (set(short[:, -1]), set(long[:, -1])) == ({SHORT}, {LONG})
    assert is_even(np.bincount(short[:, :NUM_SLOTS].ravel()))
    assert is_even(np.unpackbits(short[:, NUM_SLOTS:-1], axis=1).sum(axis=0))
    for halves in (long[:, NUM_SLOTS:-1] & 15, long[:, NUM_SLOTS:-1] >> 4):
        assert is_even(np.bincount(halves.ravel()))


def is_even(counts: NDArray[np.int64]) -> bool:
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    return bool(abs(chi_square - len(counts)) < 7 * (2 * len(counts)) ** 0.5)


@pytest.mark.parametrize(
    ("num_joined", "mean_error", "largest_error"),
    # Of 128 slots, as of MinHash, the mean error is 0.03. Long texts have slots alone.
    [(1, 0.018, 0.09), (4, 0.023, 0.15), (20, 0.03, 0.15)],
)
def test_estimate_is_near_the_exact_similarity(num_joined: int, mean_error: float, largest_error: float):
    rng = random.Random(5)
    some = [text for text in rng.sample(articles(), 6_000) if len(text) > 30][: 800 * num_joined]
    chosen = ["".join(some[at : at + num_joined]) for at in range(0, len(some), num_joined)]
    edited = [mistyped(without_a_part(text, rng), rng, rng.uniform(0, 0.1)) for text in chosen]
    packed = sketched([*chosen, *edited]).packed
    left = np.arange(len(chosen), dtype=np.uint32)
    estimate = similarities(packed, left, left + np.uint32(len(chosen)))
    exact = np.array([jaccard(*pair) for pair in zip(chosen, edited, strict=True)])
    error = estimate - exact
    assert abs(error.mean()) < 0.005
    assert np.abs(error).mean() < mean_error
    assert np.abs(error).max() < largest_error


def test_estimate_of_unrelated_texts_is_near_zero():
    texts = ["".join(chr(0x4E00 + 997 * at % 20_000 + document) for at in range(document, 90)) for document in range(2)]
    assert jaccard(*texts) < 0.02
    estimate = similarities(sketched(texts).packed, np.array([0], np.uint32), np.array([1], np.uint32))
    assert estimate[0] < 0.1


def test_equal_sketches_have_similarity_one():
    for text in ("甲乙丙", articles()[3], "".join(articles()[:40])):
        packed = sketched([text] * 2).packed
        assert similarities(packed, np.array([0], np.uint32), np.array([1], np.uint32)).tolist() == [1.0]


def test_a_long_text_is_compared_with_one_that_is_hardly_shorter_by_the_wide_slots():
    parts = articles()[:40]
    texts = ["".join(parts[:count]) for count in range(1, 40)]
    packed = sketched(texts).packed
    last_short = np.flatnonzero(packed[:, -1] == SHORT)[-1]
    pair = np.array([last_short], np.uint32), np.array([last_short + 1], np.uint32)
    assert (packed[pair[1], -1] == LONG).all()
    assert abs(similarities(packed, *pair)[0] - jaccard(texts[last_short], texts[last_short + 1])) < 0.2


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("第一条", "c09e5660ae2d6e5a"),
        ("为了规范市场秩序，制定本法。", "bdfb7ef0bdabdb70"),
        ("血小板计数低于 10⁹/L 的，不得手术。" * 40, "ce258e5e7c0e12b3"),
    ],
)
def test_known_answers_of_format_2(text, digest):
    """A change here makes every stored index worthless: raise `SKETCH_FORMAT` instead, and rebuild from the documents."""
    assert SKETCH_FORMAT == 2
    assert NUM_SLOTS == 64
    assert sha256(sketch(join([text])).packed.tobytes()).hexdigest()[:16] == digest
