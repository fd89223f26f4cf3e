"""What a corpus holds follows from its documents alone: each rule by example, and all of them against a slow oracle."""

from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, Entity
from services.cleaner.core.facts import NO_DATE, Facts, document_digests
from services.cleaner.core.removed import reasons_of
from services.cleaner.core.split import held_out_of
from services.cleaner.core.verdicts import NOBODY, NearPairs, Outcome, Verdicts, verdicts_of
from shared.corpus import is_held_out
from shared.shards import table_of

TRAINED = next(name for number in range(99) if not is_held_out(name := f"law {number}"))
HELD_OUT = next(name for number in range(99) if is_held_out(name := f"law {number}"))
OLD, NEW = date(2017, 1, 1), date(2021, 1, 1)


def doc(text: str, name: str = "", *, group: str | None = None, on: date | None = None) -> Document:
    return Document(document_id=name or text, text=text, group=group, published_on=on)


def facts_of(documents: list[Document]) -> Facts:
    table = table_of(documents)
    return Facts.of(table, document_digests(table))


def near(*pairs: tuple[int, int, float, bool]) -> NearPairs:
    first, second, similarity, same = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    return NearPairs(
        first=np.array(first, np.int64), second=np.array(second, np.int64),
        similarity=np.array(similarity, np.float32), says_the_same=np.array(same, np.bool_),
    )  # fmt: skip


def decide(documents: list[Document], pairs: NearPairs | None = None, left_out=(), restored=()) -> Verdicts:
    masks = [np.isin(np.arange(len(documents)), list(chosen)) for chosen in (left_out, restored)]
    return verdicts_of(facts_of(documents), pairs or near(), left_out=masks[0], restored=masks[1])


def test_of_equal_texts_the_newest_document_is_kept_whatever_came_first():
    verdicts = decide([doc("甲", "a", on=OLD), doc("甲", "b", on=NEW), doc("甲", "c")])
    assert verdicts.outcome.tolist() == [Outcome.DUPLICATE, Outcome.KEPT, Outcome.DUPLICATE]
    assert verdicts.lost_to.tolist() == [1, NOBODY, 1]


def test_of_equal_texts_the_one_that_was_annotated_last_is_kept_whatever_its_date():
    first, last = [datetime(2025, 6, day, tzinfo=UTC) for day in (1, 2)]
    answers = [doc("甲", name, on=OLD) for name in "abc"]
    documents = [
        doc("甲", "new", on=NEW),
        answers[0].model_copy(update={"annotated_at": first, "label": "刑法"}),
        answers[1].model_copy(update={"annotated_at": last, "label": "行政法"}),
        answers[2],
    ]
    assert decide(documents).kept.tolist() == [False, False, True, False]
    assert decide(documents, left_out=[2]).kept.tolist() == [False, True, False, False]
    assert decide(documents, left_out=[1, 2]).kept.tolist() == [True, False, False, False]


def test_of_equal_texts_one_with_labels_is_kept_whatever_its_date():
    documents = [
        doc("甲", "crawled again", on=NEW),
        doc("甲", "labelled").model_copy(update={"labels": ("刑法",)}),
        doc("甲", "older", on=OLD),
    ]
    assert decide(documents).kept.tolist() == [False, True, False]
    assert decide(documents, left_out=[1]).kept.tolist() == [True, False, False]


def test_what_lost_to_an_equal_text_with_other_labels_says_so():
    one, same, other, none = [doc("甲", name, on=OLD) for name in "abcd"]
    documents = [
        doc("甲", "kept", on=NEW).model_copy(update={"label": "刑法", "labels": ("行政法",)}),
        one.model_copy(update={"label": "民法"}),
        same.model_copy(update={"label": "行政法", "labels": ("刑法",)}),
        other.model_copy(update={"labels": ("刑法",)}),
        none,
    ]
    verdicts = decide(documents)
    reasons = reasons_of(facts_of(documents), verdicts, np.flatnonzero(verdicts.lost_to != NOBODY))
    assert reasons == ["label-conflict", "duplicate", "label-conflict", "duplicate"]


def test_of_equal_texts_the_one_that_is_labelled_most_is_kept():
    entity = Entity(start=0, end=1, label="机关")
    labels, label, entities, none = [
        doc("甲", name, on=on) for name, on in zip("abcd", (NEW, OLD, None, NEW), strict=True)
    ]
    documents = [
        labels.model_copy(update={"labels": ("刑法",)}),
        label.model_copy(update={"label": "刑法"}),
        entities.model_copy(update={"entities": (entity,)}),
        none,
    ]
    assert decide(documents).kept.tolist() == [False, True, False, False]
    assert decide(documents, left_out=[1]).kept.tolist() == [False, False, True, False]


def test_other_labels_of_near_texts_and_other_entities_of_equal_ones_are_said():
    entities = [Entity(start=0, end=end, label="机关") for end in (1, 2)]
    documents = [
        doc("甲乙", "kept", on=NEW).model_copy(update={"label": "刑法", "entities": entities[:1]}),
        doc("甲乙", "other entities", on=OLD).model_copy(update={"label": "刑法", "entities": entities[1:]}),
        doc("甲乙丙", "near", on=OLD).model_copy(update={"label": "民法"}),
        doc("甲乙丁", "near too", on=OLD).model_copy(update={"label": "刑法"}),
    ]
    verdicts = decide(documents, near((0, 2, 0.8, True), (0, 3, 0.8, True)))
    reasons = reasons_of(facts_of(documents), verdicts, np.flatnonzero(verdicts.lost_to != NOBODY))
    assert reasons == ["label-conflict", "near-label-conflict", "near-duplicate"]


def test_a_text_that_was_made_from_a_held_out_one_is_left_out_whatever_its_group():
    def made(name: str, original: str) -> Document:
        digest = sha256(original.encode()).hexdigest()
        return Document(document_id=name, text=f"{original}改", group=TRAINED, augmented_from=digest)

    held_out, trained = doc("甲", group=HELD_OUT), doc("乙", group=TRAINED)
    documents = [held_out, trained, made("a", "甲"), made("b", "乙"), made("c", "丙")]
    verdicts = decide(documents)
    assert verdicts.outcome.tolist() == [
        Outcome.KEPT,
        Outcome.KEPT,
        Outcome.MADE_FROM_HELD_OUT,
        Outcome.KEPT,
        Outcome.KEPT,
    ]
    assert verdicts.lost_to.tolist() == [NOBODY, NOBODY, 0, NOBODY, NOBODY]
    # No longer there, or trained on too: nothing of a test can be learnt.
    assert decide(documents, left_out=[0]).kept.tolist() == [False, True, True, True, True]
    assert decide([*documents, doc("甲", "also trained on", group=TRAINED)]).outcome[2] == Outcome.KEPT
    assert decide([made("a", "甲")]).kept.all()
    # Made from what was made from it.
    chain = [held_out, made("a", "甲"), made("b", "甲改"), made("c", "甲改改"), made("d", "乙改")]
    assert decide(chain).kept.tolist() == [True, False, False, False, True]


def test_a_made_text_stays_beside_what_it_is_near_and_loses_only_to_an_original_with_its_text():
    def made(text: str, name: str, on: date | None = None) -> Document:
        return Document(document_id=name, text=text, group=TRAINED, published_on=on, augmented_from="ab" * 32)

    documents = [doc("甲", on=NEW, group=TRAINED), made("乙", "a", NEW), doc("丙", on=OLD), made("丙", "b", NEW)]
    pairs = near((0, 1, 0.9, True), (1, 2, 0.9, True), (0, 3, 0.9, True))
    verdicts = decide(documents, pairs)
    assert verdicts.outcome.tolist() == [Outcome.KEPT, Outcome.KEPT, Outcome.NEAR_DUPLICATE, Outcome.DUPLICATE]
    assert verdicts.valid_until.tolist() == [NO_DATE] * 4
    assert decide(documents, pairs, left_out=[2]).kept.tolist() == [True, True, False, True]


def test_a_near_duplicate_names_the_nearest_kept_document_before_it():
    documents = [doc("甲", on=OLD), doc("乙", on=date(2020, 1, 1)), doc("丙", on=NEW)]
    verdicts = decide(documents, near((0, 1, 0.9, True), (0, 2, 0.8, True)))
    assert verdicts.outcome.tolist() == [Outcome.NEAR_DUPLICATE, Outcome.KEPT, Outcome.KEPT]
    assert (verdicts.lost_to[0], round(float(verdicts.similarity[0]), 2)) == (1, 0.9)


def test_what_is_near_to_a_document_that_lost_stays():
    documents = [doc("甲", on=NEW), doc("乙", on=date(2020, 1, 1)), doc("丙", on=OLD)]
    verdicts = decide(documents, near((0, 1, 0.8, True), (1, 2, 0.8, True)))
    assert verdicts.kept.tolist() == [True, False, True]


def test_texts_that_differ_in_a_number_both_stay():
    assert decide([doc("三年"), doc("五年")], near((0, 1, 0.9, False))).kept.all()


def test_two_versions_of_a_text_both_stay_and_the_older_one_ends_when_the_newer_begins():
    documents = [doc("甲", "law/1", on=OLD), doc("乙", "law/1", on=NEW), doc("丙", "law/2", group="law", on=OLD)]
    verdicts = decide(documents, near((0, 1, 0.9, True)))
    assert verdicts.kept.all()
    assert verdicts.valid_until.tolist() == [(NEW - date(1970, 1, 1)).days, NO_DATE, NO_DATE]


def test_versions_are_known_by_their_group_too_where_their_texts_are_near():
    documents = [doc("甲", "2017/1", group="law", on=OLD), doc("乙", "2021/1", group="law", on=NEW)]
    assert decide(documents, near((0, 1, 0.9, False))).valid_until.tolist() == [18628, NO_DATE]
    assert decide(documents).valid_until.tolist() == [NO_DATE, NO_DATE]


def test_near_texts_of_two_laws_of_two_dates_both_stay_without_one_ending_the_other():
    def kept(*documents: Document) -> int:
        verdicts = decide(list(documents), near((0, 1, 0.9, True)))
        assert verdicts.valid_until.tolist() == [NO_DATE, NO_DATE]
        return int(verdicts.kept.sum())

    law = doc("甲", "law/5", group="law", on=OLD)
    assert kept(law, doc("乙", "code/7", group="code", on=NEW)) == 2
    assert kept(law, doc("乙", "code/7", group="code", on=OLD)) == 1
    assert kept(law, doc("乙", "code/7", group="code")) == 1
    assert kept(law, doc("乙", "reprint", on=NEW)) == 1
    assert kept(law, doc("甲", "code/7", group="code", on=NEW)) == 1


def test_the_runner_up_comes_back_when_the_winner_is_left_out():
    documents = [doc("甲", "a", on=OLD), doc("甲", "b", on=NEW), doc("乙", "c", on=OLD)]
    pairs = near((1, 2, 0.9, True))
    assert decide(documents, pairs).kept.tolist() == [False, True, False]
    verdicts = decide(documents, pairs, left_out=[1])
    assert verdicts.outcome[1] == Outcome.LEFT_OUT
    assert verdicts.kept.sum() == 1


def test_what_a_person_restored_is_kept_beside_the_winner():
    documents = [doc("甲", "a", on=NEW), doc("乙", "b", on=OLD), doc("甲", "c", on=OLD)]
    assert decide(documents, near((0, 1, 0.9, True)), restored=[1, 2]).kept.all()


def test_the_very_same_document_twice_is_one_even_where_it_was_restored():
    assert decide([doc("甲"), doc("甲")], restored=[0, 1]).kept.tolist() == [True, False]


def held_out(documents: list[Document], pairs: NearPairs, left_out=()) -> np.ndarray:
    alive = ~np.isin(np.arange(len(documents)), list(left_out))
    return held_out_of(facts_of(documents), alive, pairs.first, pairs.second)


def test_nothing_that_is_near_a_training_text_is_held_out():
    documents = [
        doc("甲", group=HELD_OUT),
        doc("乙", group=HELD_OUT),
        doc("丙", group=TRAINED),
        doc("丁", group=HELD_OUT),
    ]
    pairs = near((0, 1, 0.8, False), (1, 2, 0.8, True))
    assert held_out(documents, pairs).tolist() == [False, False, False, True]
    assert held_out(documents, pairs, left_out=[2])[[0, 1, 3]].all()


def slow(documents: list[Document], pairs: NearPairs, left_out: set[int]) -> tuple[set[int], dict[int, bool]]:
    """The rules as sentences: who is kept, and who is held out."""
    facts = facts_of(documents)
    alive = [number for number in range(len(documents)) if number not in left_out]
    rank = {number: (-int(facts.published_on[number]), bytes(facts.digest[number])) for number in alive}
    alike = {
        frozenset((documents[one].text, documents[other].text)): bool(same)
        for one, other, same in zip(pairs.first, pairs.second, pairs.says_the_same, strict=True)
    }
    ordered = sorted(alive, key=rank.__getitem__)
    texts = [documents[number].text for number in ordered]
    firsts = [number for at, number in enumerate(ordered) if texts[at] not in texts[:at]]
    kept: list[int] = []
    for number in firsts:

        def drops(winner: int, number: int = number) -> bool:
            one, other = documents[winner], documents[number]
            dates = {one.published_on, other.published_on}
            related = one.document_id == other.document_id or one.split_group == other.split_group
            versions = related and len(dates) == 2 and None not in dates
            grouped = all(document.split_group != document.document_id for document in (one, other))
            by_themselves = grouped and not related and len(dates) == 2 and None not in dates
            return alike.get(frozenset((one.text, other.text)), False) and not versions and not by_themselves

        if not any(drops(winner) for winner in kept):
            kept.append(number)
    trained = {documents[number].text for number in alive if not is_held_out(documents[number].split_group)}
    living = {documents[number].text for number in alive}
    while more := {text for pair in alike if pair & trained and pair <= living for text in pair} - trained:
        trained |= more
    return set(kept), {number: documents[number].text not in trained for number in alive}


TEXTS = st.sampled_from("甲乙丙丁戊己")
DOCUMENTS = st.lists(
    st.builds(
        doc, TEXTS, st.sampled_from("abcdef"), group=st.sampled_from([None, HELD_OUT, TRAINED]),
        on=st.sampled_from([None, OLD, date(2020, 1, 1), NEW]),
    ),
    min_size=1, max_size=12,
    unique_by=lambda one: (one.text, one.document_id, one.group, one.published_on),
)  # fmt: skip
ALIKE = st.dictionaries(st.sampled_from(list(combinations("甲乙丙丁戊己", 2))), st.booleans(), max_size=8)


def pairs_among(documents: list[Document], alike: dict[tuple[str, str], bool]) -> NearPairs:
    stands_for = {document.text: number for number, document in reversed(list(enumerate(documents)))}
    found = [
        (stands_for[one], stands_for[other], 0.8, same)
        for (one, other), same in alike.items()
        if one in stands_for and other in stands_for
    ]
    return near(*found)


@given(documents=DOCUMENTS, alike=ALIKE, data=st.data())
@settings(deadline=None, max_examples=300)
def test_the_rules_hold_in_every_order(documents, alike, data):
    left_out = set(data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=3)))
    pairs = pairs_among(documents, alike)
    verdicts = decide(documents, pairs, left_out)
    kept, for_evaluation = slow(documents, pairs, left_out)
    assert set(np.flatnonzero(verdicts.kept)) == kept
    sides = held_out(documents, pairs, left_out)
    assert {number: bool(sides[number]) for number in for_evaluation} == for_evaluation
    order = data.draw(st.permutations(range(len(documents))))
    shuffled = [documents[number] for number in order]
    again = decide(shuffled, pairs_among(shuffled, alike), {order.index(number) for number in left_out})
    for column in ("outcome", "similarity", "valid_until"):
        assert getattr(again, column).tolist() == [getattr(verdicts, column)[number] for number in order]
    lost = [NOBODY if other == NOBODY else order[other] for other in again.lost_to]
    assert lost == [verdicts.lost_to[number] for number in order]
