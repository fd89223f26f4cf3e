"""A batch is sorted: kept documents cleaned, their entities where they lie in the cleaned text, the others with a reason."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, Entity
from services.cleaner.core.entities import realigned
from services.cleaner.core.sorting import sort_out
from services.cleaner.core.steps.quality import Reason
from services.cleaner.settings import CleaningRules

ARTICLE = "本法所称的发明创造是指发明、实用新型和外观设计。\n发明，是指对产品、方法或者其改进所提出的新的技术方案。"
NOISE = "\u200b\ufeff １Ａ<b>★\n"


def test_documents_are_kept_in_order_or_rejected_with_a_reason():
    texts = [ARTICLE, "\u200b ", "甲方应当付款。\u200b", ARTICLE * 3, ARTICLE + "\u200b"]
    documents = [Document(document_id=str(number), text=text, label="民法商法") for number, text in enumerate(texts)]
    found = sort_out(documents, CleaningRules(max_characters=100))
    assert [(item.position, item.document.text) for item in found.kept] == [
        (0, ARTICLE),
        (2, "甲方应当付款。"),
        (4, ARTICLE),
    ]
    assert found.kept[0].digest == found.kept[2].digest != found.kept[1].digest
    assert found.kept[0].document == documents[0]
    assert [(item.position, item.document_id, item.reason) for item in found.rejected] == [
        (1, "1", Reason.EMPTY),
        (3, "3", Reason.TOO_LONG),
    ]


def test_what_the_steps_did_is_counted():
    found = sort_out([Document(document_id="1", text="张某，电话13812345678，\u200b住北京。")], CleaningRules())
    assert found.kept[0].document.text == "张某，电话[电话]，住北京。"
    assert (found.changed, found.masked) == ({"invisible": 1, "personal-data": 1}, {"phone": 1})


def test_a_step_that_is_off_does_nothing():
    text = "张某，电话13812345678，住北京。"
    found = sort_out([Document(document_id="1", text=text)], CleaningRules(personal_data=False))
    assert (found.kept[0].document.text, found.masked) == (text, {})


def test_nothing_is_no_document_also_where_quality_is_not_judged():
    found = sort_out([Document(document_id="1", text="\u200b")], CleaningRules(quality=False))
    assert (found.kept, [item.reason for item in found.rejected]) == ([], [Reason.EMPTY])


def test_entities_move_with_their_text_and_go_when_nothing_of_them_is_left():
    entities = (
        Entity(start=2, end=5, label="drug"),
        Entity(start=6, end=7, label="mark"),
        Entity(start=7, end=9, label="sign"),
    )
    document = Document(document_id="1", text="\u200b服阿莫西\ufeff林\u200b\u200b", entities=entities)
    (kept,) = sort_out([document], CleaningRules()).kept
    assert kept.document.text == "服阿莫西林"
    assert kept.document.entities == (Entity(start=1, end=4, label="drug"), Entity(start=4, end=5, label="mark"))


@given(st.text(st.sampled_from("甲乙丙，" + NOISE), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_a_cleaned_document_is_a_valid_one_whatever_its_entities(text, data):
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    entities = [Entity(start=one, end=other, label="x") for one, other in pairwise(ends)]
    document = Document(document_id="1", text=text, entities=tuple(entities))
    for kept in sort_out([document], CleaningRules()).kept:
        assert Document.model_validate(kept.document.model_dump()) == kept.document


@given(st.permutations("甲乙丙丁戊己庚辛").map("".join), st.integers(0, 7), st.integers(1, 8))
def test_what_only_got_longer_or_shorter_around_an_entity_keeps_its_words(text, start, end):
    start, end = min(start, end - 1), max(start + 1, end)
    before = f"{text[:start]}\u200b{text[start:end]}\u200b{text[end:]}"
    (moved,) = realigned([Entity(start=start + 1, end=end + 1, label="x")], before, text)
    assert text[moved.start : moved.end] == text[start:end]
