"""How fast the telemetry stores take spans and logs, and how fast they find words. Not part of the tests.

python -m tests.benchmarks.store_rates [--logs 200000] [--spans 100000] [--elasticsearch http://127.0.0.1:9200]
"""

import argparse
import asyncio
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

from shared.clock import SystemClock
from shared.telemetry_store.elastic import ElasticsearchTelemetryStore
from shared.telemetry_store.elastic_api import ElasticsearchApi
from shared.telemetry_store.records import LogQuery, LogRecord, Span, SpanLink, TelemetryStore
from shared.telemetry_store.sqlite import SqliteTelemetryStore

BATCH = 1_000
NUM_SEARCHES = 100
DAYS = 3
LAWS = (
    "劳动合同法",
    "刑法",
    "民法典",
    "行政处罚法",
    "公司法",
    "食品安全法",
    "道路交通安全法",
    "专利法",
    "环境保护法",
    "反垄断法",
)
MESSAGES = (
    "batch {n} cleaned: {law}第{n}条", "bundle {digest} not loaded, will try again", "corpus version cut", "child says {n}",
    "will try again", "answers not counted", "{law}第{n}条 is a duplicate of {digest}", "claim not renewed, will try again",
)  # fmt: skip
SERVICES = ("ingest", "cleaner", "trainer", "evaluator", "inference-gateway", "monitor")
SEARCHES = (
    "劳动合同",
    "刑",
    "第12条",
    "duplicate",
    "bundle loaded",
    "not loaded 刑法",
    "will try again",
    "{digest}",
    "反垄断 cleaned",
)


def log(rng: random.Random, at_ns: int) -> LogRecord:
    digest = f"{rng.getrandbits(256):064x}"
    body = rng.choice(MESSAGES).format(n=rng.randrange(1000), law=rng.choice(LAWS), digest=digest[:12])
    attributes = {"bundle_digest": digest, "domain": "law", "error": f"KafkaError({rng.randrange(50)})"}
    return LogRecord(
        uid=f"{rng.getrandbits(128):032x}", time_ns=at_ns, service=rng.choice(SERVICES), body=body,
        severity=rng.choices(("INFO", "WARNING", "ERROR"), (90, 8, 2))[0], trace_id=f"{rng.getrandbits(128):032x}",
        span_id=f"{rng.getrandbits(64):016x}", attributes=attributes,
    )  # fmt: skip


def span(rng: random.Random, at_ns: int) -> Span:
    attributes = {
        "plumbline.domain": "law", "plumbline.bundle.digest": f"{rng.getrandbits(256):064x}", "plumbline.answer.task": "classify",
        "plumbline.answer.id": f"{rng.getrandbits(128):032x}", "plumbline.answer.outcome": "ok", "plumbline.answer.cached": False,
    }  # fmt: skip
    return Span(
        trace_id=f"{rng.getrandbits(120):032x}", span_id=f"{rng.getrandbits(64):016x}", parent_span_id=None,
        service=rng.choice(SERVICES), name="answer", start_ns=at_ns, end_ns=at_ns + rng.randrange(1, 300) * 10**6, status="ok",
        attributes=attributes, links=(SpanLink(trace_id=f"{rng.getrandbits(128):032x}", span_id="1" * 16),),
    )  # fmt: skip


async def measure(name: str, store: TelemetryStore, num_logs: int, num_spans: int) -> None:
    rng = random.Random(7)
    begin_ns = time.time_ns() - DAYS * 86_400 * 10**9
    step_ns = DAYS * 86_400 * 10**9 // max(num_logs, num_spans)
    spans = [span(rng, begin_ns + number * step_ns) for number in range(num_spans)]
    logs = [log(rng, begin_ns + number * step_ns) for number in range(num_logs)]
    print(f"{name}: spans  {await rate(store.add_spans, spans):>9,.0f} /s")
    print(f"{name}: logs   {await rate(store.add_logs, logs):>9,.0f} /s")
    print(f"{name}: again  {await rate(store.add_logs, logs[:20_000]):>9,.0f} /s (known already)")
    found = await store.search_logs(LogQuery(words="反垄断", limit=1))
    assert found
    for level, words in ((0, SEARCHES), (13, SEARCHES)):
        took = [
            await elapsed_ms(
                store, rng.choice(words).format(digest=rng.choice(logs).attributes["bundle_digest"]), level
            )
            for _ in range(NUM_SEARCHES)
        ]
        show(name, f"words, 100 lines{', warnings' if level else ''}", took)
    took = []
    for _ in range(10):
        started = time.perf_counter()
        await store.log_patterns(LogQuery(min_level=13, limit=50))
        took.append((time.perf_counter() - started) * 1000)
    show(name, "patterns of warnings", took)


async def rate(add: Callable[[list], Awaitable[None]], records: list) -> float:
    started = time.perf_counter()
    for at in range(0, len(records), BATCH):
        await add(records[at : at + BATCH])
    return len(records) / (time.perf_counter() - started)


async def elapsed_ms(store: TelemetryStore, words: str, level: int) -> float:
    started = time.perf_counter()
    await store.search_logs(LogQuery(words=words, min_level=level, limit=100))
    return (time.perf_counter() - started) * 1000


def show(name: str, what: str, took: list[float]) -> None:
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"{name}: {what}: p50 {statistics.median(took):,.1f} ms, p95 {p95:,.1f} ms, worst {max(took):,.1f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=200_000)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--elasticsearch", help="URL; its streams stay there under a prefix of this run's own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        async with aclosing(SqliteTelemetryStore(path)) as store:
            await measure("sqlite", store, asked.logs, asked.spans)
        print(f"sqlite: {path.stat().st_size / 1e6:,.0f} MB")
    if asked.elasticsearch:
        api = ElasticsearchApi(asked.elasticsearch, api_key=None, timeout_s=60)
        prefix = f"bench-{uuid4().hex[:8]}"
        async with aclosing(ElasticsearchTelemetryStore(api, clock=SystemClock(), prefix=prefix)) as store:
            await measure("elasticsearch", store, asked.logs, asked.spans)
            for stream in await api.streams(f"{prefix}-*"):
                await api.delete_stream(stream, is_empty=False)
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    asyncio.run(main())
