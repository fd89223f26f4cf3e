"""The spool: telemetry waits on disk until the broker has it, so that neither an outage of the broker nor a kill loses it.

One SQLite file in the daemon's folder, bounded in bytes: the oldest gives way and is counted. Processes that share a folder have
a file each. A disk that is full or gone costs nothing at once either: what it does not take waits in memory, bounded too. A file
that a power cut has spoilt is set aside. Nothing here raises: telemetry must never fail the work that is being observed.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock, Timeout
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from contracts.topics import OTLP_LOGS, OTLP_METRICS, OTLP_SPANS

FRESH_S = 30.0
"""Younger metrics go first, since alerts are decided by them. Older ones would be misdated: they wait their turn."""
MAX_TAKEN_BYTES = 1 << 20
"""What is sent in one round, so that fresh metrics never wait long behind a backlog."""
MAX_TAKEN = 200
MAX_MEMORY_BYTES = 16 << 20
NUM_DROPPED_AT_ONCE = 20
MAX_FREE_PAGES = 2_048
"""Pages of 4 kB that an empty spool keeps for itself; more go back to the file system after an outage."""
BUSY_TIMEOUT_S = 1.0

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, spooled_at REAL NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS metrics_by_time ON messages (spooled_at) WHERE topic = '{OTLP_METRICS.name}';
"""
ADD = "INSERT INTO messages (number, topic, spooled_at, payload) VALUES (?, ?, ?, ?)"
FRESH_METRICS = f"""
SELECT number, topic, payload FROM messages WHERE topic = '{OTLP_METRICS.name}' AND spooled_at > ? ORDER BY spooled_at, number
"""  # noqa: S608 a constant
OLDEST = "SELECT number, topic, payload FROM messages ORDER BY number"
REMOVE = "DELETE FROM messages WHERE number = ? RETURNING length(payload)"
LAST_NUMBER = "SELECT coalesce(max(number), 0) FROM messages"
NUM_BYTES = "SELECT coalesce(sum(length(payload)), 0) FROM messages"
SPOILT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

ResultT = TypeVar("ResultT")

log = logging.getLogger(__name__)


class Spooled(NamedTuple):
    """A message that waits; the number is negative where it waits in memory."""

    number: int
    topic: str
    payload: bytes


class Spool:
    """OTLP messages that wait for the broker. Threads may share it.

    Attributes:
        dropped: Spans, log records and metric exports that gave way, since the start.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_memory_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._path = path
        self._held: FileLock | None = None
        self._max_bytes = max_bytes
        self._memory = _Memory(max_memory_bytes)
        self._db: sqlite3.Connection | None = None
        self._num_bytes = 0
        # Counted here, since SQLite gives the number of a message that is gone, and perhaps in flight, to another one.
        self._last_number = 0
        self._sent: set[int] = set()
        self._is_refused = False
        self._lock = threading.Lock()
        self.dropped: dict[str, int] = {"span": 0, "log": 0, "metric": 0}

    def put(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Keep (topic, payload) pairs: on disk, or in memory while the disk takes nothing."""
        with self._lock:
            if self._on_disk(lambda db: self._insert(db, messages)) is None:
                self._count(self._memory.put(messages))
            elif self._is_refused:
                self._is_refused = False
                log.warning("the telemetry spool is used again", extra={"path": str(self._path)})

    def take(self) -> tuple[Spooled, ...]:
        """Return what is to be sent next, and keep it: fresh metrics, then the oldest; at most about MAX_TAKEN_BYTES."""
        with self._lock:
            return self._on_disk(self._next) or self._memory.oldest()

    def remove(self, messages: Sequence[Spooled]) -> None:
        """Forget what has been sent."""
        with self._lock:
            # A full disk may refuse even this: what was sent is remembered, and not sent again for ever.
            self._sent.update(message.number for message in messages if message.number > 0)
            self._memory.remove(message.number for message in messages if message.number < 0)
            self._on_disk(self._delete_sent)

    def drop(self, messages: Sequence[Spooled]) -> None:
        """Forget what the broker will never take, and count it."""
        self.remove(messages)
        with self._lock:
            self._count(messages)

    def close(self) -> None:
        """Close the file; what waits in it is sent after the next start."""
        with self._lock:
            self._disconnect()
            if self._held is not None:
                self._held.release()
                self._held = None

    def _on_disk(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT | None:
        """Do some work on the file; None: not possible at present."""
        try:
            return self._again_if_spoilt(work)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            if not self._is_refused:
                self._is_refused = True
                log.error(  # noqa: TRY400 (once, and the reason says it all)
                    "the telemetry spool cannot be used: what waits, waits in memory; see that its disk has space",
                    extra={"path": str(self._path), "reason": str(error)},
                )
            return None

    def _again_if_spoilt(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        try:
            return work(self._connected())
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in SPOILT:
                raise
            self._set_aside(error)
            return work(self._connected())

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._hold_a_file()
            self._db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            # Survives a kill of the process; of a power cut only what the system had not written yet is lost.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA journal_size_limit = 4194304")
            self._db.executescript(SCHEMA)
            self._num_bytes = self._db.execute(NUM_BYTES).fetchone()[0]
            self._last_number = max(self._last_number, self._db.execute(LAST_NUMBER).fetchone()[0])
        return self._db

    def _hold_a_file(self) -> None:
        """Take the first of the folder's spools that no other process holds, with what one that was killed has left in it."""
        path, number = self._path, 1
        while self._held is None:
            lock = FileLock(f"{path}.lock", timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                number += 1
                path = self._path.with_stem(f"{self._path.stem}-{number}")
            else:
                self._path, self._held = path, lock

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _set_aside(self, error: sqlite3.Error) -> None:
        self._disconnect()
        aside = self._path.with_name(f"{self._path.name}.spoilt")
        self._path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._sent.clear()
        log.error(
            "the telemetry spool was spoilt and is set aside; a fresh one begins",
            extra={"path": str(aside), "reason": str(error)},
        )

    def _insert(self, db: sqlite3.Connection, messages: Sequence[tuple[str, bytes]]) -> bool:
        now = time.time()
        num_bytes = sum(len(payload) for _, payload in messages)
        with db:
            gone = self._make_room(db, num_bytes)
            numbered = enumerate(messages, self._last_number + 1)
            db.executemany(ADD, [(number, topic, now, payload) for number, (topic, payload) in numbered])
        self._last_number += len(messages)
        self._num_bytes += num_bytes - sum(len(message.payload) for message in gone)
        self._count(gone)
        return True

    def _make_room(self, db: sqlite3.Connection, num_bytes: int) -> list[Spooled]:
        gone: list[Spooled] = []
        if self._sent:
            self._delete_sent(db)
        excess = self._num_bytes + num_bytes - self._max_bytes
        while excess > 0 and (oldest := db.execute(f"{OLDEST} LIMIT {NUM_DROPPED_AT_ONCE}").fetchall()):
            for row in map(Spooled._make, oldest):
                if excess > 0:
                    db.execute(REMOVE, (row.number,))
                    excess -= len(row.payload)
                    gone.append(row)
        return gone

    def _next(self, db: sqlite3.Connection) -> tuple[Spooled, ...]:
        if self._sent:
            self._delete_sent(db)
        fresh = _up_to_limit(db.execute(FRESH_METRICS, (time.time() - FRESH_S,)), ())
        return _up_to_limit(db.execute(OLDEST), fresh)

    def _delete_sent(self, db: sqlite3.Connection) -> bool:
        with db:
            # What gave way while it was sent is there no more, and its size was subtracted then.
            removed = [row for number in self._sent for row in db.execute(REMOVE, (number,)).fetchall()]
        self._num_bytes -= sum(num_bytes for (num_bytes,) in removed)
        self._sent.clear()
        if self._num_bytes == 0 and db.execute("PRAGMA freelist_count").fetchone()[0] > MAX_FREE_PAGES:
            db.executescript("PRAGMA incremental_vacuum")  # (`execute` would stop after one page)
        return True

    def _count(self, gone: Iterable[Spooled]) -> None:
        was_whole = not any(self.dropped.values())
        for message in gone:
            signal, num_items = _items_of(message)
            self.dropped[signal] += num_items
        if was_whole and any(self.dropped.values()):
            # Each drop would be a record more; the metric of drops counts on.
            log.error("the oldest telemetry is dropped: too much waits for the broker", extra=dict(self.dropped))


class _Memory:
    """Where messages wait while the disk takes none; the oldest give way."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._last_number = 0
        self._messages: deque[Spooled] = deque()

    def put(self, messages: Sequence[tuple[str, bytes]]) -> list[Spooled]:
        """Keep messages; return those that gave way."""
        for topic, payload in messages:
            self._last_number -= 1
            self._messages.append(Spooled(self._last_number, topic, payload))
            self._num_bytes += len(payload)
        gone = []
        while self._num_bytes > self._max_bytes and self._messages:
            gone.append(self._messages.popleft())
            self._num_bytes -= len(gone[-1].payload)
        return gone

    def oldest(self) -> tuple[Spooled, ...]:
        """Return what is to be sent next."""
        return _up_to_limit(self._messages, ())

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget messages."""
        gone = set(numbers)
        if gone:
            self._messages = deque(message for message in self._messages if message.number not in gone)
            self._num_bytes = sum(len(message.payload) for message in self._messages)


def _up_to_limit(rows: Iterable[tuple[int, str, bytes]], already: tuple[Spooled, ...]) -> tuple[Spooled, ...]:
    taken = list(already)
    known = {message.number for message in already}
    num_bytes = sum(len(message.payload) for message in already)
    for row in map(Spooled._make, rows):
        if taken and (num_bytes + len(row.payload) > MAX_TAKEN_BYTES or len(taken) >= MAX_TAKEN):
            break
        if row.number not in known:
            taken.append(row)
            num_bytes += len(row.payload)
    return tuple(taken)


def _items_of(message: Spooled) -> tuple[str, int]:
    """Return the signal of a message and how many spans, log records or metric exports it holds."""
    try:
        if message.topic == OTLP_SPANS.name:
            traces = ExportTraceServiceRequest.FromString(message.payload)
            return "span", sum(len(scope.spans) for group in traces.resource_spans for scope in group.scope_spans)
        if message.topic == OTLP_LOGS.name:
            logs = ExportLogsServiceRequest.FromString(message.payload)
            return "log", sum(len(scope.log_records) for group in logs.resource_logs for scope in group.scope_logs)
    except DecodeError:
        return ("span" if message.topic == OTLP_SPANS.name else "log"), 1
    return "metric", 1
