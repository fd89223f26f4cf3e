"""Resumable uploads: nothing is lost by a cut, nothing is taken by half, and a killed daemon goes on where it was."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import IO

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.api import UploadReceipt, UploadStatus
from services.ingest.core.parts import Tally
from services.ingest.core.unpacking import Compression
from services.ingest.reading import BodyKind, Format
from services.ingest.settings import UploadLimits
from services.ingest.uploads import Uploads
from shared.clock import FakeClock
from shared.corpus import read_shard
from shared.errors import RequestRefused
from shared.telemetry import Telemetry
from tests.unit.ingest.conftest import START, Ingest, running
from tests.unit.ingest.test_api import LINE, NDJSON, OTHER, problem_of

BEGIN = "/v1/uploads?domain=law"
BODY = f"{LINE}\n{OTHER}\n".encode()
PIECE = {"content-type": "application/partial-upload"}
JSONL = BodyKind(format=Format.JSONL, compression=Compression.NONE)


async def begun(client: httpx.AsyncClient, url: str = BEGIN) -> str:
    answer = await client.post(url, headers=NDJSON)
    assert (answer.status_code, answer.headers["upload-offset"], answer.headers["upload-complete"]) == (201, "0", "?0")
    assert answer.headers["upload-limit"].startswith("max-size=")
    return answer.headers["location"]


async def sent(
    client: httpx.AsyncClient, place: str, offset: int, data: bytes, *, last: bool = False
) -> httpx.Response:
    headers = {**PIECE, "upload-offset": str(offset), "upload-complete": "?1" if last else "?0"}
    return await client.patch(place, content=data, headers=headers)


async def offset_of(client: httpx.AsyncClient, place: str) -> int:
    answer = await client.head(place)
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    return int(answer.headers["upload-offset"])


async def status_of(client: httpx.AsyncClient, place: str) -> UploadStatus:
    return UploadStatus.model_validate_json((await client.get(place)).content)


async def test_pieces_make_a_batch_that_is_taken_at_the_last_one(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client)
        first = await sent(client, place, 0, BODY[:50])
        assert (first.status_code, first.headers["upload-offset"]) == (204, "50")
        assert (await status_of(client, place)).state == "receiving"
        assert ingest.events == []
        answer = await sent(client, place, 50, BODY[50:], last=True)
        receipt = UploadReceipt.model_validate_json(answer.content)
        assert (answer.status_code, answer.headers["upload-complete"]) == (201, "?1")
        assert receipt.num_documents == 2
        whole = await client.post("/v1/batches?domain=law", content=BODY, headers=NDJSON)
        assert UploadReceipt.model_validate_json(whole.content) == receipt, "the way it came makes no other batch of it"
        status = await status_of(client, place)
        assert (status.state, status.num_bytes, status.num_documents) == ("stored", len(BODY), 2)
        assert status.receipt == receipt
        again = await sent(client, place, len(BODY), b"", last=True)
        assert UploadReceipt.model_validate_json(again.content) == receipt, "its answer may have been lost"
        assert await offset_of(client, place) == len(BODY)


async def test_more_for_an_upload_that_is_stored_is_told_its_end_and_its_receipt(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client)
        receipt = UploadReceipt.model_validate_json((await sent(client, place, 0, BODY, last=True)).content)
        for offset, more in ((len(BODY), b"more\n"), (0, BODY), (len(BODY) + 1, b"")):
            problem = problem_of(await sent(client, place, offset, more))
            assert (problem.status, problem.type.rpartition(":")[2]) == (409, "completed-upload")
            assert f"it is stored: 2 documents, batch {receipt.batch_id}" in problem.detail
            assert f"GET {place}" in str(problem.next)
        nothing_more = await sent(client, place, len(BODY), b"")
        assert (nothing_more.status_code, nothing_more.headers["upload-complete"]) == (204, "?1")


async def test_more_for_an_upload_that_was_refused_is_told_why(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client)
        refused = problem_of(await sent(client, place, 0, b"{\n", last=True))
        problem = problem_of(await sent(client, place, 2, b"more\n"))
        assert (problem.status, problem.type.rpartition(":")[2]) == (409, "completed-upload")
        assert f"it was refused: {refused.detail}" in problem.detail
        assert str(refused.next) in str(problem.next)


async def test_a_piece_that_does_not_fit_is_refused_and_changes_nothing(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client)
        await sent(client, place, 0, BODY[:50])
        for offset in (0, 49, 51):
            answer = await sent(client, place, offset, BODY[offset:], last=True)
            assert problem_of(answer).status == 409
            assert "50 bytes are there" in problem_of(answer).detail
        assert await offset_of(client, place) == 50
        wrong = await client.patch(place, content=b"x", headers={"content-type": "text/plain", "upload-offset": "50"})
        assert problem_of(wrong).status == 415
        bare = await client.patch(place, content=b"x", headers=PIECE)
        assert problem_of(bare).status == 422
        gone = await client.head("/v1/uploads/00000000-0000-0000-0000-000000000000")
        assert gone.status_code == 404


async def test_what_came_before_a_cut_stays_and_the_upload_goes_on(ingest: Ingest):
    async def cut_off() -> AsyncIterator[bytes]:
        yield BODY[:30]
        yield BODY[30:60]
        raise RequestRefused(400, "upload-cut-off", "cut", "the connection was closed")

    async with ingest.client() as client:
        place = await begun(client)
        upload_id = next(iter(ingest.uploads._open))
        with pytest.raises(RequestRefused, match="closed"):
            await ingest.uploads.append(upload_id, 0, cut_off())
        assert await offset_of(client, place) == 60
        assert (await sent(client, place, 60, BODY[60:], last=True)).status_code == 201
    assert len(list(read_shard(ingest.store, ingest.events[0].raw_digest))) == 2


async def test_a_connection_that_is_dead_without_knowing_is_cut_off_by_who_goes_on(ingest: Ingest):
    came = asyncio.Event()

    async def dead() -> AsyncIterator[bytes]:
        yield BODY[:40]
        came.set()
        await asyncio.Event().wait()

    async with ingest.client() as client:
        place = await begun(client)
        upload_id = next(iter(ingest.uploads._open))
        hanging = asyncio.create_task(ingest.uploads.append(upload_id, 0, dead()))
        await came.wait()
        assert await offset_of(client, place) == 40
        with pytest.raises(RequestRefused, match="another request"):
            await hanging
        assert (await sent(client, place, 40, BODY[40:], last=True)).status_code == 201


async def test_a_killed_daemon_knows_what_it_had_and_takes_what_was_complete(tmp_path: Path, telemetry: Telemetry):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock) as ingest, ingest.client() as client:
        half, whole = await begun(client), await begun(client)
        await sent(client, half, 0, BODY[:50])
        await sent(client, whole, 0, BODY)
        upload_id = next(one for one in ingest.uploads._open if whole.endswith(str(one)))
        about = ingest.uploads.about(upload_id)
        ingest.uploads._write(upload_id, about.model_copy(update={"is_complete": True, "num_bytes": len(BODY)}))
    async with running(tmp_path, telemetry, clock) as ingest, ingest.client() as client:
        assert await offset_of(client, half) == 50
        assert (await status_of(client, whole)).state == "reading"
        await ingest.uploads.go_on()
        assert (await status_of(client, whole)).state == "stored"
        assert len(ingest.events) == 1
        assert (await sent(client, half, 50, BODY[50:], last=True)).status_code == 201


async def test_a_refused_upload_stays_refused_and_says_why(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client, f"{BEGIN}&strict=true")
        answer = await sent(client, place, 0, BODY + b"{\n", last=True)
        assert problem_of(answer).status == 422
        assert "line 3: not JSON" in problem_of(answer).detail
        status = await status_of(client, place)
        assert status.state == "refused"
        assert status.problem is not None
        assert "line 3" in status.problem.detail
        again = await sent(client, place, len(BODY) + 2, b"", last=True)
        assert problem_of(again).detail == problem_of(answer).detail
    assert ingest.events == []


async def test_what_could_not_be_announced_is_stored_when_it_is_asked_for_again(ingest: Ingest, monkeypatch, caplog):
    async def away(*_: object, **__: object) -> None:
        raise KafkaConnectionError("no broker")

    async with ingest.client() as client:
        place = await begun(client)
        with monkeypatch.context() as patched:
            patched.setattr(ingest.bus, "publish", away)
            answer = await sent(client, place, 0, BODY, last=True)
        assert problem_of(answer).status == 503
        assert answer.headers["retry-after"] == "1"
        assert (await sent(client, place, len(BODY), b"", last=True)).status_code == 201
    assert len(ingest.events) == 1


async def test_too_many_uploads_are_asked_to_come_back_and_given_up_ones_make_room(ingest: Ingest):
    async with ingest.client() as client:
        places = [await begun(client) for _ in range(3)]
        answer = await client.post(BEGIN, headers=NDJSON)
        assert problem_of(answer).status == 503
        assert answer.headers["retry-after"]
        assert (await client.delete(places[0])).status_code == 204
        assert (await client.head(places[0])).status_code == 404
        await begun(client)


async def test_abandoned_uploads_expire(ingest: Ingest):
    async with ingest.client() as client:
        place = await begun(client)
        await sent(client, place, 0, BODY[:50])
        body = next(ingest.state_dir.glob("uploads/*/body"))
        os.utime(body, (START.timestamp(), START.timestamp()))
        ingest.clock.set(START + timedelta(hours=23))
        await ingest.uploads.expire()
        assert await offset_of(client, place) == 50
        ingest.clock.set(START + timedelta(hours=25))
        await ingest.uploads.expire()
        assert (await client.head(place)).status_code == 404
        assert list(ingest.state_dir.glob("uploads/*")) == []


async def test_an_upload_has_a_largest_size(tmp_path: Path, telemetry: Telemetry):
    limits = UploadLimits(max_bytes=100)
    async with running(tmp_path, telemetry, FakeClock(START), upload=limits) as ingest, ingest.client() as client:
        place = await begun(client)
        await sent(client, place, 0, b"x" * 90)
        assert problem_of(await sent(client, place, 90, b"x" * 20)).status == 413
        assert await offset_of(client, place) == 90


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=8))
def test_whatever_cuts_there_are_the_body_is_what_was_sent(tmp_path_factory, cuts: list[tuple[int, bool]]):
    taken: list[bytes] = []

    async def take(body, kind: BodyKind, domain: str, tally: Tally) -> UploadReceipt:
        taken.append(body.read())
        ids = dict.fromkeys(("batch_id", "event_id"), "00000000-0000-0000-0000-000000000000")
        return UploadReceipt.model_validate({**ids, "domain": domain, "num_documents": 1, "num_bytes": 1})

    async def chunks(data: bytes, is_cut: bool) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 7):
            yield data[start : start + 7]
        if is_cut:
            raise RequestRefused(400, "upload-cut-off", "cut", "the connection was closed")

    async def play() -> None:
        folder = tmp_path_factory.mktemp("uploads")
        upload_id = Uploads(folder, UploadLimits(), take, FakeClock(START)).create("law", JSONL)
        for size, is_cut in cuts:
            # Each time another process.
            uploads = Uploads(folder, UploadLimits(), take, FakeClock(START))
            offset = await uploads.offset(upload_id)
            try:
                await uploads.append(upload_id, offset, chunks(BODY[offset : offset + size], is_cut))
            except RequestRefused:
                assert is_cut
        uploads = Uploads(folder, UploadLimits(), take, FakeClock(START))
        offset = await uploads.offset(upload_id)
        await uploads.append(upload_id, offset, chunks(BODY[offset:], is_cut=False))
        await uploads.complete(upload_id)
        await uploads.complete(upload_id)

    asyncio.run(play())
    assert taken == [BODY]
    assert json.loads(BODY.splitlines()[0])["document_id"] == "专利法/1"


async def test_a_body_that_brings_out_a_defect_ends_its_upload_and_no_other(tmp_path: Path, caplog):
    taken: list[str] = []

    async def take(body: IO[bytes], kind: BodyKind, domain: str, tally: Tally) -> UploadReceipt:
        if domain == "law":
            raise KeyError("text")
        taken.append(domain)
        ids = dict.fromkeys(("batch_id", "event_id"), "00000000-0000-0000-0000-000000000000")
        return UploadReceipt.model_validate({**ids, "domain": domain, "num_documents": 1, "num_bytes": 1})

    uploads = Uploads(tmp_path, UploadLimits(), take, FakeClock(START))
    bad, good = uploads.create("law", JSONL), uploads.create("medicine", JSONL)
    for upload_id in (bad, good):
        uploads._write(upload_id, uploads.about(upload_id).model_copy(update={"is_complete": True, "num_bytes": 0}))
    await uploads.go_on()
    assert [uploads.status(one).state for one in (bad, good)] == ["refused", "stored"]
    await Uploads(tmp_path, UploadLimits(), take, FakeClock(START)).go_on()
    assert (taken, caplog.messages) == (["medicine"], ["upload ended by an unexpected error"])
    with pytest.raises(RequestRefused) as refused:
        await uploads.complete(bad)
    assert refused.value.status == 500


async def test_a_body_that_cannot_be_read_now_is_read_later(tmp_path: Path, caplog):
    results: list[Exception | None] = [OSError(5, "Input/output error"), None]

    async def take(body: IO[bytes], kind: BodyKind, domain: str, tally: Tally) -> UploadReceipt:
        if (error := results.pop(0)) is not None:
            raise error
        ids = dict.fromkeys(("batch_id", "event_id"), "00000000-0000-0000-0000-000000000000")
        return UploadReceipt.model_validate({**ids, "domain": domain, "num_documents": 1, "num_bytes": 1})

    uploads = Uploads(tmp_path, UploadLimits(), take, FakeClock(START))
    upload_id = uploads.create("law", JSONL)
    uploads._write(upload_id, uploads.about(upload_id).model_copy(update={"is_complete": True, "num_bytes": 0}))
    await uploads.go_on()
    assert uploads.status(upload_id).state == "reading"
    assert "Input/output error" in caplog.records[-1].error
    await uploads.go_on()
    assert uploads.status(upload_id).state == "stored"
