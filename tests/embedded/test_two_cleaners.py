"""Two cleaner processes on one domain make the corpus that one makes."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from contracts.corpus import BatchReceived
from shared.artifacts import ArtifactStore
from shared.corpus import write_shard
from shared.demo.statutes import load_statutes
from shared.embedded.layout import layout_of
from tests.embedded import cleaning_mesh

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(400)]

DOMAIN = "law"
NUM_BATCHES, BATCH = 16, 100
NUM_REPEATED = 20
"""Documents that a batch has in common with the one before."""


def announcements(store: ArtifactStore) -> list[BatchReceived]:
    statutes = load_statutes().first
    parts = [statutes[at * (BATCH - NUM_REPEATED) :][:BATCH] for at in range(NUM_BATCHES)]
    return [
        BatchReceived(
            event_id=uuid5(UUID(int=1), f"event {number}"), causation_id=None, occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            domain=DOMAIN, batch_id=uuid5(UUID(int=1), f"batch {number}"), raw_digest=write_shard(store, part),
            num_documents=len(part), num_bytes=0, source="http",
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip


def test_two_cleaners_make_the_corpus_that_one_makes(tmp_path: Path) -> None:
    events = announcements(ArtifactStore((tmp_path / "raw").as_uri()))
    made = {}
    for number in (1, 2):
        layout = layout_of(tmp_path / str(number))
        shutil.copytree(tmp_path / "raw", layout.artifacts)
        with cleaning_mesh.running(layout, cleaners=number) as record:
            cleaners = [process for process in record.processes if process.name.startswith("cleaner")]
            asyncio.run(cleaning_mesh.seconds_for(record, events))
        made[number] = cleaning_mesh.corpus_of(layout, DOMAIN)
        assert len(cleaners) == number
        assert len(made[number].batches) == NUM_BATCHES
        assert not any("Traceback" in process.log.read_text(encoding="utf-8") for process in cleaners)
    assert (made[1].content_digest, made[1].shards) == (made[2].content_digest, made[2].shards)
    assert made[1].statistics == made[2].statistics
