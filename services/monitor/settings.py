"""What the monitor is told, from `PLUMBLINE_*`; the terms as PLUMBLINE_WATCH__GRACE_S and so on."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from contracts.telemetry import LATENCY_BOUNDS_MS, LATENCY_LIMIT_MS
from shared.settings import DaemonSettings, Group, OperatorSettings, OperatorSigningSettings, OperatorVerifyingSettings


class WatchSettings(Group):
    """By which terms traffic is judged."""

    latency_limit_ms: float = LATENCY_LIMIT_MS
    """An answer over it is slow; one of the latency histogram's boundaries, since it is read off there."""
    grace_s: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How long after its end a second is kept open for telemetry under way: it adds to the time to an alert."""

    @field_validator("latency_limit_ms")
    @classmethod
    def _check_limit(cls, limit_ms: float) -> float:
        if limit_ms not in LATENCY_BOUNDS_MS:
            msg = f"{limit_ms:g} is no boundary of the latency histogram: {', '.join(map('{:g}'.format, LATENCY_BOUNDS_MS))}"
            raise ValueError(msg)
        return limit_ms


class StoreSettings(Group):
    """Where telemetry is kept for people."""

    url: Annotated[str, Field(pattern=r"^($|sqlite:///.|https?://.)")] = ""
    """sqlite:///path, or http(s)://host:port of an Elasticsearch, 8.12 or later; none: a SQLite file in the state directory."""
    api_key: SecretStr | None = None
    """Elasticsearch's API key, which may manage index templates and the indices of the prefix; none: the server asks for none."""
    index_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] = "plumbline"
    """How the names of our data streams in Elasticsearch begin."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Days that traces and logs are kept at least; metrics are kept for two days, lifecycle events for ever."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long a call of Elasticsearch may take; then it is tried again."""


class Settings(DaemonSettings, OperatorSettings, OperatorSigningSettings, OperatorVerifyingSettings):
    """The monitor's settings."""

    watch: WatchSettings = WatchSettings()
    store: StoreSettings = StoreSettings()
    tick_s: Annotated[float, Field(gt=0, le=1)] = 0.25
    """How often is looked for seconds that are over; each is evaluated once."""
    cleanup_s: Annotated[float, Field(gt=0)] = 3600.0
    """How often expired telemetry is deleted."""
