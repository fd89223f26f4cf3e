import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document
from services.cleaner.core.text import Reason, clean, sort_out

ARTICLE = "本法所称的发明创造是指发明、实用新型和外观设计。\n发明，是指对产品、方法或者其改进所提出的新的技术方案。"

NOISE = "\u200b\ufeff\xad\u202e\r\n\t \u3000\x00\u2028\x85\x1c\u0301\u115f１Ａｚ，。（）²①ﬁ㎎한가각\u1100\u1161\u11a8e"
TEXTS = st.text() | st.text(st.sampled_from(NOISE), max_size=30) | st.text(st.characters(codec="utf-8"), max_size=30)


@settings(deadline=None)
@given(TEXTS)
def test_cleaning_twice_changes_nothing_more(text):
    once = clean(text)
    assert clean(once) == once


@settings(deadline=None)
@given(TEXTS)
def test_what_is_left_is_composed_visible_and_tight(text):
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    assert not {"  ", "\n ", " \n", "\n\n"} & {cleaned[at : at + 2] for at in range(len(cleaned))}
    assert not [char for char in cleaned if unicodedata.category(char) == "Cc" and char != "\n"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (ARTICLE, ARTICLE),
        ("，。；：（）！？、《》“”…—％－", "，。；：（）！？、《》“”…—％－"),
        ("10⁹/L，m²，①，½，℃，㎎，‰", "10⁹/L，m²，①，½，℃，㎎，‰"),
        ("第１２条 Ａｂｃ", "第12条 Abc"),
        ("零\u200b宽\ufeff字\xad符\u2060\u202e", "零宽字符"),
        ("a\r\n\r\n b\u2028c\x85d\x0be", "a\nb\nc\nd\ne"),
        (" \u3000甲\u2009\t乙\xa0 ", "甲 乙"),
        ("e\u0301 Ａ\u200b\u030a", "é Å"),
        ("\u1100\u1161\u11a8", "각"),
        ("豈", "豈"),
        ("\u200b \n\ufeff", ""),
    ],
)
def test_noise_goes_and_meaning_stays(text, cleaned):
    assert clean(text) == cleaned


def test_documents_are_kept_in_order_or_rejected_with_a_reason():
    texts = [ARTICLE, "\u200b ", "甲" * 11 + "\u200b", "甲" * 100, ARTICLE + "\u200b"]
    documents = [Document(document_id=str(number), text=text, label="民法商法") for number, text in enumerate(texts)]
    kept, rejected = sort_out(documents, max_chars=60)
    assert [(item.position, item.document.text) for item in kept] == [(0, ARTICLE), (2, "甲" * 11), (4, ARTICLE)]
    assert kept[0].digest == kept[2].digest != kept[1].digest
    assert kept[0].document == documents[0]
    assert [(item.position, item.document_id, item.reason) for item in rejected] == [
        (1, "1", Reason.EMPTY),
        (3, "3", Reason.TOO_LONG),
    ]
