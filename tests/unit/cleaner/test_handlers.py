import logging
from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from contracts.release import Cause, Phase, ReleaseChanged, ReleaseState
from contracts.topics import (
    BATCH_CLEANED,
    BATCH_RECEIVED,
    CORPUS_AMENDED,
    CORPUS_VERSIONED,
    RELEASE_CHANGED,
    TRAINING_REQUESTED,
)
from contracts.training import TrainingRequested
from services.cleaner.core.cut import Request
from services.cleaner.ledger import Ledger
from shared.corpus import read_documents, read_manifest, read_shard
from shared.shards import read_table
from shared.telemetry import trace_id_of
from tests.unit.cleaner.conftest import START, Cleaner, documents

FIRST = "为了保护专利权人的合法权益，鼓励发明创造，制定本法。"
SECOND = "国务院专利行政部门负责管理全国的专利工作。"


def request(*batch_ids: UUID, number: int = 1) -> TrainingRequested:
    return TrainingRequested(
        event_id=uuid5(UUID(int=0), f"request {number}"),
        causation_id=None,
        occurred_at=START,
        domain="law",
        reason="operator",
        batch_ids=batch_ids,
    )


def counts(event):
    return (event.num_documents, event.num_new_documents, event.num_duplicate_documents, event.num_rejected_documents)


def texts_of(cleaner: Cleaner, corpus_digest: str) -> set[str]:
    return {document.text for document in read_documents(cleaner.store, corpus_digest)}


async def test_a_batch_becomes_a_shard_of_what_is_new(cleaner: Cleaner):
    received = await cleaner.receive("a", FIRST, "\u200b" + FIRST, SECOND, "甲" * 101, " \ufeff ")
    (event,) = cleaner.of(BATCH_CLEANED)
    assert counts(event) == (5, 2, 1, 2)
    assert (event.num_pending_documents, event.min_new_documents) == (2, 4)
    assert event.causation_id == received.event_id
    assert [document.text for document in read_shard(cleaner.store, event.shard_digest)] == [FIRST, FIRST, SECOND]
    (batch,) = cleaner.ledger.batches("law")
    removed = read_table(cleaner.store, batch.removed_digest).select(["position", "document_id", "text", "reason"])
    assert [tuple(row.values()) for row in removed.to_pylist()] == [
        (3, "a3", "甲" * 101, "too-long"),
        (4, "a4", " \ufeff ", "empty"),
    ]
    assert cleaner.store.read_ref(f"cleaned/law/{received.batch_id}") == event.model_dump_json().encode()


async def test_a_verbatim_text_of_an_earlier_batch_is_a_duplicate(cleaner: Cleaner):
    await cleaner.receive("a", FIRST, SECOND)
    await cleaner.receive("b", SECOND + "\u3000", "新的一条。")
    _, event = cleaner.of(BATCH_CLEANED)
    assert counts(event) == (2, 1, 1, 0)
    assert event.num_pending_documents == 3


async def test_a_redelivered_batch_says_the_same_again(cleaner: Cleaner):
    await cleaner.receive("a", FIRST, SECOND)
    await cleaner.receive("b", SECOND, "新的一条。")
    cleaner.clock.set(START + timedelta(minutes=1))
    await cleaner.receive("a", FIRST, SECOND)
    first, _, again = cleaner.of(BATCH_CLEANED)
    assert again == first


async def test_a_batch_that_a_crash_left_halfway_is_new_again(cleaner: Cleaner, monkeypatch):
    await cleaner.receive("a", FIRST)
    event = cleaner.batch("b", documents(FIRST, SECOND, prefix="b"))
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "add_batch_event", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cleaner.cleaning.clean(event, traceparent=None, now=START)
    await cleaner.user.publish(BATCH_RECEIVED, event)
    assert [counts(event) for event in cleaner.of(BATCH_CLEANED)] == [(1, 1, 0, 0), (2, 1, 1, 0)]
    assert len(cleaner.ledger.batches("law")) == 2


async def test_a_batch_whose_documents_are_gone_is_dead_lettered_with_the_reason(cleaner: Cleaner, caplog):
    event = cleaner.batch("a", documents(FIRST)).model_copy(update={"raw_digest": "0" * 64})
    with caplog.at_level(logging.ERROR):
        await cleaner.user.publish(BATCH_RECEIVED, event)
    (record,) = [record for record in caplog.records if record.message == "dead-lettered"]
    assert "no artifact has the digest 0000" in record.reason
    assert cleaner.of(BATCH_CLEANED) == []
    caplog.clear()


async def test_a_version_is_cut_after_enough_documents_and_some_quiet(cleaner: Cleaner):
    received = [
        await cleaner.receive("a", "一", "二"),
        await cleaner.receive("b", "三", "一"),
        await cleaner.receive("c", "四"),
    ]
    await cleaner.later(4.9)
    assert cleaner.of(CORPUS_VERSIONED) == []
    await cleaner.later(0.1)
    (version,) = cleaner.of(CORPUS_VERSIONED)
    assert (version.number, version.num_documents, version.num_new_documents) == (1, 4, 4)
    assert version.batch_ids == tuple(event.batch_id for event in received)
    assert texts_of(cleaner, version.corpus_digest) == set("一二三四")
    assert version.model_dump_json().encode() == cleaner.store.read_ref("corpus/law/latest")
    await cleaner.later(60)
    assert len(cleaner.of(CORPUS_VERSIONED)) == 1


async def test_a_version_that_is_handed_over_is_work_that_a_pause_would_cut_off(cleaner: Cleaner):
    await cleaner.receive("first", "甲", "乙", "丙", "丁")
    assert cleaner.cutter.busy_with() is None
    await cleaner.later(6)
    assert cleaner.cutter.busy_with() == "a corpus version of law is handed over"
    await cleaner.later(6)
    assert cleaner.cutter.busy_with() is None


async def test_the_next_version_adds_to_the_one_before_and_names_it(cleaner: Cleaner):
    await cleaner.receive("a", "一", "二", "三", "四")
    await cleaner.later(5)
    await cleaner.receive("b", "五", "六", "七", "八", "一")
    await cleaner.later(5)
    first, second = cleaner.of(CORPUS_VERSIONED)
    assert (second.number, second.num_documents, second.num_new_documents) == (2, 8, 4)
    assert second.parent_corpus_digest == first.corpus_digest
    assert texts_of(cleaner, second.corpus_digest) == set("一二三四五六七八")


async def test_a_cut_is_a_trace_of_its_own_and_its_manifest_knows_the_batches_traces(cleaner: Cleaner):
    await cleaner.receive("a", "一", "二", "三", "四")
    await cleaner.later(5)
    (_, _, cleaned_in), (_, version, cut_in) = cleaner.said
    (batch,) = read_manifest(cleaner.store, version.corpus_digest).batches
    assert trace_id_of(batch.traceparent) == trace_id_of(cleaned_in) != trace_id_of(cut_in)


async def test_a_request_waits_for_its_batches_and_cuts_below_the_minimum(cleaner: Cleaner):
    late = cleaner.batch("late", documents("二"))
    await cleaner.receive("a", "一")
    await cleaner.user.publish(TRAINING_REQUESTED, request(late.batch_id))
    await cleaner.later(60)
    assert cleaner.of(CORPUS_VERSIONED) == []
    await cleaner.user.publish(BATCH_RECEIVED, late)
    await cleaner.later(0)
    (version,) = cleaner.of(CORPUS_VERSIONED)
    assert version.num_documents == 2
    assert version.training_request_id == version.causation_id == request().event_id
    await cleaner.later(60)
    assert len(cleaner.of(CORPUS_VERSIONED)) == 1


async def test_a_request_for_a_batch_that_never_comes_goes_on_without_it_and_says_so(cleaner: Cleaner, caplog):
    never = cleaner.batch("never", documents("二"))
    await cleaner.receive("a", "一")
    await cleaner.user.publish(TRAINING_REQUESTED, request(never.batch_id))
    await cleaner.later(599)
    assert cleaner.of(CORPUS_VERSIONED) == []
    await cleaner.later(1)
    (version,) = cleaner.of(CORPUS_VERSIONED)
    assert (version.num_documents, version.training_request_id) == (1, request().event_id)
    assert [record.batches for record in caplog.records if "did not come" in record.message] == [[str(never.batch_id)]]
    await cleaner.later(60)
    assert len(cleaner.of(CORPUS_VERSIONED)) == 1


async def test_a_request_without_anything_new_is_answered_and_cuts_nothing(cleaner: Cleaner, caplog):
    await cleaner.user.publish(TRAINING_REQUESTED, request())
    with caplog.at_level(logging.WARNING):
        await cleaner.later(0)
        await cleaner.later(1)
    assert [record.message for record in caplog.records] == [
        "nothing to cut: no new documents since the last corpus version"
    ]
    assert cleaner.of(CORPUS_VERSIONED) == []


def taken_back(bad: str, good: str, cause: Cause) -> ReleaseChanged:
    return ReleaseChanged(
        event_id=UUID(int=5),
        causation_id=None,
        occurred_at=START,
        domain="law",
        cause=cause,
        reason="accuracy fell",
        bundle_digest=bad,
        phase=Phase.ROLLED_BACK,
        state=ReleaseState(serving_digest=good),
    )


@pytest.mark.parametrize(("cause", "left"), [(Cause.QUALITY, "一二三四九"), (Cause.LATENCY, "一二三四五六七八九")])
async def test_a_rollback_for_quality_leaves_the_bad_bundles_own_batches_out(cleaner: Cleaner, bundle_of, cause, left):
    await cleaner.receive("a", *"一二三四")
    await cleaner.later(5)
    await cleaner.receive("b", *"五六七八")
    await cleaner.later(5)
    first, second = cleaner.of(CORPUS_VERSIONED)
    bad, good = (bundle_of(cleaner.store, version.corpus_digest) for version in (second, first))
    for _ in range(2):
        await cleaner.user.publish(RELEASE_CHANGED, taken_back(bad, good, cause))
    amended = [(event.order, event.is_changed) for event in cleaner.of(CORPUS_AMENDED)]
    assert amended == ([("quarantine", True)] if cause is Cause.QUALITY else [])
    await cleaner.receive("c", "九")
    await cleaner.user.publish(TRAINING_REQUESTED, request())
    await cleaner.later(0)
    assert texts_of(cleaner, cleaner.of(CORPUS_VERSIONED)[-1].corpus_digest) == set(left)


async def test_a_damaged_manifest_of_one_domain_is_said_once_and_the_others_go_on(cleaner: Cleaner, caplog):
    async def receive(name: str, domain: str) -> None:
        event = cleaner.batch(name, documents("一", "二", "三", "四" + name, prefix=name))
        await cleaner.user.publish(BATCH_RECEIVED, event.model_copy(update={"domain": domain}))

    await receive("a", "art")
    await cleaner.later(5)
    (version,) = cleaner.of(CORPUS_VERSIONED)
    digest = version.corpus_digest
    folder = cleaner.store._blobs._root
    (folder / "sha256" / digest[:2] / digest).write_bytes(b"damaged")
    await receive("b", "law")
    cleaner.ledger.add_request(
        Request(event_id=UUID(int=1), reason="operator", received_at=START, traceparent=None, missing=()),
        domain="art", batch_ids=(),
    )  # fmt: skip
    event = cleaner.batch("c", documents("五", prefix="c"))
    await cleaner.user.publish(BATCH_RECEIVED, event.model_copy(update={"domain": "art"}))
    await cleaner.later(5)
    await cleaner.later(5)
    assert [event.domain for event in cleaner.of(CORPUS_VERSIONED)] == ["art", "law"]
    errors = [record for record in caplog.records if record.message == "domain left out"]
    assert [record.domain for record in errors] == ["art"]
    caplog.clear()
