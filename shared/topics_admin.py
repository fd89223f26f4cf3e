"""Creates the topics of the table; what exists already stays as it is. `python -m shared.topics_admin` does so once, and ends."""

from collections.abc import Iterable, Iterator

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from pydantic_settings import BaseSettings, SettingsConfigDict
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts.topics import DEAD_LETTER_RETENTION_H, MAX_DEAD_LETTER_BYTES, NUM_PARTITIONS, TOPICS, Topic
from shared.settings import KafkaSettings

HOUR_MS = 3_600_000
BROKERS_DEFAULT = -1
"""Leaves the number of copies to the cluster (`default.replication.factor`)."""
BROKER_WITHIN_S = 120.0
RETRY_PAUSE_S = 1.0


class TopicsSettings(BaseSettings):
    """What the one-shot is told."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore")

    kafka: KafkaSettings = KafkaSettings()


def main() -> None:
    """Create the topics on the configured broker, once it answers.

    Raises:
        KafkaError: It did not within two minutes, or it refuses.
    """
    servers = TopicsSettings().kafka.bootstrap_servers
    attempts = Retrying(
        retry=retry_if_exception_type(KafkaError),
        stop=stop_after_delay(BROKER_WITHIN_S),
        wait=wait_fixed(RETRY_PAUSE_S),
        reraise=True,
    )
    new = attempts(create_topics, servers, replication_factor=BROKERS_DEFAULT)
    print(f"topics: {len(new)} created on {servers}, the others were there")  # noqa: T201 (a program of its own)


def create_topics(
    bootstrap_servers: str, *, replication_factor: int = 1, topics: Iterable[Topic] = TOPICS
) -> list[str]:
    """Create every topic and its dead-letter topic; return the names that were new.

    Args:
        bootstrap_servers: Comma-separated `host:port`.
        replication_factor: Copies of each partition; 1 on a single broker, -1 for what its cluster gives.
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
    if topic.has_dead_letters:
        kept = {
            "cleanup.policy": "delete",
            "retention.ms": str(DEAD_LETTER_RETENTION_H * HOUR_MS),
            "max.message.bytes": str(MAX_DEAD_LETTER_BYTES),
        }
        yield NewTopic(topic.dead_letter_name, NUM_PARTITIONS, replication_factor, topic_configs=kept)


if __name__ == "__main__":
    main()
