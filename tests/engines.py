"""The real engines for tests: on the address that a variable gives, else in a container, else a failure that says what to set.

`pytest --engines` (`make test-engines`) runs on them what otherwise runs on the engines of the embedded mesh.
"""

import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import docker
import pytest
from docker.errors import DockerException
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError
from pydantic_settings import BaseSettings, SettingsConfigDict
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from contracts.topics import NUM_PARTITIONS, TOPICS
from shared.topics_admin import create_topics

KAFKA_IMAGE = "apache/kafka:4.2.0"
ELASTICSEARCH_IMAGE = "elasticsearch:8.19.0"
REDIS_IMAGE = "redis:7-bookworm"
"""The images of compose.yaml."""
OWN_TOPICS = tuple(
    name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)[: 2 if topic.has_dead_letters else 1]
)
BROKERS_DEFAULT = -1
NODES = (1, 2, 3)
START_S = 180
"""On two busy cores a Kafka takes a minute."""


class EngineAddresses(BaseSettings):
    """Where engines are that tests may use, from `PLUMBLINE_TEST_*`."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_TEST_", frozen=True, extra="ignore")

    kafka: str | None = None
    """host:port of an Apache Kafka whose topics may be emptied."""
    elasticsearch: str | None = None
    """http://host:port of an Elasticsearch 8 that tests may stop and freeze."""
    elasticsearch_control: str | None = None
    """A command that does so; {verb} stands for pause, resume, stop or start, and start returns once it answers."""
    outage_s: float = 20
    """How long Elasticsearch is away in the test of its outage; a run by hand takes 600."""
    redis: str | None = None
    """redis://host:port/0 of a Redis whose keys may be deleted."""
    cluster: str | None = None
    """host:port of three Kafka brokers, comma-separated, any of which may be killed."""
    cluster_kill: str | None = None
    """A command that kills the broker behind an address as a crash would; {n} stands for its place in the list, from 1."""
    cluster_start: str | None = None
    """A command that starts again what was killed."""


def docker_answers() -> bool:
    """Tell whether a Docker engine can be asked for containers."""
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    client.close()
    return True


@contextmanager
def kafka_server() -> Iterator[str]:
    """Yield the bootstrap servers of an Apache Kafka whose topics tests may empty."""
    if given := EngineAddresses().kafka:
        yield given
        return
    need_docker("PLUMBLINE_TEST_KAFKA", "host:port of an Apache Kafka whose topics may be emptied")
    with Network() as network:
        port = free_port()
        with _broker(1, port, network, nodes=(1,)):
            _await_kafka(f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"


@dataclass(frozen=True)
class ElasticsearchServer:
    """An Elasticsearch, and what may be done to it.

    Attributes:
        control: Takes pause, resume, stop or start; paused, it takes connections and does not answer.
    """

    url: str
    control: Callable[[str], None]


@contextmanager
def elasticsearch_server() -> Iterator[ElasticsearchServer]:
    """Yield an Elasticsearch."""
    given = EngineAddresses()
    if given.elasticsearch:
        command = given.elasticsearch_control
        if not command:
            pytest.fail("PLUMBLINE_TEST_ELASTICSEARCH is set, PLUMBLINE_TEST_ELASTICSEARCH_CONTROL is not")
        yield ElasticsearchServer(given.elasticsearch, lambda verb: _command(command.format(verb=verb)))
        return
    need_docker("PLUMBLINE_TEST_ELASTICSEARCH", "http://host:port of an Elasticsearch 8")
    settings = {
        "discovery.type": "single-node", "xpack.security.enabled": "false", "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }  # fmt: skip
    # A port of our own choice: one of Docker's would be another after a start.
    port = free_port()
    container = DockerContainer(ELASTICSEARCH_IMAGE).with_bind_ports(9200, port).with_envs(**settings)
    answers = HttpWaitStrategy(9200).with_startup_timeout(START_S)

    def control(verb: str) -> None:
        getattr(container.get_wrapped_container(), {"resume": "unpause"}.get(verb, verb))()
        if verb == "start":
            answers.wait_until_ready(container)

    with container.waiting_for(answers):
        yield ElasticsearchServer(f"http://127.0.0.1:{port}", control)


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a Redis whose keys tests may delete."""
    if given := EngineAddresses().redis:
        yield given
        return
    need_docker("PLUMBLINE_TEST_REDIS", "redis://host:port/0 of a Redis whose keys may be deleted")
    container = DockerContainer(REDIS_IMAGE).with_exposed_ports(6379)
    with container.waiting_for(LogMessageWaitStrategy("Ready to accept connections").with_startup_timeout(START_S)):
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


@dataclass(frozen=True)
class Cluster:
    """Three brokers of one Kafka, node ids 1 to 3.

    Attributes:
        kill: Ends a node at once, as a crash does.
        start: Starts again what was killed.
    """

    bootstrap_servers: str
    kill: Callable[[int], None]
    start: Callable[[], None]


@contextmanager
def kafka_cluster() -> Iterator[Cluster]:
    """Yield three brokers, any of which may be killed."""
    given = EngineAddresses()
    if given.cluster:
        if not given.cluster_kill or not given.cluster_start:
            pytest.fail(
                "PLUMBLINE_TEST_CLUSTER is set, PLUMBLINE_TEST_CLUSTER_KILL and PLUMBLINE_TEST_CLUSTER_START are not"
            )
        kill, start = given.cluster_kill, given.cluster_start
        yield Cluster(given.cluster, lambda n: _command(kill.format(n=n)), lambda: _command(start))
        return
    need_docker("PLUMBLINE_TEST_CLUSTER", "host:port of three brokers; see tests/broker/test_broker_killed.py")
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        ports = {n: free_port() for n in NODES}
        brokers = {n: stack.enter_context(_broker(n, ports[n], network, nodes=NODES)) for n in NODES}
        servers = ",".join(f"127.0.0.1:{port}" for port in ports.values())
        _await_kafka(servers)
        yield Cluster(servers, lambda n: brokers[n].get_wrapped_container().kill(), lambda: _start_all(brokers))


def _broker(n: int, port: int, network: Network, *, nodes: tuple[int, ...]) -> DockerContainer:
    """Return a broker that is its own controller too; its copies are three in sync on two, where there are three nodes."""
    copies, in_sync = (str(len(nodes)), str((len(nodes) + 1) // 2))
    settings = {
        "KAFKA_NODE_ID": str(n), "KAFKA_PROCESS_ROLES": "broker,controller", "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": ",".join(f"{one}@kafka{one}:9093" for one in nodes),
        "KAFKA_LISTENERS": f"INSIDE://:9092,OUTSIDE://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"INSIDE://kafka{n}:9092,OUTSIDE://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE", "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_DEFAULT_REPLICATION_FACTOR": copies, "KAFKA_MIN_INSYNC_REPLICAS": in_sync,
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": copies, "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": copies,
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": in_sync, "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "6000", "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
    }  # fmt: skip
    container = DockerContainer(KAFKA_IMAGE).with_envs(**settings).with_bind_ports(port, port)
    return container.with_network(network).with_network_aliases(f"kafka{n}")


def _await_kafka(bootstrap_servers: str) -> None:
    """Wait until the brokers answer; Docker takes connections to them from the start."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","), bootstrap_timeout_ms=2_000).close()
        except KafkaError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _start_all(brokers: Mapping[int, DockerContainer]) -> None:
    for broker in brokers.values():
        broker.get_wrapped_container().start()


def _command(words: str) -> None:
    subprocess.run(shlex.split(words), check=True, stdout=subprocess.DEVNULL)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def empty_topics(bootstrap_servers: str) -> None:
    """Leave every topic of the table there and empty, so that a test begins with none of another's messages.

    Topics are emptied, never deleted: where one is created again at once under the name of a deleted one, Kafka 4.2 now and then
    answers for a partition of it with UnknownTopicOrPartition, and does not stop.
    """
    create_topics(bootstrap_servers, replication_factor=BROKERS_DEFAULT)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","))
    try:
        admin.wait_for_topics(list(OWN_TOPICS))
        places = [TopicPartition(name, number) for name in OWN_TOPICS for number in range(NUM_PARTITIONS)]
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        begins = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        filled = {place: end.offset for place, end in ends.items() if end.offset > begins[place].offset}
        _allow_emptying(admin, {place.topic for place in filled})
        if filled:
            admin.delete_records(filled)
    except KafkaError as error:
        pytest.fail(f"{bootstrap_servers} does not let tests empty their topics: {error!r}")
    finally:
        admin.close()


def _allow_emptying(admin: KafkaAdminClient, names: set[str]) -> None:
    """Kafka deletes no records of a topic that is compacted and nothing else."""
    compacted = [topic.name for topic in TOPICS if topic.retention_h is None and topic.name in names]
    if compacted:
        configs = {"cleanup.policy": "compact,delete", "retention.ms": "-1"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=configs) for name in compacted])


def need_docker(variable: str, what: str) -> None:
    """Fail where no container can be started instead of what a variable could name."""
    if not docker_answers():
        pytest.fail(f"no Docker engine answers, and {variable} is not set: start Docker, or set it to {what}")
