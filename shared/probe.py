"""`python -m shared.probe`: a container's health check, run inside it. It imports little, since it runs often.

Healthy is what `/readyz` says. An engine that only knows "healthy" does not restart what is not, so the probe ends a daemon that
only a restart can help: its work has ended (`/healthz` answers 503), or it has been silent for `SILENCE_LIMIT_S`. The engine then
starts it again.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

PORT = 8000
TIMEOUT_S = 3.0
SILENCE_LIMIT_S = 15.0
"""Longer than Kafka's session, which gives the daemon's work to another, and longer than a busy machine lets a daemon wait."""
SILENT_SINCE = Path("/tmp/silent-since")  # noqa: S108 (the container's own, emptied at its start)
INIT = 1
"""The container's init: the daemon is its child, and with the daemon the container ends."""
OK = 200


def main() -> int:
    """Return 0 if the daemon can serve, else 1; end it if only that helps."""
    try:
        alive, ready = status_of("/healthz"), status_of("/readyz")
    except TimeoutError:
        if silent_for(SILENT_SINCE, time.monotonic()) > SILENCE_LIMIT_S:
            end_daemon(signal.SIGKILL)
        return 1
    except (OSError, ValueError):  # nobody listens yet, or no longer
        SILENT_SINCE.unlink(missing_ok=True)
        return 1
    SILENT_SINCE.unlink(missing_ok=True)
    if alive != OK:
        end_daemon(signal.SIGTERM)
    return 0 if ready == OK else 1


def status_of(path: str, *, port: int = PORT) -> int:
    """Return the status that the daemon answers.

    Raises:
        TimeoutError: It took the question, and said nothing.
        OSError: It cannot be reached.
        ValueError: It answered something else than HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return _status(connection.recv(64))


def _status(line: bytes) -> int:
    """Return the status in an answer's first line, `HTTP/1.1 200 OK`."""
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/"):
        raise ValueError(line)
    return int(rest[:3])


def silent_for(note: Path, now: float) -> float:
    """Return the seconds since the first probe in a row that got no answer; `now` counts seconds since the machine's start."""
    try:
        return now - float(note.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        note.write_text(str(now), encoding="ascii")
        return 0.0


def end_daemon(number: signal.Signals) -> None:
    """Send the signal to the init's children; nothing is done where there is no init."""
    for child in children_of(INIT):
        if child != os.getpid():
            print(f"probe: sent {number.name} to {child}", file=sys.stderr)  # noqa: T201
            os.kill(child, number)


def children_of(parent: int, *, proc: Path = Path("/proc")) -> list[int]:
    """Return the processes that a process started."""
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and _parent_of(entry) == parent]


def _parent_of(entry: Path) -> int | None:
    try:
        # "pid (command) state parent ...": the command may hold spaces and brackets.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
