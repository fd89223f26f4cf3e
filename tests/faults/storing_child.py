"""A child process that stores an artifact: `python -m tests.faults.storing_child JOB_FILE`."""

import sys
from pathlib import Path

from pydantic import BaseModel

from shared.artifacts import ArtifactStore
from shared.child import do_job, exit_with_parent


class Job(BaseModel):
    """What to do."""

    url: str


class Stored(BaseModel):
    """What was done."""

    digest: str


def work(job: Job, _: Path) -> Stored:
    return Stored(digest=ArtifactStore(job.url).put_bytes(b"some weights" * 1000))


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(do_job(Path(sys.argv[1]), Job, work))
