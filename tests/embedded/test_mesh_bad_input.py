"""What users and systems get wrong is refused with what, where and what to do; nothing is lost, and the mesh stays ready."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from contracts.api import Problem
from contracts.corpus import BatchCleaned, BatchReceived
from contracts.topics import ALL_DAEMONS, BATCH_CLEANED, BATCH_RECEIVED, DOCUMENTS_SUBMITTED
from shared.cli.exits import Exit
from shared.embedded.record import MeshPhase
from tests.embedded.live import LiveMesh, Message, Tail, eventually

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(180)]

DOMAIN = "medicine"
BATCHES = f"/v1/domains/{DOMAIN}/batches"
NDJSON = {"content-type": "application/x-ndjson"}
MB = 1_000_000
LONG_LINE_BYTES = 100 * MB
ALLOWED_GROWTH_BYTES = 50 * MB


@pytest.fixture(scope="module")
def tail(live: LiveMesh) -> Iterator[Tail]:
    with live.tail().reading() as tail:
        yield tail


@pytest.fixture(autouse=True)
def stays_ready(live: LiveMesh) -> Iterator[None]:
    before = [process.restarts for process in live.record.processes]
    yield
    assert live.record.phase is MeshPhase.READY
    assert {name: live.get(name, "/readyz").status_code for name in ALL_DAEMONS} == dict.fromkeys(ALL_DAEMONS, 200)
    assert [process.restarts for process in live.record.processes] == before


def document(number: int, text: str | None) -> bytes:
    fields = {"document_id": f"d{number}"} if text is None else {"document_id": f"d{number}", "text": text}
    return json.dumps(fields, ensure_ascii=False).encode()


def submission(*documents: bytes) -> bytes:
    head = {"event_id": str(uuid4()), "occurred_at": datetime.now(UTC).isoformat(), "domain": DOMAIN}
    return json.dumps({**head, "documents": [json.loads(one) for one in documents]}).encode()


def long_line(rss: list[int], ingest: psutil.Process) -> Iterator[bytes]:
    """Yield a document whose text is 100 MB long, and note how large ingest is at each megabyte."""
    yield b'{"document_id": "long", "text": "'
    for _ in range(LONG_LINE_BYTES // MB):
        yield b"x" * MB
        rss.append(ingest.memory_info().rss)
    yield b'"}\n'


def reason(letter: Message) -> str:
    return letter.headers["plumbline_error"]


def kept(live: LiveMesh) -> list[Path]:
    return sorted((live.layout.artifacts / "refs" / "batches").rglob("*")) + sorted(
        (live.layout.artifacts / "sha256").rglob("*")
    )


def test_a_missing_field_over_http_is_named_with_its_line_and_with_strict_nothing_is_stored(live: LiveMesh) -> None:
    before = kept(live)
    content = document(1, "阿司匹林") + b"\n" + document(2, None)
    response = live.post("ingest", f"{BATCHES}?strict=true", content=content, headers=NDJSON)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert "line 2" in problem.detail
    assert "'text'" in problem.detail
    assert problem.next
    assert kept(live) == before


def test_a_missing_field_over_kafka_is_a_dead_letter_and_the_next_message_is_handled(
    live: LiveMesh, tail: Tail
) -> None:
    bad = submission(document(1, "阿司匹林肠溶片"), document(2, None))
    good = submission(document(3, "布洛芬缓释胶囊用于缓解轻至中度疼痛。"))
    live.produce(DOCUMENTS_SUBMITTED, bad, good, key=DOMAIN)

    letter = eventually(lambda: tail.dead_letters(DOCUMENTS_SUBMITTED, "InvalidEvent"))[0]
    assert letter.body == bad
    assert "documents.1.text" in reason(letter)
    assert "contracts/schemas/documents-submitted-v1.schema.json" in letter.headers["plumbline_next_step"]

    cause = json.loads(good)["event_id"]
    received = eventually(
        lambda: next(
            (one for one in tail.events(BATCH_RECEIVED, BatchReceived) if str(one.causation_id) == cause), None
        )
    )
    cleaned = eventually(
        lambda: [one for one in tail.events(BATCH_CLEANED, BatchCleaned) if one.batch_id == received.batch_id]
    )
    assert cleaned[0].num_new_documents == 1


def test_a_100_mb_line_over_http_is_refused_and_not_held_in_memory(live: LiveMesh) -> None:
    ingest = live.running("ingest")
    before, rss = ingest.memory_info().rss, [0]
    response = live.post("ingest", BATCHES, content=long_line(rss, ingest), headers=NDJSON)
    assert response.status_code == 422
    problem = Problem.model_validate_json(response.content)
    assert "line 1" in problem.detail
    assert problem.next
    assert len(rss) == 1 + LONG_LINE_BYTES // MB, "the whole line was taken from the client, who could then read why"
    assert max(*rss, ingest.memory_info().rss) - before < ALLOWED_GROWTH_BYTES


def test_a_100_mb_line_in_a_file_is_refused_with_its_place(live: LiveMesh, tmp_path: Path) -> None:
    path, before = tmp_path / "long.jsonl", kept(live)
    with path.open("wb") as file:
        file.write(document(1, "第一行") + b"\n" + b'{"document_id": "long", "text": "')
        file.writelines([b"x" * MB] * (LONG_LINE_BYTES // MB))
        file.write(b'"}\n')
    result = live.plumb("ingest", str(path), "--strict", "--domain", DOMAIN, columns=400)
    assert result.returncode == Exit.BAD_INPUT
    assert f"{path}:2" in result.stderr
    assert "nothing was sent" in result.stderr
    assert "Traceback" not in result.stderr
    assert kept(live) == before


def test_an_unknown_event_version_is_a_dead_letter(live: LiveMesh, tail: Tail) -> None:
    body = batch_received(digest="0" * 64)
    live.produce(BATCH_RECEIVED, body, key=DOMAIN, ce_type="plumbline.batch-received.v9")
    letters = eventually(lambda: tail.dead_letters(BATCH_RECEIVED, "UnknownEventVersion"))
    assert letters[0].body == body
    assert "plumbline.batch-received.v9" in reason(letters[0])
    assert letters[0].headers["plumbline_next_step"]


def test_an_event_whose_artifact_is_gone_is_a_dead_letter_that_names_it(live: LiveMesh, tail: Tail) -> None:
    digest = uuid4().hex * 2
    live.produce(BATCH_RECEIVED, batch_received(digest=digest), key=DOMAIN)
    letter = eventually(lambda: tail.dead_letters(BATCH_RECEIVED, "ArtifactMissing"))[0]
    assert digest in reason(letter)
    assert letter.headers["plumbline_service"] == "cleaner"


def batch_received(*, digest: str) -> bytes:
    event = BatchReceived(
        event_id=uuid4(),
        causation_id=None,
        occurred_at=datetime.now(UTC),
        domain=DOMAIN,
        batch_id=uuid4(),
        raw_digest=digest,
        num_documents=1,
        num_bytes=10,
        source="kafka",
    )
    return event.model_dump_json().encode()
