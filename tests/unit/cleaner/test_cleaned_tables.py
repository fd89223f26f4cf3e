"""A batch is cleaned as a table: kept documents changed, their entities at their new places, the others with a reason."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, Entity
from services.cleaner.core.cleaned_tables import CleanedTable, clean_table
from services.cleaner.core.entities import realigned
from services.cleaner.settings import CleaningRules
from shared.shards import documents_of, table_of

ARTICLE = "本法所称的发明创造是指发明、实用新型和外观设计。\n发明，是指对产品、方法或者其改进所提出的新的技术方案。"
NOISE = "\u200b\ufeff １Ａ<b>★\n"


def cleaned(documents: Iterable[Document], rules: CleaningRules = CleaningRules()) -> CleanedTable:  # noqa: B008
    return clean_table(table_of(documents), rules)


def kept(table: CleanedTable) -> list[Document]:
    return list(documents_of(table.kept))


def removed(table: CleanedTable) -> list[tuple[int, str, str]]:
    return [(row["position"], row["document_id"], row["reason"]) for row in table.removed.to_pylist()]


def test_documents_are_kept_in_order_or_removed_with_a_reason():
    texts = [ARTICLE, "\u200b ", "甲方应当付款。\u200b", ARTICLE * 3, ARTICLE + "\u200b"]
    documents = [Document(document_id=str(number), text=text, label="民法商法") for number, text in enumerate(texts)]
    found = cleaned(documents, CleaningRules(max_characters=100))
    assert [(one.document_id, one.text) for one in kept(found)] == [
        ("0", ARTICLE),
        ("2", "甲方应当付款。"),
        ("4", ARTICLE),
    ]
    assert kept(found)[0] == documents[0]
    assert removed(found) == [(1, "1", "empty"), (3, "3", "too-long")]
    assert found.removed["text"].to_pylist() == [texts[1], texts[3]]


def test_what_the_steps_did_is_counted():
    found = cleaned([Document(document_id="1", text="张某，电话13812345678，\u200b住北京。")])
    assert kept(found)[0].text == "张某，电话[电话]，住北京。"
    assert (found.counts.changed, found.counts.masked) == ({"invisible": 1, "personal-data": 1}, {"phone": 1})


def test_a_step_that_is_off_does_nothing():
    text = "张某，电话13812345678，住北京。"
    found = cleaned([Document(document_id="1", text=text)], CleaningRules(personal_data=False))
    assert (kept(found)[0].text, found.counts.masked) == (text, {})


def test_nothing_is_no_document_also_where_quality_is_not_judged():
    found = cleaned([Document(document_id="1", text="\u200b")], CleaningRules(quality=False))
    assert (kept(found), removed(found)) == ([], [(0, "1", "empty")])


def test_entities_move_with_their_text_and_go_when_nothing_of_them_is_left():
    entities = (
        Entity(start=2, end=5, label="drug"),
        Entity(start=6, end=7, label="mark"),
        Entity(start=7, end=9, label="sign"),
    )
    document = Document(document_id="1", text="\u200b服阿莫西\ufeff林\u200b\u200b", entities=entities)
    (found,) = kept(cleaned([document]))
    assert found.text == "服阿莫西林"
    assert found.entities == (Entity(start=1, end=4, label="drug"), Entity(start=4, end=5, label="mark"))


def test_entities_keep_characters_that_are_exchanged_one_by_one():
    document = Document(document_id="1", text="服５０毫克\u200b。", entities=(Entity(start=1, end=5, label="dose"),))
    (found,) = kept(cleaned([document]))
    assert found.text == "服50毫克。"
    assert found.entities == (Entity(start=1, end=5, label="dose"),)


@given(st.text(st.sampled_from("甲乙丙，" + NOISE), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_a_cleaned_document_is_a_valid_one_whatever_its_entities(text, data):
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    entities = [Entity(start=one, end=other, label="x") for one, other in pairwise(ends)]
    document = Document(document_id="1", text=text, entities=tuple(entities))
    # `documents_of` validates.
    assert len(kept(cleaned([document]))) + len(removed(cleaned([document]))) == 1


@given(st.permutations("甲乙丙丁戊己庚辛").map("".join), st.integers(0, 7), st.integers(1, 8))
def test_what_only_got_longer_or_shorter_around_an_entity_keeps_its_words(text, start, end):
    start, end = min(start, end - 1), max(start + 1, end)
    before = f"{text[:start]}\u200b{text[start:end]}\u200b{text[end:]}"
    (moved,) = realigned([Entity(start=start + 1, end=end + 1, label="x")], before, text)
    assert text[moved.start : moved.end] == text[start:end]
