"""The embedded mesh whose daemons can be killed at a moment: the real supervisor, broker, cache and daemons."""

import sys

from shared.embedded.plan import DAEMONS, DaemonSpec
from shared.embedded.run import log_to_stderr, run_mesh
from shared.embedded.settings import EmbeddedSettings
from shared.errors import MeshError
from shared.topics_admin import create_topics


def main() -> int:
    daemons = tuple(DaemonSpec(name=daemon.name, app="tests.faults.doomed:build") for daemon in DAEMONS)
    log_to_stderr()
    try:
        run_mesh(EmbeddedSettings(), make_topics=create_topics, daemons=daemons)
    except MeshError as error:
        sys.stderr.write(f"{error} {error.next_step}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
