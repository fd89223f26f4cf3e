"""Batches of another kind are held; those of the demo, whose laws come one after the other, are not."""

import random
import statistics as plain
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.corpus import BatchStatistics, Document
from services.ingest.core.judging import (
    Accepted,
    Held,
    Reference,
    Spread,
    divergence,
    divergence_of_names,
    judge,
    octaves_between,
)
from services.ingest.core.pairs import PairCount, known_pairs
from services.ingest.core.records import Record, record_of_document
from services.ingest.core.statistics import statistics_of
from services.ingest.settings import HoldRules
from shared.demo.settings import DOCUMENTS_PER_MESSAGE, DOCUMENTS_PER_UPLOAD
from shared.demo.statutes import Statutes, load_statutes

TODAY = date(2026, 1, 1)
RULES = HoldRules()
NOVEL = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. "
    "However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so "
    "well fixed in the minds of the surrounding families, that he is considered as the rightful property of some one or other "
    "of their daughters. "
)


@cache
def statutes() -> Statutes:
    return load_statutes()


def cut(documents: Sequence[Document], size: int) -> list[list[Record]]:
    return [
        [record_of_document(document) for document in documents[start : start + size]]
        for start in range(0, len(documents), size)
    ]


def played(batches: Iterable[Sequence[Record]]) -> tuple[Reference, list[str]]:
    """Return what a domain has after these batches, and why any of them was held."""
    reference, reasons, known = Reference(), [], known_pairs(np.empty(0, dtype=np.uint32))
    for batch in batches:
        pairs = PairCount(known if reference.num_batches else None)
        found = statistics_of(batch, today=TODAY, pairs=pairs)
        verdict = judge(found, reference, RULES)
        if isinstance(verdict, Held):
            reasons += verdict.reasons
        else:
            reference = reference.plus(found, RULES)
            known[pairs.new_cells] = True
    return reference, reasons


@cache
def after_the_demo() -> Reference:
    data = statutes()
    uploads = cut(data.first, DOCUMENTS_PER_UPLOAD)
    events = [*cut(data.later, DOCUMENTS_PER_MESSAGE), *cut(data.held_back, DOCUMENTS_PER_MESSAGE)]
    reference, reasons = played([*uploads, *events])
    assert reasons == [], "the demo's own batches"
    assert reference.total.num_documents == 26_196
    return reference


@cache
def after_single_laws() -> Reference:
    laws: dict[str, list[Document]] = {}
    for document in statutes().first:
        laws.setdefault(document.split_group, []).append(document)
    reference, reasons = played([record_of_document(one) for one in law] for law in laws.values())
    # Three laws of 338 are for the greater part tables drawn with dashes, and worth a look.
    assert [reason.partition(":")[0] for reason in reasons] == ["scripts", "characters"] * 3
    return reference


def with_texts(texts: Iterable[str], label: str | None = None) -> list[Record]:
    return [Record(document_id=str(number), text=text, label=label) for number, text in enumerate(texts)]


def foreign() -> dict[str, tuple[list[Record], str]]:
    """Return batches that belong elsewhere, each with what gives it away."""
    rng = random.Random(5)
    texts = [document.text for document in statutes().first[:300]]
    novel = [NOVEL[number : number + rng.randint(60, 300)] for number in range(300)]
    return {
        "an English novel": (with_texts(novel), "scripts"),
        "random characters": (with_texts("".join(chr(rng.randint(0x4E00, 0x9FFF)) for _ in text) for text in texts), "noise"),
        "UTF-8 read as GB18030": (with_texts(text.encode().decode("gb18030", "replace") for text in texts), "characters"),
        "UTF-8 read as Latin-1": (with_texts(text.encode().decode("latin-1") for text in texts), "scripts"),
        "one document again and again": (with_texts([texts[3]] * 300), "repetition"),
        "labels of another domain": (with_texts(texts, "体育"), "labels"),
        "whole laws instead of articles": (with_texts("".join(texts[n : n + 40]) for n in range(250)), "length"),
        "binary data": (with_texts("".join(chr(rng.randint(0, 255)) for _ in range(150)) for _ in range(100)), "scripts"),
    }  # fmt: skip


@pytest.mark.parametrize("reference", [after_the_demo, after_single_laws])
@pytest.mark.parametrize("kind", list(foreign()))
def test_a_foreign_batch_is_held_with_the_reason(kind: str, reference) -> None:
    batch, reason = foreign()[kind]
    verdict = judge(statistics_of(batch, today=TODAY), reference(), RULES)
    assert isinstance(verdict, Held)
    assert reason in {one.partition(":")[0] for one in verdict.reasons}


@pytest.mark.parametrize("size", [300, 1_000, 2_000, 4_500])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_statutes_are_not_held_however_they_are_cut(size: int, is_shuffled: bool) -> None:
    documents = list(statutes().first)
    if is_shuffled:
        random.Random(1).shuffle(documents)
    _, reasons = played(cut(documents, size))
    assert reasons == []


def test_one_law_at_a_time_is_no_other_label_mix_where_it_always_was_so() -> None:
    one_label = statistics_of(with_texts([one.text for one in statutes().first[:300]], "刑法"), today=TODAY)
    assert isinstance(judge(one_label, after_single_laws(), RULES), Accepted)
    documents = list(statutes().first)
    random.Random(1).shuffle(documents)
    mixed, _ = played(cut(documents, 300))
    verdict = judge(one_label, mixed, RULES)
    assert isinstance(verdict, Held)
    assert [reason.partition(":")[0] for reason in verdict.reasons] == ["labels"]
    few = statistics_of(with_texts([one.text for one in statutes().first[:70]], "刑法"), today=TODAY)
    assert isinstance(judge(few, mixed, RULES), Accepted), "a short law beside batches of 300"


def test_nothing_is_held_before_there_is_enough_to_compare_with_or_if_it_is_off() -> None:
    batch, _ = foreign()["an English novel"]
    found = statistics_of(batch, today=TODAY)
    young, _ = played(cut(statutes().first, 500)[:3])
    assert isinstance(judge(found, young, RULES), Accepted)
    assert isinstance(judge(found, Reference(), RULES), Accepted)
    off = RULES.model_copy(update={"enabled": False})
    assert isinstance(judge(found, after_the_demo(), off), Accepted)


def test_a_huge_batch_is_held_and_a_large_one_where_sizes_vary_is_not() -> None:
    documents = list(statutes().first)
    random.Random(1).shuffle(documents)
    usual, _ = played(cut(documents[:3_000], 300))
    huge = statistics_of([record_of_document(one) for one in documents[3_000:6_300]], today=TODAY)
    verdict = judge(huge, usual, RULES)
    assert isinstance(verdict, Held)
    assert verdict.reasons == (
        "size: at a distance of 3.46 (limit 3.32); 3,300 documents, a batch of the domain has 300 on average",
    )
    sizes = [60, 500, 60, 500, 60, 500, 60, 500]
    starts = accumulate(sizes, initial=0)
    varied, reasons = played(
        [record_of_document(one) for one in documents[start : start + size]]
        for start, size in zip(starts, sizes, strict=False)
    )
    assert reasons == []
    assert varied.mean_size < 3_300 / RULES.max_size_ratio
    assert isinstance(judge(huge, varied, RULES), Accepted)


@pytest.mark.parametrize(("num_foreign", "is_held"), [(0, False), (12, False), (60, True)])
def test_a_batch_is_held_where_a_part_of_its_texts_is_foreign(num_foreign: int, is_held: bool) -> None:
    """Its sums are near enough to the domain's; its texts one by one are not."""
    texts = [one.text for one in statutes().first[:300]]
    characters = sorted({character for text in texts for character in text if character >= "一"})
    rng = random.Random(3)
    foreign_texts = ["".join(rng.choices(characters, k=80)) for _ in range(num_foreign)]
    known = known_pairs(np.empty(0, dtype=np.uint32))
    pairs = PairCount(known)
    statistics_of([record_of_document(one) for one in statutes().first], today=TODAY, pairs=pairs)
    known[pairs.new_cells] = True
    found = statistics_of(with_texts([*texts, *foreign_texts]), today=TODAY, pairs=PairCount(known))
    verdict = judge(found, after_the_demo(), RULES)
    assert [reason.partition(":")[0] for reason in getattr(verdict, "reasons", ())] == ["mixture"] * is_held
    if isinstance(verdict, Held):
        assert f"{num_foreign} of" in verdict.reasons[0]


def test_an_irrelevant_batch_is_held() -> None:
    usual = statistics_of(with_texts(one.text for one in statutes().first[:300]), today=TODAY)
    odd = usual.model_copy(update={"num_compared_bigrams": 100, "num_known_bigrams": 45})
    verdict = judge(odd, after_the_demo(), RULES)
    assert isinstance(verdict, Held)
    assert verdict.reasons == (
        "relevance: at a distance of 0.55 (limit 0.40); 45% of its pairs of neighbouring characters are known in the domain",
    )


def test_batches_too_small_to_say_are_not_judged_by_distributions() -> None:
    verdict = judge(statistics_of(with_texts([NOVEL[:200]], "体育"), today=TODAY), after_the_demo(), RULES)
    assert isinstance(verdict, Accepted)


@given(st.lists(st.integers(0, 50), max_size=8), st.lists(st.integers(0, 50), max_size=8))
def test_divergence_is_a_distance(one: list[int], other: list[int]) -> None:
    found = divergence(one, other)
    assert 0 <= found <= 1
    assert found == pytest.approx(divergence(other, one))
    assert divergence(one, [3 * count for count in one]) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 6))
def test_lengths_that_all_double_lie_an_octave_apart(counts: list[int], octaves: int) -> None:
    assert octaves_between(counts, [0] * 2 * octaves + counts) == pytest.approx(octaves)
    assert octaves_between([0] * 2 * octaves + counts, counts) == pytest.approx(octaves)
    assert octaves_between(counts, []) == 0


def test_divergence_of_known_distributions() -> None:
    # Mean (3/4, 1/4): H of it 0.8113 bits, less half of the one bit of the halves.
    assert divergence([1, 1], [1, 0]) ** 2 == pytest.approx(0.311278, abs=1e-6)
    assert divergence_of_names({"a": 3}, {"b": 1}) == 1
    assert divergence_of_names({}, {"b": 1}) == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_spread_is_mean_and_deviation(values: list[float]) -> None:
    spread = Spread()
    for value in values:
        spread = spread.plus(value)
    assert spread.mean == pytest.approx(plain.fmean(values), abs=1e-9)
    assert spread.deviation == pytest.approx(plain.stdev(values), abs=1e-9)


def test_a_reference_comes_back_as_it_was_written() -> None:
    reference = after_the_demo()
    assert Reference.model_validate_json(reference.model_dump_json()) == reference
    assert reference.total.model_copy(update={"num_documents": 0}) != BatchStatistics()
