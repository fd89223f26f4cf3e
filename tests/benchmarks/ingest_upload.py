"""How fast ingest takes a large upload, and in how much memory; then the same with a daemon killed in the middle.

python -m tests.benchmarks.ingest_upload [--megabytes 200] [--peer-documents 20000]

The daemon runs as it does anywhere, in a process of its own on 127.0.0.1, but tells nobody: there is no broker. Documents are
real articles and, beyond those, joined of two of them by a seeded rule. Bars: 20,000 documents a CPU second over HTTP, 300 MB of
memory at 2,000 MB.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import psutil
import uvicorn

from contracts.api import UploadReceipt
from contracts.corpus import Document
from services.ingest.app import wire
from services.ingest.core.arrivals import uploaded
from services.ingest.core.columns import table_of_records
from services.ingest.core.entries import json_entries
from services.ingest.core.parts import Tally, parts_of
from services.ingest.core.unpacking import Compression
from services.ingest.reading import BodyKind, Format, Reader
from services.ingest.settings import BatchLimits, Settings
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import SystemClock
from shared.corpus import write_shard
from shared.demo.statutes import load_statutes
from shared.embedded.ports import LOOPBACK
from shared.settings import ArtifactSettings, KafkaSettings, TelemetrySettings
from shared.shards import write_table
from shared.telemetry import Telemetry
from tests.broker.harness import KeptSink

MB = 1_000_000
SEED = 1
CHUNK_BYTES = 1 << 16
TIMEOUT_S = 3_600.0
JSONL = BodyKind(format=Format.JSONL, compression=Compression.NONE)
NDJSON = {"content-type": "application/x-ndjson"}
PIECE = {"content-type": "application/partial-upload"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class Daemon:
    """Ingest in a process of its own, on the same folder and port after every start."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://{LOOPBACK}:{port}"
        self._argv = [sys.executable, "-m", __spec__.name, "--serve", str(port), "--folder", str(folder)]
        self.start()

    def start(self) -> None:
        self.process = psutil.Popen(self._argv, env={**os.environ, **ONE_THREAD})  # noqa: TID251 (passed on as it is)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.url}/v1/batches/held", trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the daemon does not answer")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MB


def serve(port: int, folder: Path) -> None:
    """Run the daemon without a broker."""
    settings = Settings(
        state_dir=folder / "state", artifacts=ArtifactSettings(url=(folder / "artifacts").as_uri()), operator_token="x"
    )
    telemetry = Telemetry("ingest", TelemetrySettings(metric_interval_s=3600), KeptSink())
    bus = Bus("ingest", KafkaSettings(), telemetry)

    async def publish(*_: object, **__: object) -> None:
        pass

    bus.publish = publish  # type: ignore[method-assign]
    app = wire(settings, bus, telemetry, SystemClock())
    uvicorn.run(app, host=LOOPBACK, port=port, log_level="error", lifespan="off")


def lines(num_bytes: int, prefix: str) -> Iterator[bytes]:
    """Yield articles as JSON lines until there are so many bytes.

    First the real ones as they are; then, each time round, the beginning of each joined with the rest of another one, which a
    seeded permutation names: no two rounds have the same texts.
    """
    statutes = load_statutes()
    documents = statutes.first + statutes.later
    fields = [
        document.model_dump_json(exclude_defaults=True, exclude={"document_id", "text"})[1:] for document in documents
    ]
    halves = [_halves(document.text) for document in documents]
    rng, partners = random.Random(SEED), range(len(documents))
    number = total = 0
    while total < num_bytes:
        index = number % len(documents)
        if number and not index:
            partners = rng.sample(range(len(documents)), len(documents))
        text = halves[index][0] + halves[partners[index]][1]
        line = f'{{"document_id":"{prefix}{number}","text":"{text}",{fields[index]}\n'.encode()
        number += 1
        total += len(line)
        yield line


def _halves(text: str) -> tuple[str, str]:
    """Cut an article behind the sentence that ends nearest to its middle; return both parts as they stand in JSON."""
    ends = [place + 1 for place, character in enumerate(text) if character == "。"] or [len(text) // 2]
    cut = min(ends, key=lambda place: abs(place - len(text) // 2))
    first, second = (json.dumps(part, ensure_ascii=False)[1:-1] for part in (text[:cut], text[cut:]))
    return first, second


def write_body(path: Path, num_bytes: int, prefix: str) -> tuple[int, int]:
    """Write a body; return its documents and bytes."""
    num_documents = 0
    with path.open("wb") as file:
        for line in lines(num_bytes, prefix):
            file.write(line)
            num_documents += 1
    statutes = load_statutes()
    share = min(1.0, len(statutes.first + statutes.later) / num_documents)
    print(f"{num_documents:,} documents, {share:.1%} of them real as they are, the others joined of two")
    return num_documents, path.stat().st_size


def chunks(path: Path, start: int, end: int, on_byte: int = -1, then: object = None) -> Iterator[bytes]:
    """Yield a part of a file; at one byte, something happens first."""
    with path.open("rb") as file:
        file.seek(start)
        while (at := file.tell()) < end:
            if 0 <= on_byte <= at and callable(then):
                then()
                on_byte = -1
            yield file.read(min(CHUNK_BYTES, end - at))


@contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
    daemon = Daemon(folder, port)
    try:
        yield daemon
    finally:
        daemon.process.terminate()
        daemon.process.wait()


def whole(daemon: Daemon, client: httpx.Client, path: Path, num_documents: int, num_bytes: int) -> None:
    cpu, began = daemon.cpu_s, time.perf_counter()
    answer = client.post("/v1/batches?domain=law", content=chunks(path, 0, num_bytes), headers=NDJSON)
    wall_s, cpu_s = time.perf_counter() - began, daemon.cpu_s - cpu
    receipt = UploadReceipt.model_validate_json(answer.content)
    assert receipt.num_documents == num_documents
    print(f"POST of {num_bytes / MB:,.0f} MB, {num_documents:,} documents: {len(receipt.batches)} batches")
    print(
        f"  {num_documents / cpu_s:,.0f} documents/CPU s, {num_bytes / MB / cpu_s:.1f} MB/CPU s, {cpu_s:.1f} CPU s of the daemon"
    )
    print(f"  {num_documents / wall_s:,.0f} documents/s, {wall_s:.1f} s by the clock, until all is durable")
    print(f"  peak RSS of the daemon {daemon.peak_mb:.0f} MB")


def killed_in_the_middle(daemon: Daemon, client: httpx.Client, path: Path, num_documents: int, num_bytes: int) -> None:
    place = client.post("/v1/uploads?domain=law", headers=NDJSON).headers["location"]
    try:
        sent = chunks(path, 0, num_bytes, on_byte=num_bytes // 2, then=daemon.kill)
        client.patch(place, content=sent, headers={**PIECE, "upload-offset": "0"})
    except httpx.TransportError as error:
        print(f"daemon killed at {num_bytes // 2 / MB:,.0f} of {num_bytes / MB:,.0f} MB ({type(error).__name__})")
    daemon.start()
    offset = int(client.head(place).headers["upload-offset"])
    headers = {**PIECE, "upload-offset": str(offset), "upload-complete": "?1"}
    began = time.perf_counter()
    answer = client.patch(place, content=chunks(path, offset, num_bytes), headers=headers)
    assert answer.status_code == 201, answer.text
    receipt = UploadReceipt.model_validate_json(answer.content)
    assert receipt.num_documents == num_documents
    print(f"  it had {offset / MB:,.1f} MB, {(num_bytes // 2 - offset) / MB:.1f} MB were sent twice")
    print(
        f"  the rest and the reading took {time.perf_counter() - began:.1f} s; {receipt.num_documents:,} documents, none lost"
    )
    print(f"  peak RSS of the daemon {daemon.peak_mb:.0f} MB")


def peer(folder: Path, num_documents: int) -> None:
    """Compare with the same work by pydantic, document by document, on the same lines; then ours with all besides."""
    body = b"".join(line for line, _ in zip(lines(10**12, "p"), range(num_documents), strict=False))
    reader = Reader(folder=folder, limits=BatchLimits(), max_expansion=100)
    began = time.process_time()
    staging = reader.staged(BytesIO(body), JSONL, domain="law", now=SystemClock().now(), tally=Tally())
    ours = num_documents / (time.process_time() - began)
    staging.close()
    store = ArtifactStore((folder / "peer").as_uri())
    began = time.process_time()
    for part in parts_of(json_entries([body], max_line_bytes=MB), BatchLimits(), Tally(), strict=True):
        uploaded("law", part.records, SystemClock().now())
        write_table(store, table_of_records(part.records))
    same = num_documents / (time.process_time() - began)
    store = ArtifactStore((folder / "the peer's").as_uri())
    began = time.process_time()
    documents = [Document.model_validate_json(line) for line in body.splitlines()]
    for start in range(0, len(documents), 5_000):
        batch, content = documents[start : start + 5_000], hashlib.sha256()
        for document in batch:
            content.update(document.model_dump_json(exclude_defaults=True).encode() + b"\n")
        write_shard(store, batch)
    theirs = num_documents / (time.process_time() - began)
    print(f"reading {num_documents:,} documents, one thread, CPU time")
    print(f"  ours (validated, digest, Parquet)                            {same:,.0f} documents/s")
    print(
        f"  pydantic (validated, digest, Parquet)                        {theirs:,.0f} documents/s; ratio {same / theirs:.1f}"
    )
    print(f"  ours with statistics, known texts and pairs of characters    {ours:,.0f} documents/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--peer-documents", type=int, default=20_000)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer(folder, given.peer_documents)
        body = folder / "body.jsonl"
        num_documents, num_bytes = write_body(body, int(given.megabytes * MB), "w")
        with running(folder / "mesh") as daemon, httpx.Client(base_url=daemon.url, timeout=TIMEOUT_S) as client:
            print(f"the daemon at rest: {daemon.process.memory_info().rss / MB:.0f} MB")
            whole(daemon, client, body, num_documents, num_bytes)
            num_documents, num_bytes = write_body(body, int(given.megabytes * MB), "k")
            killed_in_the_middle(daemon, client, body, num_documents, num_bytes)


if __name__ == "__main__":
    main()
