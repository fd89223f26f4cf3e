"""A child process that does what its job says: `python -m tests.unit.shared.child_for_tests JOB_FILE`."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from shared.child import CANNOT_BE_DONE, exit_with_parent


def main(job_file: Path) -> int:
    """Count its starts in a file, then behave as the job says."""
    job = json.loads(job_file.read_text())
    starts = job_file.with_name("starts")
    number = int(starts.read_text()) + 1 if starts.exists() else 1
    starts.write_text(str(number))
    print(json.dumps({"pid": os.getpid(), "start": number}), flush=True)  # noqa: T201
    if number <= job.get("deaths", 0):
        print("going down", file=sys.stderr, flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGKILL)
    if job.get("wait"):
        time.sleep(600)
    if reason := job.get("refuse"):
        print(reason, file=sys.stderr)  # noqa: T201
        return CANNOT_BE_DONE
    print("not json")  # noqa: T201
    job_file.with_name("result.json").write_text(json.dumps({"starts": number, "colour": os.environ.get("COLOUR")}))  # noqa: TID251
    return 0


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
