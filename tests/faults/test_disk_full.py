"""A disk that is full, for real: a file system of some hundred kilobytes. Nothing half-written is seen, nothing is lost."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.corpus import BatchCleaned
from contracts.topics import BATCH_CLEANED, BATCH_RECEIVED
from services.cleaner.settings import CorpusRules
from services.ingest.settings import BatchLimits
from shared.child import run_child
from shared.clock import FakeClock
from shared.corpus import read_shard
from shared.errors import RunInterrupted
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink, until
from tests.unit.cleaner import conftest as cleaners
from tests.unit.ingest import conftest as ingests

DISK_BYTES = 512 << 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    observed = Telemetry("test", cleaners.TelemetrySettings(metric_interval_s=3600), KeptSink())
    yield observed
    observed.close()


def fill(folder: Path) -> Path:
    """Leave no space on a disk; return the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return ballast


def half_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def batch(number: int) -> bytes:
    """Return a batch that does not compress."""
    text = base64.b64encode(os.urandom(2400)).decode()
    lines = [{"document_id": f"{number}/{part}", "text": text[part * 800 : (part + 1) * 800]} for part in range(4)]
    return "\n".join(json.dumps(line) for line in lines).encode()


async def test_ingest_says_507_takes_no_batch_by_half_and_goes_on_when_there_is_space(
    small_disk: Path, telemetry: Telemetry
) -> None:
    async with ingests.running(small_disk, telemetry, FakeClock(ingests.START)) as ingest, ingest.client() as client:
        (small_disk / "reserve").write_bytes(bytes(64 << 10))

        async def post(body: bytes) -> tuple[int, dict[str, object]]:
            answer = await client.post(
                "/v1/domains/law/batches", content=body, headers={"content-type": "application/x-ndjson"}
            )
            return answer.status_code, answer.json()

        taken, refused = 0, []
        while not refused:
            body = batch(taken)
            status, answer = await post(body)
            taken += status == 201
            refused += [answer] if status != 201 else []
        assert taken > 10
        assert (refused[0]["status"], refused[0]["type"]) == (507, "urn:plumbline:problem:storage-full")
        assert "free space" in str(refused[0]["next"])
        assert len(ingest.events) == taken
        assert half_files(small_disk) == [], "no half file takes space"
        (small_disk / "reserve").unlink()
        assert (await post(body))[0] == 201
        events = ingest.events
        kept = list(ingest.store.ref_names("batches"))
        assert len(kept) == len(events) == taken + 1
        for event in events:
            assert len(list(read_shard(ingest.store, event.raw_digest))) == event.num_documents


async def test_an_upload_on_a_full_disk_says_507_keeps_what_came_and_goes_on_when_there_is_space(
    small_disk: Path, telemetry: Telemetry
) -> None:
    lines = [
        json.dumps({"document_id": str(number), "text": base64.b64encode(os.urandom(600)).decode()}).encode() + b"\n"
        for number in range(200)
    ]
    body = b"".join(lines)
    piece = {"content-type": "application/partial-upload"}
    ndjson = {"content-type": "application/x-ndjson"}
    running = ingests.running(small_disk, telemetry, FakeClock(ingests.START), batch=BatchLimits())
    async with running as ingest, ingest.client() as client:
        place = (await client.post("/v1/uploads?domain=law", headers=ndjson)).headers["location"]
        ballast = fill(small_disk)
        with ballast.open("r+b") as file:
            file.truncate(ballast.stat().st_size - (48 << 10))
        answer = await client.patch(place, content=body, headers={**piece, "upload-offset": "0"})
        assert answer.status_code == 507
        assert answer.headers["retry-after"]
        offset = int((await client.head(place)).headers["upload-offset"])
        assert 0 < offset < len(body), "what there was space for is kept"
        assert list(ingest.store.ref_names("")) == []
        ballast.unlink()
        headers = {**piece, "upload-offset": str(offset), "upload-complete": "?1"}
        # The body, its batches and their artifacts together are more than the disk has: complete, and not taken.
        reserve = small_disk / "reserve"
        reserve.write_bytes(bytes(280 << 10))
        answer = await client.patch(place, content=body[offset:], headers=headers)
        assert answer.status_code == 507
        assert ingest.events == []
        assert list(ingest.store.ref_names("batches")) == []
        assert half_files(small_disk) == []
        reserve.unlink()
        headers["upload-offset"] = (await client.head(place)).headers["upload-offset"]
        rest = body[int(headers["upload-offset"]) :]
        answer = await client.patch(place, content=rest, headers=headers)
        assert answer.status_code == 201, answer.text
        texts = [
            document.document_id for event in ingest.events for document in read_shard(ingest.store, event.raw_digest)
        ]
        assert texts == [str(number) for number in range(200)]


async def test_the_cleaner_waits_says_why_and_cleans_when_there_is_space(
    small_disk: Path, telemetry: Telemetry
) -> None:
    rules = CorpusRules(min_new_documents=4, quiet_s=5)
    async with cleaners.running(small_disk, telemetry, FakeClock(cleaners.START), rules) as cleaner:
        await cleaner.receive("first", "a text")
        event = cleaner.batch(
            "second", cleaners.documents(*(os.urandom(60).hex() for _ in range(200)), prefix="second")
        )
        ballast = fill(small_disk)
        sending = asyncio.create_task(cleaner.user.publish(BATCH_RECEIVED, event))
        await until(lambda: "full" in (cleaner.bus.unready_because or ""))
        assert not sending.done()
        ballast.unlink()
        await sending
        assert "full" not in (cleaner.bus.unready_because or "")
        cleaned = [one for one in cleaner.of(BATCH_CLEANED) if isinstance(one, BatchCleaned)]
        assert [(one.batch_id, one.num_new_documents) for one in cleaned][1:] == [(event.batch_id, 200)]
        await cleaner.receive("third", "another text")
        assert len(cleaner.of(BATCH_CLEANED)) == 3


async def test_a_training_that_finds_no_space_is_interrupted_and_not_given_up(small_disk: Path, tmp_path: Path) -> None:
    """Its child says so at once; the bus tries again, and the job's folder stays."""
    folder = tmp_path / "run"
    folder.mkdir()
    job_file = folder / "job.json"
    job_file.write_text(json.dumps({"url": f"file://{small_disk}/artifacts"}))
    ballast = fill(small_disk)

    async def progress(_: dict[str, object]) -> None:
        pass

    with pytest.raises(RunInterrupted, match="the storage is full"):
        await run_child("tests.faults.storing_child", job_file, on_progress=progress)
    assert job_file.exists()
    ballast.unlink()
    result = await run_child("tests.faults.storing_child", job_file, on_progress=progress)
    assert len(result["digest"]) == 64
