import asyncio
import json
import resource
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from aiokafka.errors import KafkaConnectionError
from fastapi import FastAPI

from contracts.api import BatchReceipt, Problem
from services.ingest import api
from services.ingest.adapters import Intake
from services.ingest.settings import BatchLimits
from shared import problems
from shared.clock import SystemClock
from shared.corpus import read_shard
from tests.unit.ingest.conftest import Ingest

URL = "/v1/domains/law/batches"
NDJSON = {"content-type": "application/x-ndjson"}
LINE = json.dumps({"document_id": "专利法/1", "text": "制定本法。", "group": "专利法"}, ensure_ascii=False)
OTHER = json.dumps(
    {"document_id": "专利法/3", "text": "国务院专利行政部门负责管理全国的专利工作。"}, ensure_ascii=False
)


def problem_of(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    return problem


async def test_an_upload_is_kept_and_announced_once_however_often_it_is_sent(ingest: Ingest):
    async with ingest.client() as client:
        answers = [await client.post(URL, content=f"{LINE}\n{OTHER}\n".encode(), headers=NDJSON) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = (BatchReceipt.model_validate_json(answer.content) for answer in answers)
    assert first == second
    assert (first.domain, first.num_documents, first.num_bytes) == ("law", 2, 78)
    assert len(set(ingest.events)) == 1
    (event, _) = ingest.events
    assert event.event_id == first.event_id
    assert [document.document_id for document in read_shard(ingest.store, event.raw_digest)] == ["专利法/1", "专利法/3"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (f'{LINE}\n{{"document_id": "a"}}\n', 422, "line 2: field 'text': field required"),
        ("", 422, "the batch holds no document"),
        ('{"document_id": "a", "text": "%s"}' % ("x" * 1000), 413, "line 1: longer than 1,000 bytes"),
        (f"{LINE}\n" * 21, 413, "the batch holds more than 20 documents"),
        (f"{OTHER}\n" * 60, 413, "the batch holds more than 20 documents"),
    ],
)
async def test_a_bad_upload_is_refused_whole_with_what_to_do(ingest: Ingest, body, status, detail):
    async with ingest.client() as client:
        answer = await client.post(URL, content=body.encode(), headers=NDJSON)
    problem = problem_of(answer)
    assert (problem.status, problem.detail, problem.instance) == (status, detail, URL)
    assert problem.next
    assert ingest.events == []
    assert list(ingest.store.ref_names("batches")) == []


async def test_other_bodies_and_bad_domains_are_refused(ingest: Ingest):
    async with ingest.client() as client:
        form = await client.post(URL, content=LINE.encode(), headers={"content-type": "text/csv"})
        domain = await client.post("/v1/domains/Law!/batches", content=LINE.encode(), headers=NDJSON)
    assert problem_of(form).status == 415
    assert "curl" in problem_of(form).next
    assert problem_of(domain).status == 422
    assert "domain" in problem_of(domain).detail


async def test_without_a_broker_the_answer_says_what_to_do_and_the_batch_is_kept(ingest: Ingest, monkeypatch, caplog):
    async def away(*_: object, **__: object) -> None:
        raise KafkaConnectionError("no broker")

    with monkeypatch.context() as patched:
        patched.setattr(ingest.bus, "publish", away)
        async with ingest.client() as client:
            answer = await client.post(URL, content=LINE.encode(), headers=NDJSON)
    assert problem_of(answer).status == 503
    assert "send the same batch again" in problem_of(answer).next
    await ingest.intake.announce_again()
    assert len(ingest.events) == 1


class NoIntake(Intake):
    """For bodies that never get so far."""

    def __init__(self) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """Serve the endpoints as the daemon does, by uvicorn on a free port."""
    app = FastAPI()
    problems.install(app)
    app.include_router(api.router(intake=NoIntake(), limits=BatchLimits(), clock=SystemClock()))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


async def endless(num_bytes: int, piece: bytes) -> AsyncIterator[bytes]:
    for _ in range(num_bytes // len(piece)):
        yield piece
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("piece", "detail"),
    [
        (b"x" * 65536, "line 1: longer than 1,048,576 bytes"),
        ((LINE + "\n").encode() * 800, "the batch holds more than 5,000 documents"),
        (
            json.dumps({"document_id": "a", "text": "x" * 100_000}).encode() + b"\n",
            "the batch is longer than 16,777,216 bytes",
        ),
    ],
)
async def test_a_hundred_megabytes_are_refused_while_reading_and_the_client_reads_why(piece, detail):
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served() as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.post(URL, content=endless(100 << 20, piece), headers=NDJSON)
    assert problem_of(answer).status == 413
    assert problem_of(answer).detail == detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 80 * 1024
