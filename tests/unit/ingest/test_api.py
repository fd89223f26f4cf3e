import asyncio
import gzip
import io
import json
import re
import resource
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
import zstandard
from aiokafka.errors import KafkaConnectionError
from fastapi import FastAPI

from contracts.api import BatchReceipt, Problem, RefusedRecord, UploadReceipt
from services.ingest.parquet_rows import parquet_entries
from services.ingest.settings import BatchLimits, UploadLimits
from shared.clock import FakeClock
from shared.corpus import read_shard
from shared.telemetry import Telemetry
from tests.unit.ingest.conftest import START, Ingest, running

URL = "/v1/domains/law/batches"
ALIAS = "/v1/batches?domain=law"
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


def receipt_of(answer: httpx.Response) -> UploadReceipt:
    assert answer.status_code == 201, answer.text
    return UploadReceipt.model_validate_json(answer.content)


def ids_kept(ingest: Ingest, number: int = 0) -> list[str]:
    return [document.document_id for document in read_shard(ingest.store, ingest.events[number].raw_digest)]


@pytest.mark.parametrize("url", [URL, ALIAS])
async def test_an_upload_is_kept_and_announced_once_however_often_it_is_sent(ingest: Ingest, url: str):
    async with ingest.client() as client:
        answers = [await client.post(url, content=f"{LINE}\n{OTHER}\n".encode(), headers=NDJSON) for _ in range(2)]
    first, second = map(receipt_of, answers)
    assert first == second
    assert BatchReceipt.model_validate_json(answers[0].content).batch_id == first.batches[0].batch_id
    assert (first.domain, first.num_documents, first.num_bytes, first.state) == ("law", 2, 78, "accepted")
    assert len({event.event_id for event in ingest.events}) == 1
    assert ingest.events[0].event_id == first.event_id
    assert ids_kept(ingest) == ["专利法/1", "专利法/3"]


async def test_a_long_upload_becomes_several_batches_that_are_announced_in_order(ingest: Ingest):
    lines = [json.dumps({"document_id": str(number), "text": f"第{number}条"}) for number in range(45)]
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content="\n".join(lines).encode(), headers=NDJSON))
    assert [batch.num_documents for batch in receipt.batches] == [20, 20, 5]
    assert receipt.num_documents == 45
    assert [event.batch_id for event in ingest.events] == [batch.batch_id for batch in receipt.batches]
    assert [one for number in range(3) for one in ids_kept(ingest, number)] == [str(number) for number in range(45)]


async def test_fields_that_no_document_has_are_passed_over_and_told(ingest: Ingest):
    lines = [json.dumps({"document_id": str(number), "text": f"第{number}条", "lable": "刑法"}) for number in range(3)]
    rows = pa.table({"document_id": ["a", "b"], "text": ["甲方", "乙方"], "正文": ["", ""], "label": ["刑法", "民法"]})
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content="\n".join([*lines, "[1]"]).encode(), headers=NDJSON))
        other = receipt_of(await client.post(URL, content=sink.getvalue(), headers=PARQUET))
        none = receipt_of(await client.post(URL, content=f"{LINE}\n".encode(), headers=NDJSON))
    assert (receipt.num_documents, receipt.ignored_fields) == (3, ("lable",))
    assert (other.num_documents, other.ignored_fields) == (2, ("正文",))
    assert none.ignored_fields == ()


async def test_bad_lines_are_left_out_and_can_be_looked_at(ingest: Ingest):
    body = f'{LINE}\n{{"document_id": "a"}}\n{OTHER}\nno json\n'.encode()
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content=body, headers=NDJSON))
        refused = await client.get(f"/v1/batches/{receipt.batch_id}/refused")
        none = await client.get(f"/v1/batches/{'0' * 8}-0000-0000-0000-{'0' * 12}/refused")
    assert (receipt.num_documents, receipt.num_refused_documents) == (2, 2)
    assert ingest.events[0].num_refused_documents == 2
    records = [RefusedRecord.model_validate_json(line) for line in refused.text.splitlines()]
    assert [(one.line, one.raw) for one in records] == [(2, '{"document_id": "a"}'), (4, "no json")]
    assert records[0].reason == "field 'text': field required"
    assert problem_of(none).status == 404


async def test_what_is_refused_behind_the_last_batch_is_told_beside_it(ingest: Ingest):
    lines = [json.dumps({"document_id": str(number), "text": f"第{number}条"}) for number in range(20)]
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content="\n".join([*lines, "{", "["]).encode(), headers=NDJSON))
        refused = await client.get(f"/v1/batches/{receipt.batch_id}/refused")
    assert (len(receipt.batches), receipt.num_refused_documents) == (1, 2)
    assert [json.loads(line)["line"] for line in refused.text.splitlines()] == [21, 22]


@pytest.mark.parametrize(
    ("url", "body", "status", "detail"),
    [
        (f"{URL}?strict=true", f'{LINE}\n{{"document_id": "a"}}\n', 422, "line 2: field 'text': field required"),
        (f"{URL}?strict=true", '{"text": "%s"}' % ("x" * 1000), 422, "line 1: longer than 1,000 bytes"),
        (URL, "", 422, "the batch holds no document"),
        (URL, "{\n[\n", 422, "line 1: not JSON"),
        (URL, f"{LINE}\n" + "{\n" * 2, 422, "2 of the 3 records read cannot be taken"),
    ],
)
async def test_a_bad_upload_is_refused_whole_with_what_to_do(ingest: Ingest, url, body, status, detail):
    async with ingest.client() as client:
        answer = await client.post(url, content=body.encode(), headers=NDJSON)
    problem = problem_of(answer)
    assert detail in problem.detail
    assert (problem.status, problem.instance) == (status, URL)
    assert problem.next
    assert ingest.events == []
    assert list(ingest.store.ref_names("batches")) == []


async def test_the_records_of_an_upload_that_is_mostly_bad_are_kept_to_be_looked_at(ingest: Ingest):
    lines = [json.dumps({"document_id": str(number), "text": f"第{number}条"}) for number in range(20)]
    body = "\n".join(["{", *lines, *["["] * 30]).encode()
    async with ingest.client() as client:
        answers = [await client.post(URL, content=body, headers=NDJSON) for _ in range(2)]
        first, again = [problem_of(answer).next or "" for answer in answers]
        found = re.search(r"`plumb batches refused ([0-9a-f-]{36})`", first)
        assert found
        refused = await client.get(f"/v1/batches/{found[1]}/refused")
    assert first == again
    assert ingest.events == []
    assert [json.loads(line)["line"] for line in refused.text.splitlines()] == [1, *range(22, 52)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
async def test_packed_bodies_are_unpacked(ingest: Ingest, pack):
    name = "gzip" if pack is gzip.compress else "zstd"
    body = pack(f"{LINE}\n".encode()) + pack(f"{OTHER}\n".encode())
    async with ingest.client() as client:
        coded = receipt_of(await client.post(URL, content=body, headers={**NDJSON, "content-encoding": name}))
        typed = receipt_of(await client.post(URL, content=body, headers={"content-type": f"application/{name}"}))
        bomb = pack(b"x" * (200 << 20))
        refused = await client.post(URL, content=bomb, headers={**NDJSON, "content-encoding": name})
    assert coded == typed
    assert coded.num_documents == 2
    assert problem_of(refused).status == 413
    assert "unpacks to more than 100 times" in problem_of(refused).detail


async def test_plain_text_is_a_document_a_line_or_one_with_an_id(ingest: Ingest):
    headers = {"content-type": "text/plain; charset=utf-8"}
    async with ingest.client() as client:
        lines = receipt_of(await client.post(URL, content="第一条\n\n第二条\n".encode(), headers=headers))
        whole = receipt_of(
            await client.post(f"{URL}?document_id=专利法", content="第一条\n第二条\n".encode(), headers=headers)
        )
        other = await client.post(URL, content=b"x", headers={"content-type": "text/plain; charset=gb18030"})
    assert (lines.num_documents, whole.num_documents) == (2, 1)
    [document] = read_shard(ingest.store, ingest.events[1].raw_digest)
    assert (document.document_id, document.text) == ("专利法", "第一条\n第二条\n")
    assert "--encoding gb18030" in str(problem_of(other).next)


def parquet(columns: dict[str, object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


PARQUET = {"content-type": "application/vnd.apache.parquet"}


async def test_parquet_is_read_row_by_row(ingest: Ingest):
    columns = {
        "document_id": [1, 2, 3],
        "text": ["第一条", None, "第三条"],
        "published_on": pa.array([0, None, 86_400_000], pa.timestamp("ms")),
        "labels": [["a"], None, []],
        "vector": [[1.0], [2.0], [3.0]],
    }
    body = parquet(columns)
    headers = {"content-type": "application/vnd.apache.parquet"}
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content=body, headers=headers))
        packed = {**headers, "content-encoding": "zstd"}
        again = receipt_of(await client.post(URL, content=zstandard.compress(body), headers=packed))
        refused = await client.get(f"/v1/batches/{receipt.batch_id}/refused")
        broken = await client.post(URL, content=body[:-9], headers=headers)
        other = await client.post(URL, content=parquet({"正文": ["x"]}), headers=headers)
    assert receipt == again
    documents = list(read_shard(ingest.store, ingest.events[0].raw_digest))
    assert [(one.document_id, one.text, str(one.published_on), one.labels) for one in documents] == [
        ("1", "第一条", "1970-01-01", ("a",)),
        ("3", "第三条", "1970-01-02", ()),
    ]
    assert [json.loads(line)["line"] for line in refused.text.splitlines()] == [2]
    assert "cannot be read as Parquet" in problem_of(broken).detail
    assert "no column 'text'; the columns are: 正文" in problem_of(other).detail


async def test_parquet_with_two_columns_of_one_name_is_refused(ingest: Ingest):
    sink = io.BytesIO()
    pq.write_table(pa.table([["第一条"], ["第二条"]], names=["text", "text"]), sink)
    async with ingest.client() as client:
        answer = await client.post(URL, content=sink.getvalue(), headers=PARQUET)
    assert (answer.status_code, problem_of(answer).detail) == (422, "several columns are called text")


async def test_what_no_field_can_hold_refuses_its_row_of_a_parquet_file(ingest: Ingest):
    columns = {
        "text": ["第一条", "第二条", "长" * 300_000, "第四条", "第五条", "第六条"],
        "published_on": pa.array([0, 10**8, 0, -(10**7), 0, 0], pa.int32()).cast(pa.date32()),
    }
    async with ingest.client() as client:
        receipt = receipt_of(await client.post(URL, content=parquet(columns), headers=PARQUET))
        refused = await client.get(f"/v1/batches/{receipt.batch_id}/refused")
    assert (receipt.num_documents, receipt.num_refused_documents) == (3, 3)
    reasons = {json.loads(line)["line"]: json.loads(line)["reason"] for line in refused.text.splitlines()}
    assert reasons[3] == "text: 900,000 bytes, and no field has more than 800,000"
    assert reasons[2].startswith("published_on: ")
    assert reasons.keys() == {2, 3, 4}


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"text": [f"{number}" + "长" * 100_000 for number in range(200)]}),
        pa.table({"text": pa.array(["长" * 1_000_000] * 600).dictionary_encode()}),
    ],
    ids=["long texts", "one long text in every row"],
)
def test_a_parquet_file_is_unpacked_a_few_values_at_a_time(table: pa.Table):
    body = io.BytesIO()
    # Pages are unpacked whole: these are small ones.
    pq.write_table(table, body, compression="zstd", store_schema=False, write_batch_size=1)
    body.seek(0)
    before, most = pa.total_allocated_bytes(), 0
    for entry in parquet_entries(body):
        most = max(most, pa.total_allocated_bytes() - before)
        assert (entry.record is None) == (table.num_rows == 600)
    assert most < 100e6


async def test_records_that_were_left_out_are_kept_beside_a_batch_that_is_known(ingest: Ingest):
    good = f"{LINE}\n{OTHER}\n"
    async with ingest.client() as client:
        first = receipt_of(await client.post(URL, content=good.encode(), headers=NDJSON))
        bad = (good + "{oops\n" + '{"text": ""}\n').encode()
        receipts = [receipt_of(await client.post(URL, content=bad, headers=NDJSON)) for _ in range(2)]
        refused = await client.get(f"/v1/batches/{first.batch_id}/refused")
        again = receipt_of(await client.post(URL, content=good.encode(), headers=NDJSON))
    assert [one.num_refused_documents for one in (first, *receipts, again)] == [0, 2, 2, 0]
    assert {one.batch_id for one in receipts} == {first.batch_id}
    assert [json.loads(line)["line"] for line in refused.text.splitlines()] == [3, 4]


async def test_other_bodies_and_bad_domains_are_refused(ingest: Ingest):
    async with ingest.client() as client:
        form = await client.post(URL, content=LINE.encode(), headers={"content-type": "text/csv"})
        coding = await client.post(URL, content=LINE.encode(), headers={**NDJSON, "content-encoding": "br"})
        domain = await client.post("/v1/domains/Law!/batches", content=LINE.encode(), headers=NDJSON)
    assert [problem_of(one).status for one in (form, coding)] == [415, 415]
    assert "curl" in str(problem_of(form).next)
    assert problem_of(domain).status == 422
    assert "domain" in problem_of(domain).detail


async def test_without_a_broker_the_answer_says_what_to_do_and_the_batch_is_kept(ingest: Ingest, monkeypatch, caplog):
    async def away(*_: object, **__: object) -> None:
        raise KafkaConnectionError("no broker")

    with monkeypatch.context() as patched:
        patched.setattr(ingest.bus, "publish", away)
        async with ingest.client() as client:
            answer = await client.post(URL, content=LINE.encode(), headers=NDJSON)
        await ingest.intake.announce_late()
    assert "batches wait for the broker" in caplog.messages
    assert problem_of(answer).status == 503
    assert answer.headers["retry-after"] == "1"
    assert "send the same batch again" in str(problem_of(answer).next)
    assert ingest.events == []
    for _ in range(2):
        await ingest.intake.announce_late()
        assert len(ingest.events) == 1, "once, without anybody sending it again"
    await ingest.intake.announce_again()
    assert len({event.event_id for event in ingest.events}) == 1, "and at the next start, as long as it is not cleaned"


async def test_one_upload_too_many_is_asked_to_come_back(tmp_path: Path, telemetry: Telemetry):
    is_read, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield f"{LINE}\n".encode()
        is_read.set()
        await goes_on.wait()

    limits = UploadLimits(max_open=1)
    async with running(tmp_path, telemetry, FakeClock(START), upload=limits) as ingest, ingest.client() as client:
        first = asyncio.create_task(client.post(URL, content=slow(), headers=NDJSON))
        await is_read.wait()
        answer = await client.post(URL, content=OTHER.encode(), headers=NDJSON)
        goes_on.set()
        assert (await first).status_code == 201
        assert (await client.post(URL, content=OTHER.encode(), headers=NDJSON)).status_code == 201
    assert problem_of(answer).status == 503
    assert answer.headers["retry-after"]


async def test_what_says_that_it_is_too_large_is_refused_before_it_is_read(tmp_path: Path, telemetry: Telemetry):
    limits = UploadLimits(max_bytes=1_000)
    async with running(tmp_path, telemetry, FakeClock(START), upload=limits) as ingest, ingest.client() as client:
        told = await client.post(URL, content=b"x" * 1_001, headers=NDJSON)
        found = await client.post(URL, content=endless(2_000, b"x" * 100), headers=NDJSON)
    assert [problem_of(one).status for one in (told, found)] == [413, 413]


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve the endpoints as the daemon does, by uvicorn on a free port."""
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
    ("piece", "status", "detail"),
    [
        (b"x" * 65536, 422, "line 1: longer than 1,048,576 bytes"),
        (b"{\n" * 5_000, 422, "line 1: not JSON"),
        (json.dumps({"document_id": "a"}).encode() + b"\n", 422, "line 1: field 'text'"),
    ],
)
async def test_fifty_megabytes_of_nonsense_are_refused_in_little_memory_and_the_client_reads_why(
    tmp_path: Path, telemetry: Telemetry, piece: bytes, status: int, detail: str
):
    async with running(tmp_path, telemetry, FakeClock(START), batch=BatchLimits()) as ingest:
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with served(ingest.app) as url:
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                content = endless(50 << 20, piece * (65536 // len(piece)))
                answer = await client.post(URL, content=content, headers=NDJSON)
    assert problem_of(answer).status == status
    assert problem_of(answer).detail.startswith(detail)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 80 * 1024
