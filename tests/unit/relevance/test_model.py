"""The relevance model on real statutes: what it keeps, what it rejects, and that nothing depends on order."""

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.relevance.counts import (
    CountsRefused,
    TrigramCounts,
    count_trigrams,
    empty_counts,
)
from shared.relevance.fit import RelevanceFit, TooFewDocuments, lower_deviation
from shared.relevance.model import RelevanceModel, Verdict

SMALL = 16
ARTICLES = ("第一条　为了规范劳动合同，制定本法。", "用人单位自用工之日起即与劳动者建立劳动关系。", "𠮷野家 ABC 2024")


@pytest.fixture(scope="module")
def statutes() -> tuple[list[str], list[str], list[str]]:
    """Texts and groups to fit on, and texts of laws that none of them is from."""
    documents = [document for document in load_statutes().first if len(document.text) >= 20]
    train = [document for document in documents if not is_held_out(document.split_group)]
    held_out = [document.text for document in documents if is_held_out(document.split_group)]
    return [document.text for document in train], [document.split_group for document in train], held_out


@pytest.fixture(scope="module")
def model(statutes: tuple[list[str], list[str], list[str]]) -> RelevanceModel:
    fit = RelevanceFit()
    fit.add(statutes[0], statutes[1])
    return fit.model()


def area_under_curve(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of `higher` is above one of `lower` (Mann and Whitney)."""
    ranks = np.concatenate([higher, lower]).argsort(kind="stable").argsort() + 1
    size = len(higher)
    return float((ranks[:size].sum() - size * (size + 1) / 2) / size / len(lower))


def shuffled(texts: list[str]) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.sample(text, len(text))) for text in texts]


def test_keeps_held_out_laws(model: RelevanceModel, statutes: tuple[list[str], list[str], list[str]]):
    verdicts = [judgement.verdict for judgement in model.judge(statutes[2])]

    assert verdicts.count(Verdict.REJECT) <= 0.02 * len(verdicts)
    assert verdicts.count(Verdict.KEEP) >= 0.95 * len(verdicts)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(shuffled, id="shuffled"),
        pytest.param(lambda texts: [text.encode().decode("gbk", "replace") for text in texts], id="utf-8 read as gbk"),
        pytest.param(lambda texts: [text.encode("gb18030").decode("latin-1") for text in texts], id="gbk as latin-1"),
    ],
)
def test_tells_damaged_texts_apart(model, statutes, damage):
    whole, damaged = model.scores(statutes[2]), model.scores(damage(statutes[2]))

    assert area_under_curve(whole, damaged) >= 0.99
    assert (damaged < model.reject_below).mean() >= 0.9


def test_rejects_other_prose(model: RelevanceModel):
    # Written for this test, in the manner of news, recipes, chat and novels.
    others = [
        "昨天晚上的比赛真是精彩，最后三分钟主队连进两球，球迷们高兴得跳了起来，散场以后还在街上唱歌。",
        "把土豆切成细丝泡在凉水里，锅里放油烧热，先爆香葱花和干辣椒，再下土豆丝大火翻炒，出锅前淋一勺醋。",
        "她推开窗，院子里的桂花已经落了一地，猫蜷在石阶上晒太阳，远处传来卖糖葫芦的吆喝声。",
        "你到底什么时候回来呀？妈妈包了你最爱吃的饺子，小狗也天天趴在门口等你，快点买票吧！",
    ]

    assert {judgement.verdict for judgement in model.judge(others)} == {Verdict.REJECT}


def test_scores_do_not_depend_on_the_batch(model: RelevanceModel, statutes: tuple[list[str], list[str], list[str]]):
    texts = statutes[2][:60]

    together = model.scores(texts)

    assert together.tolist() == [model.scores([text])[0] for text in texts]
    assert model.scores(["", texts[0]]).tolist() == [model.typical, together[0]]
    assert model.scores([]).tolist() == []


def test_fit_does_not_depend_on_order_or_shards(statutes: tuple[list[str], list[str], list[str]]):
    pairs = list(zip(statutes[0][:3000], statutes[1][:3000], strict=True))
    one = RelevanceFit(SMALL)
    one.add(*zip(*pairs, strict=True))
    random.Random(3).shuffle(pairs)
    other = RelevanceFit(SMALL)
    for begin in range(0, len(pairs), 700):
        other.add(*zip(*pairs[begin : begin + 700], strict=True))

    first, second = one.model(), other.model()

    assert first.counts.to_bytes() == second.counts.to_bytes()
    assert (first.typical, first.reject_below, first.flag_below) == (
        second.typical,
        second.reject_below,
        second.flag_below,
    )


def test_limits_withstand_a_tenth_of_junk(statutes: tuple[list[str], list[str], list[str]], model: RelevanceModel):
    junk = shuffled(statutes[0][:2000])
    fit = RelevanceFit()
    fit.add(statutes[0] + junk, statutes[1] + [f"junk {number}" for number in range(len(junk))])
    dirty = fit.model()

    assert (dirty.scores(statutes[2]) < dirty.reject_below).mean() <= 0.02
    assert (dirty.scores(shuffled(statutes[2])) < dirty.reject_below).mean() >= 0.85


def test_refuses_to_judge_from_few_documents():
    fit = RelevanceFit(SMALL)
    fit.add(ARTICLES, ["a", "b", "c"])

    with pytest.raises(TooFewDocuments) as refused:
        fit.model()

    assert refused.value.next_step


def test_known_answers():
    """A change of these is a change of FORMAT: stored counts would no longer fit."""
    counts = count_trigrams(ARTICLES, SMALL)

    assert (counts.num_documents, counts.num_characters) == (3, sum(map(len, ARTICLES)))
    assert (
        hashlib.sha256(counts.to_bytes()).hexdigest()
        == "8f2f18121dc5b4ebe849449ea65f315d8e3b1c89279908ca41d33d936fa9478d"
    )
    assert np.flatnonzero(counts.trigrams)[:5].tolist() == [817, 1164, 1367, 2179, 4546]


@given(st.lists(st.text(max_size=30), max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
def test_counts_add_up_in_any_order(texts: list[str], rng: random.Random, cut: int):
    whole = count_trigrams(texts, SMALL)
    rng.shuffle(texts)

    parts = count_trigrams(texts[:cut], SMALL) + count_trigrams(texts[cut:], SMALL)

    assert parts.to_bytes() == whole.to_bytes()
    assert (whole - parts).to_bytes() == empty_counts(SMALL).to_bytes()
    assert TrigramCounts.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()


def test_counts_what_stands_there():
    counts = count_trigrams(["甲乙甲乙", "甲"], SMALL)

    assert counts.unigrams[ord("甲")] == 3
    assert counts.unigrams.sum() == 5 + 2
    assert counts.trigrams.sum() == 5
    assert sorted(counts.bigrams[counts.bigrams > 0].tolist()) == [1, 2, 2, 2]


@pytest.mark.parametrize("digits", ["2024年", "１９９８年"])
def test_digits_are_one_character(digits: str):
    assert count_trigrams([digits], SMALL).to_bytes() == count_trigrams(["0000年"], SMALL).to_bytes()


def test_a_model_survives_being_stored(model: RelevanceModel):
    stored = model.to_bytes()
    again = RelevanceModel.from_bytes(stored)
    assert again.to_bytes() == stored
    assert (again.typical, again.reject_below, again.flag_below) == (
        model.typical,
        model.reject_below,
        model.flag_below,
    )
    for bad in (b"", stored[:20], b"X" + stored[1:], stored[:4] + b"\x02" + stored[5:], stored[:-4]):
        with pytest.raises(CountsRefused):
            RelevanceModel.from_bytes(bad)


def test_refuses_what_is_no_counts():
    stored = count_trigrams(ARTICLES, SMALL).to_bytes()
    for wrong in (b"", b"PLNG", stored[:-1], stored + b"\0", b"XXXX" + stored[4:], stored[:4] + b"\x63" + stored[5:]):
        with pytest.raises(CountsRefused):
            TrigramCounts.from_bytes(wrong)
    with pytest.raises(CountsRefused, match="do not add up"):
        empty_counts(SMALL) + empty_counts(17)
    with pytest.raises(CountsRefused, match="outside"):
        empty_counts(SMALL) - count_trigrams(ARTICLES, SMALL)
    with pytest.raises(ValueError, match="16 to 24"):
        empty_counts(25)


def test_deviation_looks_below_the_median_only():
    scores = np.array([-4.0, -3.0, -2.0, 100.0, 900.0])

    assert lower_deviation(scores) == pytest.approx(1.4826 * (-2 + 103 - 100) / 1)
