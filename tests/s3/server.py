"""An S3 API server in a process of its own: moto's, one request at a time, with a log of requests, and a gate in front.

`python -m tests.s3.server FOLDER` prints its port. It appends each request to FOLDER/requests as `METHOD KEY?QUERY`, knows one
access key, and answers 503 to requests that match the pattern in FOLDER/refuse.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.s3.running import ACCESS_KEY

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

Start = Callable[..., Any]


class Gate:
    """Logs requests, and refuses some."""

    def __init__(self, folder: Path, behind: Callable[[dict[str, Any], Start], Iterable[bytes]]) -> None:
        self._requests = folder / "requests"
        self._refuse = folder / "refuse"
        self._behind = behind

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        with self._requests.open("a") as log:
            log.write(f"{request}\n")
        if f"Credential={ACCESS_KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _answer(environ, start, "403 Forbidden", DENIED)
        if self._refuse.exists() and re.search(self._refuse.read_text(), request):
            return _answer(environ, start, "503 Service Unavailable", BUSY)
        return self._behind(environ, start)


def _answer(environ: dict[str, Any], start: Start, status: str, body: bytes) -> list[bytes]:
    # Read first, or the connection is reset under the client's hands.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start(status, [("content-type", "application/xml"), ("content-length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def main(folder: Path, port: int) -> None:
    app = Gate(folder, DomainDispatcherApplication(create_backend_app))
    # One request at a time: moto compares and sets in two steps, which a real server does in one.
    server = make_server("127.0.0.1", port, app, threaded=False)  # type: ignore[arg-type]
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
