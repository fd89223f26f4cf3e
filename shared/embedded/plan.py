"""What runs in a mesh: each process with its command, its environment and how to ask it for its health. Pure."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import contracts
from contracts.topics import ALL_DAEMONS
from shared.embedded.layout import Layout
from shared.embedded.policy import Tier
from shared.embedded.ports import LOOPBACK
from shared.embedded.settings import EngineSettings

BROKER = "broker"
CACHE = "cache"
CLEANER = "cleaner"
GATEWAY = "inference-gateway"
TRUSTED = frozenset(
    {"ingest", "cleaner", "tokenizer-builder", "trainer", "evaluator", "release-manager", GATEWAY, "monitor"}
)
"""Daemons that are told where the secrets lie; each reads those that its settings name."""

NO_ENGINES = EngineSettings()

SERVING = ("--timeout-graceful-shutdown", "5", "--timeout-keep-alive", "75")
"""uvicorn's options. A connection is kept longer than clients keep it (httpx 5 s, as uvicorn by default): the server must not
close first, or a request that is just being sent gets no answer."""

CODE_ROOT = Path(contracts.__file__).parent.parent
MESH_VARIABLE = "PLUMBLINE_MESH"
"""Names the state directory to every process of a mesh, so that descendants are found whoever their parent is."""
PROCESS_VARIABLE = "PLUMBLINE_PROCESS"


class Protocol(StrEnum):
    """How a process is asked for its health."""

    HTTP = "http"
    KAFKA = "kafka"
    REDIS = "redis"


@dataclass(frozen=True, kw_only=True)
class DaemonSpec:
    """A daemon's process by name.

    Attributes:
        app: Its uvicorn factory.
        joins: The daemon that it is one more process of, in whose folder it works; None: it is the daemon's only one, or first.
    """

    name: str
    app: str
    joins: str | None = None

    @property
    def daemon(self) -> str:
        """The daemon, whose settings and secrets it has."""
        return self.joins or self.name


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """A process to run.

    Attributes:
        environment: What it gets beside the inherited environment.
    """

    name: str
    tier: Tier
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    protocol: Protocol


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the processes of a mesh listen, and the engines that it uses without running them.

    Attributes:
        kafka: Bootstrap servers of an Apache Kafka; None: the mesh's own broker.
        redis: URL of a Redis; None: the mesh's own cache.
        elasticsearch: URL of an Elasticsearch; None: the monitor keeps telemetry in a file.
    """

    ports: Mapping[str, int]
    kafka: str | None = None
    redis: str | None = None
    elasticsearch: str | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The broker, as Kafka clients take it."""
        return self.kafka or f"{LOOPBACK}:{self.ports[BROKER]}"

    @property
    def redis_url(self) -> str:
        """The cache."""
        return self.redis or f"redis://{LOOPBACK}:{self.ports[CACHE]}/0"

    @property
    def urls(self) -> dict[str, str]:
        """The daemons' base URLs by name."""
        return {name: f"http://{LOOPBACK}:{port}" for name, port in self.ports.items() if name not in {BROKER, CACHE}}


DAEMONS = tuple(DaemonSpec(name=name, app=f"services.{name.replace('-', '_')}.app:build") for name in ALL_DAEMONS)


def daemons_with(*, cleaners: int) -> tuple[DaemonSpec, ...]:
    """Return all daemons, with so many processes of the cleaner."""
    cleaner = next(daemon for daemon in DAEMONS if daemon.name == CLEANER)
    more = (DaemonSpec(name=f"{CLEANER}-{number}", app=cleaner.app, joins=CLEANER) for number in range(2, cleaners + 1))
    return (*DAEMONS, *more)


def names_of(daemons: tuple[DaemonSpec, ...], engines: EngineSettings = NO_ENGINES) -> tuple[str, ...]:
    """Return the names of all processes of a mesh with these daemons, which runs the engines that it is not given."""
    own = [name for name, given in ((BROKER, engines.kafka), (CACHE, engines.redis)) if not given]
    return (*own, *(daemon.name for daemon in daemons))


def broker_spec(binary: str, addresses: Addresses, layout: Layout) -> ProcessSpec:
    """Return the Kafka-compatible broker, which keeps its topics in memory."""
    url = f"tcp://{addresses.bootstrap_servers}"
    argv = (
        binary, "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
    )  # fmt: skip
    return ProcessSpec(
        name=BROKER, tier=Tier.BROKER, argv=argv, environment=_marks(layout, BROKER),
        port=addresses.ports[BROKER], protocol=Protocol.KAFKA,
    )  # fmt: skip


def cache_spec(binary: str, addresses: Addresses, layout: Layout) -> ProcessSpec:
    """Return the cache; losing it costs speed only, so nothing of it is kept on disk."""
    port = addresses.ports[CACHE]
    argv = (
        binary, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no",
        "--dir", str(layout.of(CACHE)), "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru",
    )  # fmt: skip
    return ProcessSpec(
        name=CACHE, tier=Tier.CACHE, argv=argv, environment=_marks(layout, CACHE), port=port, protocol=Protocol.REDIS
    )


def daemon_spec(daemon: DaemonSpec, addresses: Addresses, layout: Layout) -> ProcessSpec:
    """Return a daemon with everything it must know passed by environment."""
    port = addresses.ports[daemon.name]
    argv = (
        sys.executable, "-m", "uvicorn", daemon.app, "--factory", "--app-dir", str(CODE_ROOT),
        "--host", LOOPBACK, "--port", str(port), "--no-access-log", *SERVING,
    )  # fmt: skip
    environment = {**_marks(layout, daemon.name), **_daemon_environment(daemon.daemon, addresses, layout)}
    if daemon.daemon in TRUSTED:
        environment["PLUMBLINE_SECRETS_DIR"] = str(layout.secrets)
    return ProcessSpec(
        name=daemon.name, tier=Tier.DAEMON, argv=argv, environment=environment, port=port, protocol=Protocol.HTTP
    )


def _marks(layout: Layout, name: str) -> dict[str, str]:
    return {MESH_VARIABLE: str(layout.root), PROCESS_VARIABLE: name}


def _daemon_environment(name: str, addresses: Addresses, layout: Layout) -> dict[str, str]:
    return {
        # A folder named `shared` where the user stands must not shadow ours, also in the daemons' child processes.
        "PYTHONPATH": str(CODE_ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "PLUMBLINE_STATE_DIR": str(layout.of(name)),
        "PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS": addresses.bootstrap_servers,
        "PLUMBLINE_REDIS__URL": addresses.redis_url,
        "PLUMBLINE_ARTIFACTS__URL": layout.artifacts_url,
        **({"PLUMBLINE_STORE__URL": addresses.elasticsearch} if addresses.elasticsearch and name == "monitor" else {}),
    }
