from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core import parts
from services.ingest.core.entries import Entry
from services.ingest.core.parts import Part, Tally, parts_of
from services.ingest.core.records import Record
from services.ingest.settings import BatchLimits
from shared.errors import InvalidDocuments

LIMITS = BatchLimits(documents=3, batch_bytes=1_000)


def good(number: int, text: str = "制定本法。", document_id: str | None = None, num_bytes: int = 30) -> Entry:
    return Entry(number, num_bytes, Record(document_id=document_id or str(number), text=text))


def bad(number: int, raw: bytes = b"{") -> Entry:
    return Entry(number, 1, None, "not JSON", raw)


def cut(*entries: Entry, limits: BatchLimits = LIMITS, strict: bool = False) -> list[Part]:
    return list(parts_of(entries, limits, Tally(), strict=strict))


@given(st.lists(st.booleans(), max_size=40))
def test_every_record_is_in_one_part_or_refused_in_order(are_good: list[bool]) -> None:
    entries = [good(number) if is_good else bad(number) for number, is_good in enumerate(are_good, 1)]
    tally = Tally()
    try:
        found = list(parts_of(entries, LIMITS, tally, strict=False))
    except InvalidDocuments:
        assert are_good.count(False) > are_good.count(True) or not are_good
        return
    assert [int(record.document_id) for part in found for record in part.records] == [
        number for number, is_good in enumerate(are_good, 1) if is_good
    ]
    assert [one.line for part in found for one in part.refused] == [
        number for number, is_good in enumerate(are_good, 1) if not is_good
    ]
    assert all(len(part.records) <= 3 for part in found)
    assert (tally.num_documents, tally.num_refused) == (are_good.count(True), are_good.count(False))


def test_a_part_is_cut_at_its_bytes() -> None:
    assert [len(part.records) for part in cut(*(good(number, num_bytes=600) for number in range(1, 6)))] == [2, 2, 1]


def test_one_bad_record_refuses_all_where_that_is_asked_for() -> None:
    with pytest.raises(InvalidDocuments, match="line 2: not JSON") as refused:
        cut(good(1), bad(2), good(3), strict=True)
    assert "nothing of it was taken" in str(refused.value.next_step)


def test_too_many_bad_records_refuse_all_and_the_first_are_told() -> None:
    with pytest.raises(InvalidDocuments) as refused:
        cut(good(1), *(bad(number) for number in range(2, 7)))
    assert str(refused.value) == (
        "line 2: not JSON; line 3: not JSON; line 4: not JSON (5 of the 6 records read cannot be taken)"
    )
    lenient = LIMITS.model_copy(update={"max_refused_share": 0.9})
    assert len(cut(good(1), *(bad(number) for number in range(2, 7)), limits=lenient)[0].refused) == 5


def test_a_body_that_is_mostly_bad_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EARLY_REFUSALS", 10)
    tally = Tally()
    with pytest.raises(InvalidDocuments):
        list(parts_of((bad(number) for number in range(1, 10**9)), LIMITS, tally, strict=False))
    assert tally.num_refused == 10


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(InvalidDocuments, match="the batch holds no document"):
        cut()


def test_one_id_may_stand_for_several_texts_of_one_date_of_several_or_of_none() -> None:
    def version(number: int, text: str, day: date | None) -> Entry:
        return Entry(number, 30, Record(document_id="1", text=text, published_on=day))

    old, new = date(2009, 8, 27), date(2018, 10, 26)
    entries = [
        version(1, "制定本法。", old), version(2, "另一条。", new), version(3, "第三条。", new), version(4, "另一条。", None),
        version(5, "制定本法。", None),
    ]  # fmt: skip
    [part] = cut(*entries, limits=BatchLimits())
    assert [record.published_on for record in part.records] == [old, new, new, None, None]
    assert part.refused == []


def test_of_long_refused_records_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_REFUSED_BYTES", 15_000)
    [part] = cut(
        good(1), bad(2, b"x" * 20_000), bad(3, b"y" * 9_000), bad(4, b"z" * 9_000), good(5), good(6, num_bytes=1),
        limits=BatchLimits(),
    )  # fmt: skip
    assert [(len(one.raw), one.is_cut) for one in part.refused] == [(10_000, True), (9_000, False), (200, True)]
