"""Settings of embedded mode, and the environment that its processes inherit."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.topics import NUM_PARTITIONS
from shared.settings import Group


class SupervisorSettings(Group):
    """How the supervisor looks after its processes."""

    stop_grace_s: Annotated[float, Field(gt=0)] = 10.0
    """From asking a process to end to ending it."""
    poll_interval_s: Annotated[float, Field(gt=0)] = 1.0
    """Between two health polls of a process that can serve."""
    poll_timeout_s: Annotated[float, Field(gt=0)] = 2.0
    """How long a health poll waits for its answer."""
    silence_limit_s: Annotated[float, Field(gt=0)] = 10.0
    """A process that has not answered for so long is restarted; longer than Kafka's session, which gives its work to another."""
    broker_limit_bytes: Annotated[int, Field(gt=0)] = 1_000_000_000
    """Resident memory at which the broker, which forgets nothing, is recycled at a quiet moment; at 1.5 times of it, at once."""


class EngineSettings(Group):
    """Engines that somebody else runs, used instead of the mesh's own."""

    kafka: Annotated[str, Field(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")] | None = None
    """Bootstrap servers of an Apache Kafka, comma-separated host:port; none: an embedded broker."""
    redis: Annotated[str, Field(pattern=r"^rediss?://[^/\s]+(/\d+)?$")] | None = None
    """URL of a Redis, redis://host:port/0; none: an embedded cache."""
    elasticsearch: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    """URL of an Elasticsearch for telemetry; none: SQLite in the state directory."""
    fresh_topics: bool = False
    """Delete the topics of that Kafka first, with all their messages."""


class EmbeddedSettings(BaseSettings):
    """What a user may set of a mesh on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore", populate_by_name=True
    )

    state_dir: Path = Path(".plumbline")
    """Everything of the mesh lies here."""
    gateway_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The gateway's port on 127.0.0.1; none: a free one."""
    cleaners: Annotated[int, Field(ge=1, le=NUM_PARTITIONS)] = 1
    """Processes of the cleaner, which share its work; more than there are partitions would have none."""
    supervisor: SupervisorSettings = SupervisorSettings()
    engines: EngineSettings = EngineSettings()


def inherited_environment() -> dict[str, str]:
    """Return this process's environment: what a user set before `plumb up` reaches the daemons."""
    return dict(os.environ)  # noqa: TID251 handed on to child processes, not read
