"""Runs the S3 API server of `tests.s3.server` and looks at what it was asked."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "plumbline"
ACCESS_KEY, SECRET_KEY = "plumbline", "not-much-of-a-secret"


@dataclass
class S3Server:
    """A running server.

    Attributes:
        folder: Where it logs requests, and is told what to refuse.
    """

    folder: Path
    process: subprocess.Popen[str]
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon is told of it."""
        return {
            "PLUMBLINE_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "PLUMBLINE_S3_REGION": "us-east-1",
            "PLUMBLINE_S3_ACCESS_KEY_ID": ACCESS_KEY,
            "PLUMBLINE_S3_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def requests(self, pattern: str = "") -> list[str]:
        """Return the requests that match, oldest first."""
        log = self.folder / "requests"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if re.search(pattern, line)]

    def forget_requests(self) -> None:
        (self.folder / "requests").unlink(missing_ok=True)

    @contextmanager
    def refusing(self, pattern: str) -> Iterator[None]:
        """Answer 503 to requests that match while the block lasts."""
        refuse = self.folder / "refuse"
        refuse.write_text(pattern)
        try:
            yield
        finally:
            refuse.unlink()

    def make_bucket(self) -> None:
        self._call("create_bucket")

    def put_raw(self, key: str, data: bytes) -> None:
        """Put an object past the store, as a fault would."""
        self._call("put_object", Key=key, Body=data)

    def _call(self, method: str, **given: object) -> None:
        import s3fs  # (here, since every test session loads this module)

        url = self.environment["PLUMBLINE_S3_ENDPOINT_URL"]
        s3fs.S3FileSystem(key=ACCESS_KEY, secret=SECRET_KEY, endpoint_url=url).call_s3(method, Bucket=BUCKET, **given)


@contextmanager
def running_s3(folder: Path, *, port: int = 0) -> Iterator[S3Server]:
    """Run a server with an empty bucket until the block ends."""
    argv = [sys.executable, "-m", "tests.s3.server", str(folder), str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout
    try:
        server = S3Server(folder, process, int(process.stdout.readline()))
        server.make_bucket()
        yield server
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
