"""The same job by datasketch, gaoya and rensa: text after text, say whether a near-duplicate of it came before, and keep it.

Each runs in a process of its own, so that what its state takes can be seen from outside. They get the skeletons of the texts for
nothing; cutting them into 3-grams is part of what is timed, as it is part of ours.
"""

import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NUM_SLOTS: Final = 128
NUM_BANDS: Final = 32
BAND_SLOTS: Final = 4
NUM_GRAM_CHARS: Final = 3
BATCH: Final = 1_000


@dataclass(frozen=True)
class PeerRun:
    """What a peer did.

    Attributes:
        num_documents: How many texts it took.
        flags: Which of them it called near-duplicates of an earlier one.
        cpu_s: CPU seconds.
        state_bytes: Growth of the resident memory.
    """

    num_documents: int
    flags: list[bool]
    cpu_s: float
    state_bytes: int

    @property
    def documents_per_s(self) -> float:
        """Throughput of one core."""
        return self.num_documents / self.cpu_s


def run(name: str, skeletons: Sequence[str], threshold: float) -> PeerRun:
    """Run a peer of `PEERS` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(_measured, name, skeletons, threshold).result()


def missing() -> list[str]:
    """Return the peers that are not installed."""
    return [name for name in PEERS if importlib.util.find_spec(name) is None]


def _measured(name: str, skeletons: Sequence[str], threshold: float) -> PeerRun:
    flagged = PEERS[name](threshold)
    flagged(skeletons[:1])
    flagged = PEERS[name](threshold)
    resident, started, flags = _resident_bytes(), time.process_time(), []
    for begin in range(0, len(skeletons), BATCH):
        flags += flagged(skeletons[begin : begin + BATCH])
    return PeerRun(len(skeletons), flags, time.process_time() - started, _resident_bytes() - resident)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _grams(text: str) -> list[str]:
    return [text[at : at + NUM_GRAM_CHARS] for at in range(len(text) - NUM_GRAM_CHARS + 1)]


Flagger = Callable[[Sequence[str]], list[bool]]


def _datasketch(threshold: float) -> Flagger:
    from datasketch import MinHash, MinHashLSH

    index, start = MinHashLSH(threshold, NUM_SLOTS, params=(NUM_BANDS, BAND_SLOTS)), MinHash(NUM_SLOTS)
    kept: dict[int, MinHash] = {}

    def flagged(texts: Sequence[str]) -> list[bool]:
        flags = []
        for text in texts:
            sketch = start.copy()
            sketch.update_batch([gram.encode() for gram in _grams(text)])
            flags.append(any(kept[other].jaccard(sketch) >= threshold for other in index.query(sketch)))
            kept[len(kept)] = sketch
            index.insert(len(kept) - 1, sketch)
        return flags

    return flagged


def _gaoya(threshold: float) -> Flagger:
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(
        hash_size=16,
        jaccard_threshold=threshold,
        num_bands=NUM_BANDS,
        band_size=BAND_SLOTS,
        analyzer="char",
        ngram_range=(NUM_GRAM_CHARS, NUM_GRAM_CHARS),
        id_container="smallvec",
    )

    def flagged(texts: Sequence[str]) -> list[bool]:
        flags = []
        for text in texts:
            flags.append(bool(index.query(text)))
            index.insert_document(index.size(), text)
        return flags

    return flagged


def _rensa(threshold: float) -> Flagger:
    from rensa import RMinHashDeduplicator

    deduplicator = RMinHashDeduplicator(threshold, NUM_SLOTS, True, NUM_BANDS)
    numbers = iter(range(1 << 40))

    def flagged(texts: Sequence[str]) -> list[bool]:
        added = deduplicator.add_pairs(
            [(str(number), _grams(text)) for text, number in zip(texts, numbers, strict=False)]
        )
        return [not was_added for was_added in added]

    return flagged


PEERS: Final[dict[str, Callable[[float], Flagger]]] = {
    "datasketch": _datasketch,
    "gaoya": _gaoya,
    "rensa": _rensa,
}
