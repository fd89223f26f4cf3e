"""Traffic for the canary: many users who classify pieces of real statutes, at a steady rate."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from contracts.api import ClassifyAnswer

NUM_USERS = 240
REQUESTS_PER_S = 44
REQUEST_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 100
NO_BUNDLE = "none"
"""Stands for the digest of a request that got no answer."""


@dataclass
class SecondOfTraffic:
    """What one bundle answered in one second, as its users saw it."""

    requests: int = 0
    failures: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, other: "SecondOfTraffic") -> None:
        """Count what another one counted too."""
        self.requests += other.requests
        self.failures += other.failures
        self.latencies_ms += other.latencies_ms

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile, by the nearest rank below; None without an answer."""
        if len(self.latencies_ms) < 2:  # noqa: PLR2004 (quantiles need two points)
            return self.latencies_ms[0] if self.latencies_ms else None
        return statistics.quantiles(self.latencies_ms, n=20, method="inclusive")[-1]


class Load:
    """An open loop: a request starts when its time has come, however slow the answers are.

    Attributes:
        traffic: By second (since 1970) in which the request was sent, and digest.
    """

    def __init__(self, gateway_url: str, texts: Iterator[str], *, domain: str) -> None:
        self._url = gateway_url
        self._texts = texts
        self._domain = domain
        self.traffic: dict[int, dict[str, SecondOfTraffic]] = defaultdict(lambda: defaultdict(SecondOfTraffic))
        self.num_requests = 0

    async def run(self) -> None:
        """Send for ever; what is under way when it is cancelled is awaited."""
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=REQUEST_TIMEOUT_S) as client:
            under_way: set[asyncio.Task[None]] = set()
            due = time.monotonic()
            try:
                while True:
                    task = asyncio.create_task(self._request(client))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    due += 1 / REQUESTS_PER_S
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
            finally:
                await asyncio.gather(*under_way)

    def recent(self, num_seconds: int) -> dict[str, SecondOfTraffic]:
        """Return the sums of the last whole seconds, by digest."""
        now = int(time.time())
        sums: dict[str, SecondOfTraffic] = defaultdict(SecondOfTraffic)
        for second in range(now - num_seconds, now):
            for digest, tally in self.traffic.get(second, {}).items():
                sums[digest].add(tally)
        return dict(sums)

    async def _request(self, client: httpx.AsyncClient) -> None:
        user = f"user-{self.num_requests % NUM_USERS}"
        self.num_requests += 1
        body = {"text": next(self._texts), "user": user, "domain": self._domain}
        second, started = int(time.time()), time.perf_counter()
        try:
            response = await client.post("/v1/classify", json=body)
            response.raise_for_status()
            digest, failed = ClassifyAnswer.model_validate_json(response.content).bundle_digest, False
        except (httpx.HTTPError, ValidationError):
            digest, failed = NO_BUNDLE, True
        tally = self.traffic[second][digest]
        tally.requests += 1
        tally.failures += failed
        if not failed:
            tally.latencies_ms.append((time.perf_counter() - started) * 1000)
