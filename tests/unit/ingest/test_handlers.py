import asyncio
import io
import json
import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.corpus import Document, DocumentsSubmitted
from contracts.topics import DOCUMENTS_SUBMITTED
from services.ingest.adapters import Batches, KeptBatch
from services.ingest.core.arrivals import submitted
from services.ingest.core.parts import Tally
from services.ingest.core.records import record_of_document
from services.ingest.reading import BodyKind, Format
from services.ingest.run import Intake
from shared.clock import FakeClock
from shared.corpus import read_shard, write_shard
from shared.telemetry import Telemetry, trace_id_of
from tests.unit.ingest.conftest import START, Ingest, running

ARTICLES = (
    Document(document_id="专利法/1", text="为了保护专利权人的合法权益，制定本法。", label="民法商法", group="专利法"),
    Document(
        document_id="专利法/3", text="国务院专利行政部门负责管理全国的专利工作。", label="民法商法", group="专利法"
    ),
)


def submission(*documents: Document, number: int = 1, domain: str = "law") -> DocumentsSubmitted:
    return DocumentsSubmitted(
        event_id=UUID(int=number), causation_id=None, occurred_at=START, domain=domain, documents=documents
    )


async def test_submitted_documents_are_stored_and_announced(ingest: Ingest):
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    (event,) = ingest.events
    assert tuple(read_shard(ingest.store, event.raw_digest)) == ARTICLES
    assert (event.num_documents, event.source, event.causation_id) == (2, "kafka", UUID(int=1))
    kept = Batches(ingest.store).find("law", event.batch_id)
    assert kept is not None
    assert kept.event == event


async def test_a_redelivered_event_is_the_same_batch_announced_again(ingest: Ingest):
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    ingest.clock.set(START + timedelta(hours=1))
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    first, again = ingest.events
    assert again == first


async def test_the_same_batch_twice_at_the_same_moment_is_announced_as_one(ingest: Ingest, monkeypatch):
    both_have_looked = threading.Barrier(2, timeout=5)
    stored = Intake._stored

    def store_when_both_have_looked(intake: Intake, *arguments: Any) -> KeptBatch:
        both_have_looked.wait()
        ingest.clock.set(ingest.clock.now() + timedelta(hours=1))
        return stored(intake, *arguments)

    monkeypatch.setattr(Intake, "_stored", store_when_both_have_looked)
    first, second = await asyncio.gather(*(ingest.intake.take_event(submission(*ARTICLES)) for _ in range(2)))
    assert first == second
    assert ingest.events == [first.event, first.event]
    assert ingest.intake._references.of("law").num_batches == 1


async def test_one_event_id_in_two_domains_is_two_batches(ingest: Ingest):
    for domain in ("law", "medicine"):
        await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES, domain=domain))
    law, medicine = ingest.events
    assert (law.domain, medicine.domain) == ("law", "medicine")
    assert law.batch_id != medicine.batch_id
    assert law.event_id != medicine.event_id


async def test_an_event_id_that_comes_again_with_other_documents_is_dead_lettered(ingest: Ingest, caplog):
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    with caplog.at_level(logging.ERROR):
        await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(ARTICLES[1]))
    [record] = [record for record in caplog.records if record.message == "dead-lettered"]
    assert "was received before with other documents" in record.reason
    assert len(ingest.events) == 1


async def test_an_id_may_stand_for_two_texts_in_one_event(ingest: Ingest):
    both = (ARTICLES[0], Document(document_id=ARTICLES[0].document_id, text="另一条。"))
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*both))
    [event] = ingest.events
    assert tuple(read_shard(ingest.store, event.raw_digest)) == both


async def test_a_batch_is_announced_in_the_trace_that_its_ref_names(ingest: Ingest):
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    ((event, traceparent),) = ingest.said
    kept = Batches(ingest.store).find("law", event.batch_id)
    assert trace_id_of(kept.traceparent) == trace_id_of(traceparent) is not None


async def test_at_a_start_what_the_cleaner_has_not_finished_is_announced_again(tmp_path: Path, telemetry: Telemetry):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock) as ingest:
        for number in (1, 2, 3):
            await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES[: number % 2 + 1], number=number))
            clock.set(clock.now() + timedelta(seconds=1))
        first, second, third = ingest.said
        ingest.store.write_ref(f"cleaned/law/{second[0].batch_id}", b"{}")
    async with running(tmp_path, telemetry, clock) as ingest:
        await ingest.intake.announce_again()
        assert ingest.events == [first[0], third[0]]
        assert [trace_id_of(where) for _, where in ingest.said] == [trace_id_of(first[1]), trace_id_of(third[1])]


async def test_a_batch_that_was_kept_but_not_announced_is_announced_at_the_next_start(ingest: Ingest):
    # As an ingest from before there were marks left it.
    event_of_user = submission(*ARTICLES)
    arrival = submitted(event_of_user, [record_of_document(document) for document in ARTICLES], START)
    event = arrival.announcement(write_shard(ingest.store, ARTICLES))
    Batches(ingest.store).keep(KeptBatch(event=event, content_digest=arrival.content_digest, traceparent=None))
    await ingest.intake.announce_again()
    assert ingest.events == [event]


async def test_an_upload_is_taken_whole_by_its_mark_wherever_the_daemon_was_killed(ingest: Ingest, monkeypatch):
    lines = [json.dumps({"document_id": str(number), "text": f"第{number}条"}).encode() for number in range(45)]

    class Killed(Exception):
        pass

    def killed(*_: object) -> None:
        raise Killed

    body, kind = io.BytesIO(b"\n".join(lines)), BodyKind(format=Format.JSONL)
    with monkeypatch.context() as patched:
        patched.setattr(Batches, "keep", killed)
        with pytest.raises(Killed):
            await ingest.intake.take(body, kind, domain="law", tally=Tally())
    assert ingest.events == []
    assert list(ingest.store.ref_names("batches")) == []
    await ingest.intake.announce_again()
    assert [event.num_documents for event in ingest.events] == [20, 20, 5]
    assert len(list(ingest.store.ref_names("batches"))) == 3


async def test_marks_go_when_the_cleaner_is_through_and_a_start_lists_nothing_else(ingest: Ingest):
    for number in (1, 2):
        await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES[:number], number=number))
    assert len(list(ingest.store.ref_names("uncleaned"))) == 2
    ingest.store.write_ref(f"cleaned/law/{ingest.events[0].batch_id}", b"{}")
    await ingest.intake.forget_cleaned()
    [mark] = ingest.store.ref_names("uncleaned")
    assert mark == f"uncleaned/law/{ingest.events[1].batch_id}"


async def test_statistics_travel_with_the_announcement(ingest: Ingest):
    await ingest.user.publish(DOCUMENTS_SUBMITTED, submission(*ARTICLES))
    statistics = ingest.events[0].statistics
    assert (statistics.num_documents, statistics.labels) == (2, {"民法商法": 2})
