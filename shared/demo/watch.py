"""Records what the gateway routes, as it says itself: the demo's proof of the weights."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from contracts.api import GatewayInfo
from contracts.envelope import Digest, Domain
from contracts.release import Route
from shared.demo.report import Weights

INTERVAL_S = 0.2


class WeightWatch:
    """Asks the gateway for its routes five times a second.

    Attributes:
        samples: One a second, and one at each change.
    """

    def __init__(self, gateway_url: str, domain: Domain, *, on_change: Callable[[Sequence[Route]], None]) -> None:
        self._url = gateway_url
        self._domain = domain
        self._on_change = on_change
        self._sampled = asyncio.Condition()
        self.samples: list[Weights] = []

    async def run(self) -> None:
        """Watch for ever."""
        async with httpx.AsyncClient(base_url=self._url, timeout=5.0) as client:
            while True:
                # A look that fails is a sample less; that routes are answered for is the load's to prove.
                with suppress(httpx.TransportError):
                    response = await client.get("/")
                    async with self._sampled:
                        self._take(GatewayInfo.model_validate_json(response.content), datetime.now(UTC))
                        self._sampled.notify_all()
                await asyncio.sleep(INTERVAL_S)

    async def without(self, digest: Digest, *, after: datetime, within_s: float) -> datetime:
        """Wait until a bundle has no traffic; return when that was first seen after a moment.

        Raises:
            TimeoutError: It still has some.
        """
        async with asyncio.timeout(within_s), self._sampled:
            while True:
                for sample in self.samples:
                    if sample.at > after and not sample.percent.get(digest):
                        return sample.at
                await self._sampled.wait()

    def _take(self, info: GatewayInfo, now: datetime) -> None:
        routes = next((served.routes for served in info.served if served.domain == self._domain), ())
        percent = {route.bundle_digest: route.weight_percent for route in routes}
        last = self.samples[-1] if self.samples else None
        if last is None or last.percent != percent:
            self._on_change(routes)
        elif now.timestamp() // 1 == last.at.timestamp() // 1:
            return
        self.samples.append(Weights(at=now, percent=percent))
