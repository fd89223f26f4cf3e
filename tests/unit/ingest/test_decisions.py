"""Held batches wait for a person, across restarts; what is accepted goes on, what is rejected stays away and is remembered."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from contracts.api import (
    BatchReceipt,
    BatchView,
    DomainStatistics,
    HeldBatch,
    HeldBatches,
    StatisticsFigures,
    UploadReceipt,
)
from contracts.corpus import DocumentsSubmitted
from contracts.topics import DOCUMENTS_SUBMITTED
from services.ingest.adapters import Batches
from services.ingest.settings import HoldRules
from shared.clock import FakeClock
from shared.telemetry import Telemetry
from tests.unit.ingest.conftest import AS_OPERATOR, START, Ingest, running
from tests.unit.ingest.test_api import NDJSON, problem_of

URL = "/v1/batches?domain=law"
RULES = HoldRules(min_batches=2, min_documents=10, min_batch_documents=5, min_batch_chars=50)
ARTICLES = [f"第{number}条 为了保护专利权人的合法权益，鼓励发明创造，制定本法。" for number in range(30)]
NOVEL = [
    f"{number}. It is a truth universally acknowledged, that a single man must be in want of a wife."
    for number in range(8)
]


def lines(texts: list[str], prefix: str = "") -> bytes:
    return "\n".join(json.dumps({"document_id": f"{prefix}{text[:9]}", "text": text}) for text in texts).encode()


@asynccontextmanager
async def started(folder: Path, telemetry: Telemetry) -> AsyncIterator[tuple[Ingest, httpx.AsyncClient]]:
    async with running(folder, telemetry, FakeClock(START), hold=RULES) as ingest, ingest.client() as client:
        yield ingest, client


async def handed_over(client: httpx.AsyncClient, body: bytes) -> UploadReceipt:
    answer = await client.post(URL, content=body, headers=NDJSON)
    assert answer.status_code == 201, answer.text
    return UploadReceipt.model_validate_json(answer.content)


async def usual(client: httpx.AsyncClient) -> None:
    for start in (0, 10, 20):
        assert (await handed_over(client, lines(ARTICLES[start : start + 10]))).state == "accepted"


async def waiting(client: httpx.AsyncClient, url: str = "/v1/batches/held") -> tuple[HeldBatch, ...]:
    return HeldBatches.model_validate_json((await client.get(url)).content).batches


async def decided(client: httpx.AsyncClient, batch_id: object, verb: str, **headers: str) -> httpx.Response:
    body = {"by": "Lin", "reason": "a novel by mistake"}
    return await client.post(f"/v1/batches/{batch_id}/{verb}", json=body, headers=headers or AS_OPERATOR)


async def test_a_held_batch_is_kept_said_and_not_announced_and_still_held_after_a_restart(
    tmp_path: Path, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
):
    async with started(tmp_path, telemetry) as (ingest, client):
        await usual(client)
        with caplog.at_level(logging.WARNING):
            receipt = await handed_over(client, lines(NOVEL))
        assert receipt.state == "held"
        assert any(reason.startswith("scripts: ") for reason in receipt.reasons)
        assert [record.reasons for record in caplog.records if record.message == "batch held for a person"]
        assert len(ingest.events) == 3
        assert (await handed_over(client, lines(NOVEL))) == receipt, "sending it again changes nothing"
    async with started(tmp_path, telemetry) as (ingest, client):
        await ingest.intake.announce_again()
        assert receipt.batch_id not in {event.batch_id for event in ingest.events}
        [held] = await waiting(client)
        assert (held.batch_id, held.num_documents, held.reasons) == (receipt.batch_id, 8, receipt.reasons)
        assert held.statistics is not None
        assert held.statistics.languages == {"und-Latn": 8}
        assert await waiting(client, "/v1/batches/held?domain=medicine") == ()


async def test_an_accepted_batch_is_announced_and_such_batches_pass_from_then_on(tmp_path: Path, telemetry: Telemetry):
    async with started(tmp_path, telemetry) as (ingest, client):
        await usual(client)
        receipt = await handed_over(client, lines(NOVEL))
        answer = await decided(client, receipt.batch_id, "accept")
        assert BatchReceipt.model_validate_json(answer.content).state == "accepted"
        assert ingest.events[-1].batch_id == receipt.batch_id
        assert await waiting(client) == ()
        assert problem_of(await decided(client, receipt.batch_id, "accept")).status == 404
        kept = Batches(ingest.store).find("law", receipt.batch_id)
        assert kept is not None
        assert kept.decision is not None
        assert (kept.state, kept.decision.by, kept.decision.at) == ("accepted", "Lin", START)
        ingest.said.clear()
        await ingest.intake.announce_again()
        assert receipt.batch_id in {event.batch_id for event in ingest.events}, "until the cleaner has it"
        ingest.store.write_ref(f"cleaned/law/{receipt.batch_id}", b"{}")
        ingest.said.clear()
        await ingest.intake.announce_again()
        assert receipt.batch_id not in {event.batch_id for event in ingest.events}


async def test_a_rejected_batch_stays_away_and_who_and_why_is_remembered(tmp_path: Path, telemetry: Telemetry):
    async with started(tmp_path, telemetry) as (ingest, client):
        await usual(client)
        receipt = await handed_over(client, lines(NOVEL))
        first = await decided(client, receipt.batch_id, "reject")
        again = await decided(client, receipt.batch_id, "reject")
        assert first.content == again.content
        assert await waiting(client) == ()
        assert problem_of(await decided(client, receipt.batch_id, "accept")).status == 404
        sent_again = await handed_over(client, lines(NOVEL))
        assert sent_again.state == "rejected"
        assert sent_again.reasons[0] == "rejected by Lin: a novel by mistake"
        await ingest.intake.announce_again()
        assert receipt.batch_id not in {event.batch_id for event in ingest.events}
        kept = Batches(ingest.store).find("law", receipt.batch_id)
        assert kept is not None
        assert ingest.store.exists(kept.event.raw_digest)


async def test_only_the_operator_decides(tmp_path: Path, telemetry: Telemetry):
    async with started(tmp_path, telemetry) as (_, client):
        await usual(client)
        receipt = await handed_over(client, lines(NOVEL))
        for verb in ("accept", "reject"):
            assert (await decided(client, receipt.batch_id, verb, authorization="Bearer guessed")).status_code == 403
        assert len(await waiting(client)) == 1


async def test_events_are_held_too_and_a_long_upload_only_where_it_differs(tmp_path: Path, telemetry: Telemetry):
    async with started(tmp_path, telemetry) as (ingest, client):
        await usual(client)
        documents = [json.loads(line) for line in lines(NOVEL).splitlines()]
        event = DocumentsSubmitted.model_validate(
            {
                "event_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
                "occurred_at": START,
                "domain": "law",
                "documents": documents,
            }
        )
        await ingest.user.publish(DOCUMENTS_SUBMITTED, event)
        assert len(await waiting(client)) == 1
        later = [f"{text}第二款。" for text in ARTICLES[:20]]
        mixed = await handed_over(client, lines(later, "later ") + b"\n" + lines(NOVEL, "later "))
        assert [batch.state for batch in mixed.batches] == ["accepted", "held"]
        assert len(await waiting(client)) == 2
        assert ingest.events[-1].batch_id == mixed.batches[0].batch_id


async def test_statistics_of_a_batch_and_of_all_that_a_domain_got(tmp_path: Path, telemetry: Telemetry):
    async with started(tmp_path, telemetry) as (_, client):
        await usual(client)
        dated = [
            {
                "document_id": "a",
                "text": ARTICLES[0],
                "label": "民法商法",
                "source": "全国人大",
                "published_on": "2025-01-01",
            },
            {"document_id": "b", "text": "新的一条。", "label": "刑法", "published_on": "2019-01-01"},
        ]
        body = "\n".join(json.dumps(one) for one in dated) + "\nno json"
        receipt = await handed_over(client, body.encode())
        view = BatchView.model_validate_json((await client.get(f"/v1/batches/{receipt.batch_id}")).content)
        whole = DomainStatistics.model_validate_json((await client.get("/v1/domains/law/statistics")).content)
        none = DomainStatistics.model_validate_json((await client.get("/v1/domains/medicine/statistics")).content)
        missing = await client.get(f"/v1/batches/{UUID(int=0)}")
        held = await handed_over(client, lines(NOVEL))
        assert (await decided(client, held.batch_id, "reject")).status_code == 200
        rejected = BatchView.model_validate_json((await client.get(f"/v1/batches/{held.batch_id}")).content)
    assert (view.state, view.num_documents, view.num_refused_documents, view.source) == ("accepted", 2, 1, "http")
    assert view.statistics.labels == {"民法商法": 1, "刑法": 1}
    figures = view.figures
    assert (figures.topic_bits, figures.source_bits, figures.fresh_share, figures.known_share) == (1, 0, 0.5, 0.5)
    assert (whole.num_batches, whole.statistics.num_documents, whole.statistics.num_known) == (4, 32, 1)
    assert whole.figures.known_share == 1 / 32
    assert (none.num_batches, none.figures) == (0, StatisticsFigures())
    assert problem_of(missing).status == 404
    assert (rejected.state, rejected.decided_by) == ("rejected", "Lin")
    assert rejected.statistics.num_documents == len(NOVEL)
