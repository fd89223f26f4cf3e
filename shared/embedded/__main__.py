"""`python -m shared.embedded`: a supervisor in the foreground, set by PLUMBLINE_* alone. `plumb up` starts it."""

import sys

from shared.embedded.run import log_to_stderr, run_mesh
from shared.embedded.settings import EmbeddedSettings
from shared.errors import PlumblineError
from shared.topics_admin import create_topics

FAILED = 1


def main() -> int:
    """Run a mesh; a reason that it cannot start goes to stderr as one line."""
    log_to_stderr()
    try:
        run_mesh(EmbeddedSettings(), make_topics=create_topics)
    except PlumblineError as error:
        sys.stderr.write(f"{error} {error.next_step or ''}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
