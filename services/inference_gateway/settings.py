"""What the gateway is told."""

from typing import Annotated

from pydantic import Field

from shared.settings import BundleVerifyingSettings, DaemonSettings, RedisSettings


class GatewaySettings(DaemonSettings, BundleVerifyingSettings):
    """Settings of the inference-gateway."""

    redis: RedisSettings = RedisSettings()
    cache_ttl_s: Annotated[int, Field(ge=0)] = 3600
    """How long an answer is kept in the cache; 0: no cache."""
    inference_threads: Annotated[int, Field(ge=1)] = 2
    """Threads that compute answers; each runs one request on one core."""
    max_requests: Annotated[int, Field(ge=1)] = 128
    """Requests that may be under way, streams included; beyond it the answer is 429."""
