"""The health check that runs inside a container, against real sockets and real processes."""

import http.server
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import probe


class Daemon(http.server.ThreadingHTTPServer):
    """Answers as a daemon does."""

    statuses: dict[str, int]


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.statuses[self.path])  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with Daemon(("127.0.0.1", 0), Answers) as server:
        server.statuses = {"/healthz": 200, "/readyz": 200}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(probe.status_of, "__kwdefaults__", {"port": server.server_port})
        yield server
        server.shutdown()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[signal.Signals]:
    sent: list[signal.Signals] = []
    monkeypatch.setattr(probe, "end_daemon", sent.append)
    monkeypatch.setattr(probe, "SILENT_SINCE", tmp_path / "silent-since")
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.05)
    return sent


def test_ready_is_healthy(daemon: Daemon, ended: list[signal.Signals]) -> None:
    assert probe.main() == 0
    assert ended == []


def test_alive_but_unready_is_unhealthy_and_left_alone(daemon: Daemon, ended: list[signal.Signals]) -> None:
    daemon.statuses["/readyz"] = 503
    assert probe.main() == 1
    assert ended == []


def test_a_daemon_whose_work_has_ended_is_told_to_end(daemon: Daemon, ended: list[signal.Signals]) -> None:
    daemon.statuses.update({"/healthz": 503, "/readyz": 503})
    assert probe.main() == 1
    assert ended == [signal.SIGTERM]


def test_one_that_does_not_listen_yet_is_left_alone(
    ended: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setattr(probe.status_of, "__kwdefaults__", {"port": reserved.getsockname()[1]})
        monkeypatch.setattr(probe, "SILENCE_LIMIT_S", 0)
        assert [probe.main(), probe.main()] == [1, 1]
    assert ended == []


def test_one_that_takes_questions_and_says_nothing_is_ended_after_the_limit(
    ended: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        monkeypatch.setattr(probe.status_of, "__kwdefaults__", {"port": frozen.getsockname()[1]})
        assert probe.main() == 1
        assert ended == [], "once is no silence"
        monkeypatch.setattr(probe, "SILENCE_LIMIT_S", 0)
        assert probe.main() == 1
        assert ended == [signal.SIGKILL]


def test_silence_is_counted_from_the_first_probe_in_a_row(tmp_path: Path) -> None:
    note = tmp_path / "note"
    assert probe.silent_for(note, 100.0) == 0
    assert probe.silent_for(note, 107.5) == 7.5


def test_the_inits_children_are_ended_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    child = "import time; print(1, flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {child!r}]))"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as init:
        assert init.stdout
        assert init.stdout.readline() == b"1\n"
        monkeypatch.setattr(probe, "INIT", init.pid)
        probe.end_daemon(signal.SIGTERM)
        assert init.wait(timeout=10) not in {0, -signal.SIGTERM}, "the child died of it, and the parent saw that"


def test_a_process_with_a_hard_name_has_its_parent_read(tmp_path: Path) -> None:
    for pid, stat in {"7": "7 (a) b) c) S 1 7 7", "8": "8 (x) S 2 8 8", "self": ""}.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(stat)
    assert probe.children_of(1, proc=tmp_path) == [7]
