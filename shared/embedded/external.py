"""Engines that somebody else runs: Kafka, a cache, Elasticsearch. They are watched, never started or ended."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaTimeoutError
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.topics import ALL_DAEMONS, NUM_PARTITIONS, RELEASE_CHANGED, TOPICS
from shared.embedded.errors import ForeignMessages
from shared.embedded.layout import Layout
from shared.embedded.settings import EngineSettings
from shared.files import write_atomically

BOOTSTRAP_MS = 5_000
CONNECT_S = 3.0
DELETED_WITHIN_S = 30.0
POLL_S = 0.1
BROKERS_DEFAULT = -1
KAFKA_PORT = 9092
DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}
OWN_TOPICS = tuple(name for topic in TOPICS for name in (topic.name, topic.dead_letter_name))

CreateTopics = Callable[..., object]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that the mesh uses.

    Attributes:
        name: `kafka`, `redis` or `elasticsearch`.
        at: Its address as the user gave it, without what may be a password.
        places: Host and port of each of its servers; one that answers is enough.
    """

    name: str
    at: str
    places: tuple[tuple[str, int], ...]


class KafkaIdentity(BaseModel):
    """What tells the topics that a mesh works with from others of the same names: Kafka gives new ids to topics made anew."""

    model_config = ConfigDict(frozen=True)

    cluster_id: str
    topic_id: str


def engines_of(settings: EngineSettings) -> tuple[Engine, ...]:
    """Return the engines that settings name."""
    found = []
    if settings.kafka:
        places = tuple(_place(server, KAFKA_PORT) for server in settings.kafka.split(","))
        found.append(Engine(name="kafka", at=settings.kafka, places=places))
    for name, url in (("redis", settings.redis), ("elasticsearch", settings.elasticsearch)):
        if url:
            parts = urlsplit(url)
            place = (parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])
            found.append(Engine(name=name, at=f"{parts.scheme}://{place[0]}:{place[1]}", places=(place,)))
    return tuple(found)


async def answers(engine: Engine, *, timeout_s: float) -> bool:
    """Tell whether one of an engine's servers takes connections."""
    return any([await _takes_connections(host, port, timeout_s=timeout_s) for host, port in engine.places])


def prepare_topics(bootstrap_servers: str, layout: Layout, *, fresh: bool, create_topics: CreateTopics) -> None:
    """Create the topics of the table on a Kafka that the mesh does not run; what is there stays, unless it is another mesh's.

    Args:
        bootstrap_servers: Comma-separated host:port.
        layout: The state directory, which remembers the topics that it worked with.
        fresh: Delete the topics first, with all their messages.
        create_topics: Creates what is missing.

    Raises:
        ForeignMessages: The topics hold messages that this state directory knows nothing of, or a mesh is at work on them.
        OSError: No server takes connections; worth another attempt.
        KafkaError: Kafka does not answer or refuses; worth another attempt.
    """
    _check_connection(bootstrap_servers)
    with closing(_admin(bootstrap_servers)) as admin:
        now = _identity(admin)
        if fresh:
            _refuse_if_used(admin, bootstrap_servers)
            _delete(admin)
        elif now and now != _remembered(layout) and _num_messages(admin):
            raise ForeignMessages(
                f"Kafka at {bootstrap_servers} holds messages of a mesh that {layout.root} knows nothing of: its documents and "
                "models lie elsewhere.",
                next_step="Start that mesh with its own state directory, or delete its topics and messages with --fresh-topics.",
            )
    create_topics(bootstrap_servers, replication_factor=BROKERS_DEFAULT)
    with closing(_admin(bootstrap_servers)) as admin:
        admin.wait_for_topics(list(_there(admin)))
        _num_messages(admin)
        made = _identity(admin)
    if made:
        write_atomically(layout.kafka, made.model_dump_json().encode())


def _check_connection(bootstrap_servers: str) -> None:
    # Kafka's client would try for long, and say less.
    failures = []
    for host, port in (_place(server, KAFKA_PORT) for server in bootstrap_servers.split(",")):
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
        except OSError as error:
            failures.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return
    msg = f"Kafka takes no connections ({'; '.join(failures)})"
    raise ConnectionError(msg)


def _admin(bootstrap_servers: str) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","), bootstrap_timeout_ms=BOOTSTRAP_MS)


def _identity(admin: KafkaAdminClient) -> KafkaIdentity | None:
    if RELEASE_CHANGED.name not in _there(admin):
        return None
    [topic] = admin.describe_topics([RELEASE_CHANGED.name])
    return KafkaIdentity(cluster_id=str(admin.describe_cluster()["cluster_id"]), topic_id=str(topic["topic_id"]))


def _remembered(layout: Layout) -> KafkaIdentity | None:
    with suppress(FileNotFoundError, ValidationError):
        return KafkaIdentity.model_validate_json(layout.kafka.read_bytes())
    return None


def _there(admin: KafkaAdminClient) -> set[str]:
    return set(admin.list_topics()) & set(OWN_TOPICS)


def _num_messages(admin: KafkaAdminClient) -> int:
    """Return how many messages the topics hold; Kafka's own offsets say so, unlike those of the embedded broker."""
    places = [TopicPartition(name, number) for name in _there(admin) for number in range(NUM_PARTITIONS)]
    ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    begins = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
    return sum(ends[place].offset - begins[place].offset for place in places)


def _refuse_if_used(admin: KafkaAdminClient, bootstrap_servers: str) -> None:
    ids = [group["group_id"] for group in admin.list_groups() if group["group_id"].startswith(ALL_DAEMONS)]
    used = [name for name, group in (admin.describe_groups(ids) if ids else {}).items() if group["members"]]
    if used:
        raise ForeignMessages(
            f"Daemons of a mesh are at work on Kafka at {bootstrap_servers} ({', '.join(sorted(used))}), so its topics stay.",
            next_step="Stop that mesh first; a killed one is forgotten by Kafka after some seconds.",
        )


def _delete(admin: KafkaAdminClient) -> None:
    """Delete the topics and wait until they are gone; Kafka then forgets their groups' offsets too.

    Raises:
        KafkaTimeoutError: They are still there.
    """
    if there := _there(admin):
        admin.delete_topics(sorted(there))
    deadline = time.monotonic() + DELETED_WITHIN_S
    while _there(admin):
        if time.monotonic() > deadline:
            msg = f"topics are still there {DELETED_WITHIN_S:.0f} s after they were deleted"
            raise KafkaTimeoutError(msg)
        time.sleep(POLL_S)


async def _takes_connections(host: str, port: int, *, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _place(server: str, default_port: int) -> tuple[str, int]:
    host, _, port = server.strip().rpartition(":")
    return (host, int(port)) if host else (port, default_port)
