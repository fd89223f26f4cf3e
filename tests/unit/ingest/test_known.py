"""How many of a batch's texts the domain was given before, across restarts, lost files and failed uploads."""

import json
from io import BytesIO
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from contracts.corpus import BatchReceived
from services.ingest.adapters import Batches, KeptBatch
from services.ingest.core import known as core
from services.ingest.core.known import TextSet, hashes_of_bytes, text_hashes
from services.ingest.core.pairs import cells_of_bytes, known_pairs
from services.ingest.known import MOST_DOMAINS, Content, KnownContent, Taking
from shared.artifacts import ArtifactStore
from shared.clock import FakeClock
from shared.errors import StorageFull
from shared.telemetry import Telemetry
from tests.unit.ingest.conftest import AS_OPERATOR, START, Ingest, running
from tests.unit.ingest.test_api import NDJSON
from tests.unit.ingest.test_decisions import ARTICLES, NOVEL, RULES, handed_over, lines, usual

EXAMPLES = Path(__file__).parents[3] / "contracts" / "examples"
NO_CELLS = cells_of_bytes(b"")
TEXTS = st.lists(st.text(max_size=3), max_size=30)


@given(st.lists(TEXTS, max_size=6), TEXTS)
def test_a_set_of_hashes_counts_like_a_set_of_texts(added: list[list[str]], asked: list[str]) -> None:
    texts = TextSet()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "MOST_RECENT", 10)
        for more in added:
            texts.add(text_hashes(more))
    have = {text for more in added for text in more}
    assert len(texts) == len(have)
    assert texts.count(text_hashes(asked)) == sum(text in have for text in asked)


def test_hashes_are_pinned_since_they_lie_in_files() -> None:
    # (what `printf 第一条 | b2sum -l 64` prints, read from the right)
    assert text_hashes(["第一条", ""]).tolist() == [14633946938759180730, 13020603013274838756]
    assert hashes_of_bytes(text_hashes(["第一条"]).tobytes() + b"cut").tolist() == [14633946938759180730]


def num_known(ingest: Ingest, batch_id: UUID) -> int | None:
    found = Batches(ingest.store).find("law", batch_id)
    assert found is not None
    return found.event.statistics.num_known


async def sent(ingest: Ingest, texts: list[str], prefix: str) -> int | None:
    async with ingest.client() as client:
        return num_known(ingest, (await handed_over(client, lines(texts, prefix))).batch_id)


async def test_texts_that_came_before_are_counted_also_within_an_upload_and_after_restarts(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        assert await sent(ingest, ARTICLES[:10], "a") == 0
        assert await sent(ingest, [*ARTICLES[8:10], *ARTICLES[10:12]], "b") == 2
        async with ingest.client() as client:
            long = await handed_over(client, lines([*ARTICLES[12:30], "其他", "另外", *ARTICLES[12:15]], "c"))
        assert [num_known(ingest, batch.batch_id) for batch in long.batches] == [0, 3]
        [event] = [event for event in ingest.events if event.batch_id == long.batches[1].batch_id]
        assert event.statistics.num_known == 3, "it is announced with the batch"
    file = tmp_path / "state/known/law.texts"
    file.write_bytes(file.read_bytes() + b"cut")
    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        assert await sent(ingest, ARTICLES[:20], "d") == 20
    file.unlink()
    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        assert await sent(ingest, ARTICLES[:20], "e") == 20
        assert await sent(ingest, ["新的", *ARTICLES[20:22]], "f") == 2


async def test_what_was_not_taken_or_is_held_is_not_known(tmp_path: Path, telemetry: Telemetry, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise StorageFull("no space", next_step="free some")

    async with running(tmp_path, telemetry, FakeClock(START), hold=RULES) as ingest, ingest.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr(Batches, "mark", full)
            body = json.dumps({"document_id": "x", "text": ARTICLES[0]}).encode()
            answer = await client.post("/v1/batches?domain=law", content=body, headers=NDJSON)
            assert answer.status_code == 507
        await usual(client)
        assert num_known(ingest, ingest.events[0].batch_id) == 0
        held = await handed_over(client, lines(NOVEL))
        assert held.state == "held"
        again = await handed_over(client, lines(NOVEL, "again"))
        assert (again.state, num_known(ingest, again.batch_id)) == ("held", 0)
        accepted = await client.post(f"/v1/batches/{held.batch_id}/accept", json={}, headers=AS_OPERATOR)
        assert accepted.status_code == 200
        third = await handed_over(client, lines(NOVEL, "third"))
        assert num_known(ingest, third.batch_id) == len(NOVEL)


def test_a_damaged_batch_or_a_lost_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = (
        (np.asarray([number << 24], dtype=np.uint64), np.asarray([number], dtype=np.uint32)) for number in (1, 2)
    )
    store = ArtifactStore((tmp_path / "artifacts").as_uri())
    event = BatchReceived.model_validate_json((EXAMPLES / "batch-received-v1/full.json").read_bytes())
    Batches(store).keep(KeptBatch(event=event, content_digest="0" * 64, traceparent=None))
    known = KnownContent(tmp_path / "known", Batches(store))
    with known.taking(event.domain) as texts:
        texts.add(*one)
    assert "not counted as known" in caplog.text
    (tmp_path / f"known/{event.domain}.texts").unlink()
    with known.taking(event.domain) as texts:
        assert texts.count(one[0]) == 0, "made anew from the batches, which do not have it"
        texts.add(*two)
    known.include(event.domain, event.batch_id, event.raw_digest)
    with known.taking(event.domain) as texts:
        assert (texts.count(one[0]), texts.count(two[0])) == (0, 1)


def test_no_space_is_noticed_before_anything_is_taken() -> None:
    class Full(BytesIO):
        def write(self, data: Buffer, /) -> int:
            return super().write(bytes(data)[:3])

    with pytest.raises(OSError, match="No space left"):
        Taking(Content(TextSet(), known_pairs(NO_CELLS)), Full(), Full()).add(text_hashes(["第一条"]), NO_CELLS)


async def test_relevance_is_measured_against_what_came_before_and_no_other_domain(tmp_path: Path, telemetry: Telemetry):
    async def relevance(ingest: Ingest, texts: list[str], domain: str = "law") -> float | None:
        async with ingest.client() as client:
            answer = await client.post(f"/v1/batches?domain={domain}", content=lines(texts, domain), headers=NDJSON)
        batch = Batches(ingest.store).find(domain, UUID(answer.json()["batch_id"]))
        assert batch is not None
        return batch.event.statistics.relevance

    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        assert await relevance(ingest, ["甲乙丙", "丁"]) is None
        assert await relevance(ingest, ["甲乙", "丙丁"]) == 0.5
        assert await relevance(ingest, ["丙丁戊"], "medicine") is None
    (tmp_path / "state/known/law.pairs").unlink()
    async with running(tmp_path, telemetry, FakeClock(START)) as ingest:
        assert await relevance(ingest, ["丙丁甲乙丙"]) == 0.75, "made anew from the batches"


def test_few_domains_are_held_in_memory_and_all_are_known(tmp_path: Path) -> None:
    known = KnownContent(tmp_path, Batches(ArtifactStore((tmp_path / "artifacts").as_uri())))
    for number in range(2 * MOST_DOMAINS):
        with known.taking(f"domain-{number}") as content:
            content.add(text_hashes([str(number)]), NO_CELLS)
    for number in range(2 * MOST_DOMAINS):
        with known.taking(f"domain-{number}") as content:
            assert content.count(text_hashes([str(number), "x"])) == 1
    assert len(known._held) == MOST_DOMAINS
