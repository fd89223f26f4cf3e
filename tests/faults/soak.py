"""An hour under load: `python -m tests.faults.soak --minutes 60`. Batches, trainings, releases and answers all the time.

Every process's memory is sampled to a CSV file, and the folders' sizes with it. The exit code is 1 if a process grows beyond its
bound, if anything acknowledged was lost or doubled, or if a process ended that should not have.
"""

import argparse
import csv
import logging
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression

import psutil

from contracts.topics import ALL_DAEMONS
from shared.embedded.control import MODULE
from shared.embedded.layout import SUPERVISOR, layout_of
from shared.embedded.plan import BROKER, CACHE
from tests.embedded.live import eventually
from tests.faults.campaign import come_to_rest
from tests.faults.census import take
from tests.faults.feed import DOMAIN, Feed, Questions
from tests.faults.harness import Faults

MB = 1_000_000
SAMPLE_S = 10.0
BATCH_S = 20.0
"""Between two batches of 60 documents; every third leads to a version, a training and a release."""
SETTINGS = {"PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "150", "PLUMBLINE_ROLLOUT__MIN_CANARY_S": "5"}
GROWTH_PER_HOUR = {SUPERVISOR: 10 * MB, CACHE: 260 * MB, BROKER: 1_500 * MB} | dict.fromkeys(ALL_DAEMONS, 15 * MB)
"""The slope over all but the first quarter, by the hour. The broker forgets nothing until it is recycled."""
JUDGED_FROM_S = 1200.0
"""A shorter run says nothing about growth."""
MOST = {SUPERVISOR: 150 * MB, CACHE: 300 * MB, BROKER: 1_500 * MB} | dict.fromkeys(ALL_DAEMONS, 400 * MB)

log = logging.getLogger("soak")


Row = tuple[str, str, int, int]
"""Kind (process, child or folder), name, pid, bytes."""
Series = list[tuple[float, int]]
"""Seconds since the start, bytes."""


@dataclass
class Samples:
    """What was sampled.

    Attributes:
        memory: By process, what was resident.
        pids: By process, every pid that was seen.
        transient: By daemon, the most that one of its child processes held, in bytes.
        folders: By folder, the size of its files.
    """

    memory: dict[str, Series] = field(default_factory=lambda: defaultdict(list))
    pids: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    transient: dict[str, int] = field(default_factory=dict)
    folders: dict[str, Series] = field(default_factory=lambda: defaultdict(list))

    def add(self, seconds: float, row: Row) -> None:
        kind, name, pid, size = row
        match kind:
            case "process":
                self.memory[name].append((seconds, size))
                self.pids[name].add(pid)
            case "child":
                self.transient[name] = max(self.transient.get(name, 0), size)
            case "folder":
                self.folders[name].append((seconds, size))


@dataclass
class Sampler:
    """Samples every process and folder every ten seconds, in a thread; writes it as it comes."""

    faults: Faults
    path: Path
    samples: Samples = field(default_factory=Samples)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Sampler":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        with self.path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["seconds", "kind", "name", "pid", "bytes"])
            while True:
                seconds = round(time.monotonic() - began, 1)
                for row in self._sample():
                    rows.writerow([seconds, *row])
                    self.samples.add(seconds, row)
                file.flush()
                if self._stop.wait(SAMPLE_S):
                    return

    def _sample(self) -> Iterator[Row]:
        record = self.faults.live.record
        marks = {process.name: process.mark for process in record.processes} | {SUPERVISOR: record.supervisor}
        for name, mark in marks.items():
            try:
                process = psutil.Process(mark.pid) if mark else None
                resident = process.memory_info().rss if process else 0
                children = process.children(recursive=True) if process and name != SUPERVISOR else []
            except psutil.NoSuchProcess:
                continue
            if process:
                yield "process", name, process.pid, resident
            for child in children:
                yield from self._child(name, child)
        for name in ("artifacts", "logs", "monitor", "trainer", "evaluator", "inference-gateway", "tokenizer-builder"):
            size = sum(path.stat().st_size for path in _files(self.faults.layout.root / name))
            yield "folder", name, 0, size

    def _child(self, name: str, child: psutil.Process) -> Iterator[Row]:
        try:
            resident = child.memory_info().rss
        except psutil.NoSuchProcess:
            return
        yield "child", name, child.pid, resident


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path
        except FileNotFoundError:
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--answers-per-s", type=float, default=20.0)
    parser.add_argument("--state-dir", type=Path, default=None)
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"))
    parser.add_argument("--judge", action="store_true", help="only judge the samples of an earlier run")
    arguments = parser.parse_args()
    if arguments.judge:
        return report(read(arguments.csv), [])
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    folder = arguments.state_dir or Path(tempfile.mkdtemp(prefix="soak-"))
    faults = Faults(layout_of(folder / "mesh"), settings=SETTINGS, module=MODULE)
    try:
        log.info("ready after %.1f s in %s, samples in %s", faults.up(), folder, arguments.csv)
        samples, said = soak(faults, arguments.minutes * 60, arguments.answers_per_s, arguments.csv)
    finally:
        faults.down()
    return report(samples, said)


def report(samples: "Samples", said: list[str]) -> int:
    """Print the table and the complaints; return the exit code."""
    complaints = [*said, *judge(samples)]
    print(table(samples), *complaints, "good" if not complaints else "NOT GOOD", sep="\n", flush=True)  # noqa: T201
    return 1 if complaints else 0


def read(path: Path) -> "Samples":
    """Return the samples that an earlier run wrote."""
    samples = Samples()
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            samples.add(float(row["seconds"]), (row["kind"], row["name"], int(row["pid"]), int(row["bytes"])))
    return samples


def soak(faults: Faults, seconds: float, answers_per_s: float, path: Path) -> tuple[Samples, list[str]]:
    """Load the mesh for so long, let it come to rest, and count; return the samples and what is wrong."""
    feed, questions = Feed(faults.live), Questions(faults.live, per_s=answers_per_s)
    deadline = time.monotonic() + seconds
    with faults.live.tail().reading() as tail, Sampler(faults, path) as sampler, questions:
        while time.monotonic() < deadline:
            (feed.submit if len(feed.acknowledged) % 3 == 2 else feed.post)()
            log.info(
                "%4.0f s left, %d batches, revision %d, %d answers, longest gap %.1f s",
                deadline - time.monotonic(), len(feed.acknowledged), faults.release().revision,
                questions.num_answered, questions.longest_gap_s,
            )  # fmt: skip
            time.sleep(BATCH_S)
        eventually(lambda: faults.num_under_way() <= 1, within_s=120)
        come_to_rest(faults, feed)
        questions.stop()
        census = take(faults.store, tail.messages, feed.acknowledged, DOMAIN)
    log.info("census: %s", census.counts)
    log.info("questions %d, answered %d, refused %s", questions.num_sent, questions.num_answered, questions.num_refused)
    restarts = {process.name: process.restarts for process in faults.live.record.processes if process.restarts}
    return sampler.samples, [
        *census.lost,
        *census.doubled,
        *(f"{name} ended {count} times" for name, count in restarts.items()),
    ]


def judge(samples: Samples) -> list[str]:
    """Return which processes grow beyond their bounds."""
    complaints = []
    for name, sizes in samples.memory.items():
        most, growth = max(size for _, size in sizes), growth_per_hour(sizes)
        if most > MOST[name]:
            complaints.append(f"{name} held {most / MB:.0f} MB, {MOST[name] / MB:.0f} are allowed")
        if growth > GROWTH_PER_HOUR[name] and sizes[-1][0] >= JUDGED_FROM_S:
            allowed = GROWTH_PER_HOUR[name] / MB
            complaints.append(f"{name} grows by {growth / MB:.0f} MB an hour, {allowed:.0f} are allowed")
    return complaints


def growth_per_hour(sizes: Series) -> float:
    """Return the slope over all but the first quarter, in bytes an hour: what is loaded once counts as no growth."""
    settled = sizes[len(sizes) // 4 :]
    if len(settled) < 3:
        return 0.0
    return 3600 * linear_regression([at for at, _ in settled], [size for _, size in settled]).slope


def table(samples: Samples) -> str:
    lines = ["| | first quarter, MB | last quarter, MB | most, MB | slope, MB/h | pids | its children, most MB |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for name, sizes in {**samples.memory, **{f"{one}/": sizes for one, sizes in samples.folders.items()}}.items():
        quarter = max(1, len(sizes) // 4)
        first, last = (fmean(size for _, size in part) / MB for part in (sizes[:quarter], sizes[-quarter:]))
        most = max(size for _, size in sizes) / MB
        child = samples.transient.get(name, 0) / MB
        pids = len(samples.pids[name]) if name in samples.pids else "-"
        slope = growth_per_hour(sizes) / MB
        lines.append(f"| {name} | {first:.0f} | {last:.0f} | {most:.0f} | {slope:+.1f} | {pids} | {child:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
