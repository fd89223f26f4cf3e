"""A whole mesh of stand-ins: the real supervisor, broker and cache, and four daemons that only answer."""

import sys

from kafka.admin import KafkaAdminClient, NewTopic

from shared.embedded.plan import DaemonSpec
from shared.embedded.run import log_to_stderr, run_mesh
from shared.embedded.settings import EmbeddedSettings
from shared.errors import MeshError

NAMES = ("ingest", "release-manager", "inference-gateway", "monitor")
TOPIC = "standin-v1"


def create_topics(bootstrap_servers: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=4, replication_factor=1)])
    finally:
        admin.close()


def main() -> int:
    daemons = tuple(DaemonSpec(name=name, app="tests.embedded.standin:build") for name in NAMES)
    log_to_stderr()
    try:
        run_mesh(EmbeddedSettings(), make_topics=create_topics, daemons=daemons)
    except MeshError as error:
        sys.stderr.write(f"{error} {error.next_step}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
