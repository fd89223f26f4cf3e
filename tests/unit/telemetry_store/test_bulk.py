from typing import Any

import pytest

from shared.telemetry_store import bulk
from shared.telemetry_store.bulk import Item, item_of, requests_of, verdict_of

A, B, C = Item("a", "a"), Item("b", "b"), Item("c", "c")


def answer(*items: tuple[int, str]) -> dict[str, Any]:
    errors = [{"type": kind, "reason": "r"} if kind else None for _, kind in items]
    outcomes = [
        {"create": {"status": status, "error": error}} for (status, _), error in zip(items, errors, strict=True)
    ]
    return {"errors": True, "items": outcomes}


def test_what_is_created_or_known_is_kept():
    verdict = verdict_of([A, B], answer((201, ""), (409, "version_conflict_engine_exception")))
    assert (verdict.num_created, verdict.num_known, verdict.unsure, verdict.refused) == (1, 1, (), ())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "es_rejected_execution_exception"),
        (503, "unavailable_shards_exception"),
        (500, "x"),
        (403, "cluster_block_exception"),
        (400, "validation_exception"),
    ],
)
def test_what_can_pass_is_tried_again_and_nothing_else(status: int, kind: str):
    verdict = verdict_of([A, B, C], answer((201, ""), (status, kind), (201, "")))
    assert verdict.unsure == (B,)
    assert verdict.trouble == f"{status} {kind}: r"
    assert not verdict.refused
    assert not verdict.lacks_template


def test_what_a_document_holds_can_be_refused_for_good():
    verdict = verdict_of([A, B], answer((400, "document_parsing_exception"), (201, "")))
    assert [(refusal.item, refusal.reason) for refusal in verdict.refused] == [(A, "document_parsing_exception: r")]
    assert verdict.num_created == 1
    assert not verdict.unsure


def test_a_missing_template_is_told_from_other_trouble():
    assert verdict_of([A], answer((404, "index_not_found_exception"))).lacks_template


def test_an_answer_that_leaves_out_an_item_is_no_answer():
    with pytest.raises(ValueError, match="zip"):
        verdict_of([A, B], answer((201, "")))


def test_requests_are_bounded_in_items_and_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bulk, "MAX_ITEMS", 3)
    monkeypatch.setattr(bulk, "MAX_BYTES", 10)
    items = [Item("x" * length, str(length)) for length in (1, 1, 1, 1, 9, 99, 1)]
    assert [[len(item.lines) for item in request] for request in requests_of(items)] == [[1, 1, 1], [1, 9], [99], [1]]
    assert list(requests_of([])) == []


def test_an_item_makes_nothing_but_a_stream():
    action, document = item_of("p-logs-2026.11.22", "7", {"message": "第一条"}).lines.split("\n")
    assert action == '{"create":{"_index":"p-logs-2026.11.22","_id":"7","require_data_stream":true}}'
    assert document == '{"message":"第一条"}'
