"""Creates the topics of the table; what exists already stays as it is."""

from collections.abc import Iterable, Iterator

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError

from contracts.topics import DEAD_LETTER_RETENTION_H, MAX_DEAD_LETTER_BYTES, NUM_PARTITIONS, TOPICS, Topic

HOUR_MS = 3_600_000


def create_topics(
    bootstrap_servers: str, *, replication_factor: int = 1, topics: Iterable[Topic] = TOPICS
) -> list[str]:
    """Create every topic and its dead-letter topic; return the names that were new.

    Args:
        bootstrap_servers: Comma-separated `host:port`.
        replication_factor: Copies of each partition; 1 on a single broker.
        topics: Rows of the topic table.

    Raises:
        KafkaError: The broker cannot be reached or refuses.
    """
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","), client_id="plumbline-topics")
    try:
        existing = set(admin.list_topics())
        wanted = [new for topic in topics for new in _new_topics(topic, replication_factor)]
        missing = [new for new in wanted if new.name not in existing]
        if missing:
            _create(admin, missing)
        return [new.name for new in missing]
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, missing: list[NewTopic]) -> None:
    try:
        admin.create_topics(missing)
    except TopicAlreadyExistsError:
        # Another member of the mesh was faster with some of them: make sure of each.
        for new in missing:
            try:
                admin.create_topics([new])
            except TopicAlreadyExistsError:
                continue


def _new_topics(topic: Topic, replication_factor: int) -> Iterator[NewTopic]:
    if topic.retention_h is None:
        configs = {"cleanup.policy": "compact"}
    else:
        configs = {"cleanup.policy": "delete", "retention.ms": str(topic.retention_h * HOUR_MS)}
    yield NewTopic(topic.name, NUM_PARTITIONS, replication_factor, topic_configs=configs)
    if topic.consumers:
        kept = {
            "cleanup.policy": "delete",
            "retention.ms": str(DEAD_LETTER_RETENTION_H * HOUR_MS),
            "max.message.bytes": str(MAX_DEAD_LETTER_BYTES),
        }
        yield NewTopic(topic.dead_letter_name, NUM_PARTITIONS, replication_factor, topic_configs=kept)
