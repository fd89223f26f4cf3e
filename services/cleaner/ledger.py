"""The cleaner's memory: which batch was cleaned into what, and lies in which version. One SQLite file, synchronous.

Every method is one transaction and may be repeated: a redelivered batch finds what it left. Several cleaners of one machine may
share the file: a domain's owner writes, and where two believe to be it for a moment, what came first stands.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from filelock import FileLock

from contracts.corpus import BatchCleaned, CorpusVersioned
from contracts.envelope import Digest
from services.cleaner.core.cleaned_tables import CleaningCounts
from services.cleaner.core.cut import Request
from shared.corpus import CorpusBatch
from shared.errors import PermanentError

BUSY_TIMEOUT_S = 10.0
"""So long does a change wait for one of another cleaner."""
LAYOUT = 5
"""Counts the changes of the tables and of what they name. 2: the batches' shards hold duplicates; 3: facts tell annotations;
4: and what was made; 5: from what, and labels."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, batch_id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, event_id TEXT NOT NULL,
    traceparent TEXT, shard_digest TEXT NOT NULL, facts_digest TEXT NOT NULL, removed_digest TEXT NOT NULL,
    num_documents INTEGER NOT NULL, counts TEXT NOT NULL, num_new INTEGER NOT NULL DEFAULT 0, cleaned_at TEXT NOT NULL,
    corpus_digest TEXT, quarantined INTEGER NOT NULL DEFAULT 0, event TEXT
);
CREATE INDEX IF NOT EXISTS pending ON batches (domain) WHERE corpus_digest IS NULL;
CREATE INDEX IF NOT EXISTS of_domain ON batches (domain, number);
CREATE TABLE IF NOT EXISTS restored (
    domain TEXT NOT NULL, digest BLOB NOT NULL, reason TEXT NOT NULL, restored_at TEXT NOT NULL,
    PRIMARY KEY (domain, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    domain TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL, traceparent TEXT,
    published INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (domain, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, reason TEXT NOT NULL,
    batch_ids TEXT NOT NULL, received_at TEXT NOT NULL, traceparent TEXT, answered INTEGER NOT NULL DEFAULT 0
);
"""
BATCH_COLUMNS = """
domain, batch_id, event_id, traceparent, shard_digest, facts_digest, removed_digest, num_documents, counts, cleaned_at,
quarantined"""


class LedgerUnreadable(PermanentError):
    """The file belongs to another Plumbline."""


@dataclass(frozen=True, kw_only=True)
class CleanedBatch:
    """A batch that was cleaned.

    Attributes:
        shard_digest: What is left of it: its documents, cleaned, duplicates among them.
        facts_digest: What is known of each of these documents.
        removed_digest: What the steps took out, as it came, and why.
        num_documents: How many are left.
        counts: What the steps did to it.
        is_quarantined: It is left out of the next versions.
    """

    domain: str
    batch_id: UUID
    event_id: UUID
    traceparent: str | None
    shard_digest: Digest
    facts_digest: Digest
    removed_digest: Digest
    num_documents: int
    counts: CleaningCounts
    cleaned_at: datetime
    is_quarantined: bool = False


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version that was cut.

    Attributes:
        traceparent: W3C trace context of the cut.
    """

    event: CorpusVersioned
    traceparent: str | None


class Ledger:
    """The file, opened once; threads take turns, the one that closes it among them."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Args:
            path: In a folder that exists.

        Raises:
            LedgerUnreadable: It was made by a Plumbline with another layout.
        """
        # A worker thread goes on when its task is cancelled, and closing a connection under its query ends the process.
        self._turn = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        # Several cleaners may open one file at the same moment, and a change of the journal waits for nobody.
        with FileLock(path.with_suffix(".lock")):
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            self._make_tables(path)

    def _make_tables(self, path: Path) -> None:
        (layout,), tables = self._one("PRAGMA user_version") or (0,), self._all("SELECT name FROM sqlite_master")
        if tables and layout != LAYOUT:
            self.close()
            msg = f"{path} is a ledger of layout {layout} of another Plumbline; this one reads layout {LAYOUT}"
            raise LedgerUnreadable(msg, next_step="start with an empty state folder, and send the documents again")
        self._db.executescript(f"{SCHEMA}; PRAGMA user_version={LAYOUT};")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, after the query that another thread is at; later ones raise `sqlite3.ProgrammingError`."""
        with self._turn:
            self._db.close()

    # ---- batches

    def add_batch(self, cleaned: CleanedBatch) -> None:
        """Remember a batch, behind all others of its domain; a second time changes nothing."""
        row = (
            str(cleaned.batch_id), cleaned.domain, str(cleaned.event_id), cleaned.traceparent, cleaned.shard_digest,
            cleaned.facts_digest, cleaned.removed_digest, cleaned.num_documents, cleaned.counts.model_dump_json(),
            cleaned.cleaned_at.isoformat(),
        )  # fmt: skip
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO batches (batch_id, domain, event_id, traceparent, shard_digest, facts_digest,"
                " removed_digest, num_documents, counts, cleaned_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def add_batch_event(self, event: BatchCleaned) -> BatchCleaned:
        """Remember what is said of a batch, so that a redelivery says the same; return what was said first, which stands."""
        row = (event.model_dump_json(), event.num_new_documents, str(event.batch_id))
        with self._transaction():
            self._db.execute("UPDATE batches SET event = ?, num_new = ? WHERE batch_id = ? AND event IS NULL", row)
        return self.batch_event(event.batch_id) or event

    def batch(self, batch_id: UUID) -> CleanedBatch | None:
        """Return a batch that was cleaned, said or not; None: it was not."""
        row = self._one(f"SELECT {BATCH_COLUMNS} FROM batches WHERE batch_id = ?", str(batch_id))  # noqa: S608 a constant
        return _batch(row) if row else None

    def batches(self, domain: str, *, skip: int = 0) -> list[CleanedBatch]:
        """Return a domain's batches in the order in which they were cleaned, without the first `skip`."""
        query = f"SELECT {BATCH_COLUMNS} FROM batches WHERE domain = ? ORDER BY number LIMIT -1 OFFSET ?"  # noqa: S608 a constant
        return [_batch(row) for row in self._all(query, domain, skip)]

    def place_of(self, domain: str, batch_id: UUID) -> int:
        """Return how many batches of the domain were cleaned before this one."""
        query = (
            "SELECT COUNT(*) FROM batches WHERE domain = ? AND number < (SELECT number FROM batches WHERE batch_id = ?)"
        )
        row = self._one(query, domain, str(batch_id))
        return int(row[0]) if row else 0

    def batch_event(self, batch_id: UUID) -> BatchCleaned | None:
        """Return what is said of a batch that was cleaned."""
        row = self._one("SELECT event FROM batches WHERE batch_id = ?", str(batch_id))
        return BatchCleaned.model_validate_json(row[0]) if row and row[0] else None

    def batch_events(self, since: datetime, *, limit: int) -> list[tuple[BatchCleaned, str | None]]:
        """Return what was said of the batches cleaned since then, the newest `limit`, oldest first, with their trace context."""
        query = """
            SELECT event, traceparent FROM batches WHERE event IS NOT NULL AND cleaned_at >= ?
            ORDER BY number DESC LIMIT ?"""
        rows = self._all(query, since.isoformat(), limit)
        return [(BatchCleaned.model_validate_json(event), traceparent) for event, traceparent in reversed(rows)]

    # ---- what is pending

    def domains(self) -> list[str]:
        """Return the domains that may be due: with new documents, or with a request."""
        query = """
            SELECT domain FROM batches WHERE corpus_digest IS NULL AND num_new > 0 AND NOT quarantined
            UNION SELECT domain FROM requests WHERE NOT answered ORDER BY domain"""
        return [row[0] for row in self._all(query)]

    def num_pending(self, domain: str) -> int:
        """Return how many new documents no version holds."""
        query = """
            SELECT COALESCE(SUM(num_new), 0) FROM batches
            WHERE domain = ? AND corpus_digest IS NULL AND NOT quarantined"""
        row = self._one(query, domain)
        return int(row[0]) if row else 0

    def pending_batches(self, domain: str) -> list[tuple[UUID, str | None]]:
        """Return the batches with new documents that no version holds, oldest first, with their trace context."""
        query = """
            SELECT batch_id, traceparent FROM batches
            WHERE domain = ? AND corpus_digest IS NULL AND num_new > 0 AND NOT quarantined ORDER BY number"""
        return [(UUID(batch_id), traceparent) for batch_id, traceparent in self._all(query, domain)]

    def oldest_pending_at(self, domain: str) -> datetime | None:
        """Return when the first of the batches was cleaned whose new documents no version holds."""
        query = """
            SELECT MIN(cleaned_at) FROM batches
            WHERE domain = ? AND corpus_digest IS NULL AND num_new > 0 AND NOT quarantined"""
        row = self._one(query, domain)
        return datetime.fromisoformat(row[0]) if row and row[0] else None

    def last_cleaned_at(self, domain: str) -> datetime | None:
        """Return when the domain's last batch was cleaned."""
        row = self._one("SELECT cleaned_at FROM batches WHERE domain = ? ORDER BY number DESC LIMIT 1", domain)
        return datetime.fromisoformat(row[0]) if row else None

    # ---- requests

    def add_request(self, request: Request, *, domain: str, batch_ids: Iterable[UUID]) -> None:
        """Remember a request; a second time changes nothing."""
        wanted = json.dumps([str(batch_id) for batch_id in batch_ids])
        at = request.received_at.isoformat()
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO requests (event_id, domain, reason, batch_ids, received_at, traceparent)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (str(request.event_id), domain, request.reason, wanted, at, request.traceparent),
            )

    def open_requests(self, domain: str) -> list[Request]:
        """Return the requests that were not answered, oldest first, each with what it still waits for."""
        query = """
            SELECT event_id, reason, received_at, traceparent, batch_ids FROM requests
            WHERE domain = ? AND NOT answered ORDER BY number"""
        return [
            Request(
                event_id=UUID(event_id),
                reason=reason,
                received_at=datetime.fromisoformat(received_at),
                traceparent=traceparent,
                missing=tuple(UUID(wanted) for wanted in json.loads(batch_ids) if not self._is_clean(wanted)),
            )
            for event_id, reason, received_at, traceparent, batch_ids in self._all(query, domain)
        ]

    def answer_request(self, event_id: UUID) -> None:
        """Close a request."""
        with self._transaction():
            self._db.execute("UPDATE requests SET answered = 1 WHERE event_id = ?", (str(event_id),))

    # ---- versions

    def add_version(self, version: Version, batch_ids: Iterable[UUID]) -> Version:
        """Remember a cut: the version, the batches that it was made of, and the request that it answers.

        Returns:
            The version that has this number. It is another one where two members cut at the same moment, since a domain was just
            moving: what was remembered first stands, and nothing of this one is.
        """
        event = version.event
        row = (event.domain, event.number, event.model_dump_json(), version.traceparent)
        with self._transaction():
            query = "INSERT OR IGNORE INTO versions (domain, number, event, traceparent) VALUES (?, ?, ?, ?)"
            if self._db.execute(query, row).rowcount:
                self._mark_used(event, batch_ids)
        return self.version(event.domain, event.number) or version

    def _mark_used(self, event: CorpusVersioned, batch_ids: Iterable[UUID]) -> None:
        self._db.executemany(
            "UPDATE batches SET corpus_digest = COALESCE(corpus_digest, ?) WHERE batch_id = ?",
            [(event.corpus_digest, str(batch_id)) for batch_id in batch_ids],
        )
        if event.training_request_id:
            self._db.execute("UPDATE requests SET answered = 1 WHERE event_id = ?", (str(event.training_request_id),))

    def latest_version(self, domain: str) -> Version | None:
        """Return the domain's last version."""
        return next(iter(self.last_versions(domain, limit=1)), None)

    def version(self, domain: str, number: int) -> Version | None:
        """Return a version by its number."""
        row = self._one("SELECT event, traceparent FROM versions WHERE domain = ? AND number = ?", domain, number)
        return _version(*row) if row else None

    def last_versions(self, domain: str, *, limit: int) -> list[Version]:
        """Return a domain's last versions, newest first."""
        query = "SELECT event, traceparent FROM versions WHERE domain = ? ORDER BY number DESC LIMIT ?"
        return [_version(*row) for row in self._all(query, domain, limit)]

    def domains_with_versions(self) -> list[str]:
        """Return the domains that have a version."""
        return [row[0] for row in self._all("SELECT DISTINCT domain FROM versions ORDER BY domain")]

    def unpublished(self) -> list[Version]:
        """Return the versions that were cut and perhaps not announced, oldest first."""
        query = "SELECT event, traceparent FROM versions WHERE NOT published ORDER BY domain, number"
        return [_version(*row) for row in self._all(query)]

    def mark_published(self, version: Version) -> None:
        """Remember that a version was announced."""
        place = (version.event.domain, version.event.number)
        with self._transaction():
            self._db.execute("UPDATE versions SET published = 1 WHERE domain = ? AND number = ?", place)

    # ---- quarantine

    def quarantine(self, batch_ids: Iterable[UUID]) -> int:
        """Leave batches out of the next versions; return how many were not left out before."""
        with self._transaction():
            return self._db.executemany(
                "UPDATE batches SET quarantined = 1 WHERE batch_id = ? AND NOT quarantined",
                [(str(batch_id),) for batch_id in batch_ids],
            ).rowcount

    def put_back(self, batch_ids: Iterable[UUID], *, as_new: bool = True) -> int:
        """Take batches out of quarantine; return how many were in it.

        Args:
            batch_ids: Which.
            as_new: The latest version lacks them: what they hold waits for the next one.
        """
        corpus_digest = "NULL" if as_new else "corpus_digest"
        with self._transaction():
            return self._db.executemany(
                f"UPDATE batches SET quarantined = 0, corpus_digest = {corpus_digest} WHERE batch_id = ? AND quarantined",  # noqa: S608 one of two constants
                [(str(batch_id),) for batch_id in batch_ids],
            ).rowcount

    def quarantined(self, domain: str) -> frozenset[UUID]:
        """Return the batches that are left out."""
        query = "SELECT batch_id FROM batches WHERE domain = ? AND quarantined"
        return frozenset(UUID(row[0]) for row in self._all(query, domain))

    # ---- what a person wants kept

    def restore(self, domain: str, digests: Iterable[bytes], *, reason: str, now: datetime) -> int:
        """Remember documents that stay whatever they are like; return how many were not remembered before."""
        rows = [(domain, digest, reason, now.isoformat()) for digest in digests]
        with self._transaction():
            return self._db.executemany("INSERT OR IGNORE INTO restored VALUES (?, ?, ?, ?)", rows).rowcount

    def restored(self, domain: str) -> frozenset[bytes]:
        """Return the digests of the documents that a person wants kept."""
        return frozenset(row[0] for row in self._all("SELECT digest FROM restored WHERE domain = ?", domain))

    def has_restored(self, domain: str, *, since: datetime) -> bool:
        """Whether a person has restored a document since then."""
        query = "SELECT 1 FROM restored WHERE domain = ? AND restored_at >= ? LIMIT 1"
        return self._one(query, domain, since.isoformat()) is not None

    # ----

    def _is_clean(self, batch_id: str) -> bool:
        return self._one("SELECT 1 FROM batches WHERE batch_id = ?", batch_id) is not None

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._turn, closing(self._db.execute(query, values)) as cursor:
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._turn, closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Make all of a block's changes, or none."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has ended it already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def corpus_batch(batch: CleanedBatch, num_documents: int) -> CorpusBatch:
    """Return a batch as a version lists it, with so many of its documents."""
    return CorpusBatch(
        batch_id=batch.batch_id,
        event_id=batch.event_id,
        shard_digest=batch.shard_digest,
        num_documents=num_documents,
        traceparent=batch.traceparent,
    )


def _batch(row: tuple[Any, ...]) -> CleanedBatch:
    return CleanedBatch(
        domain=row[0], batch_id=UUID(row[1]), event_id=UUID(row[2]), traceparent=row[3], shard_digest=row[4],
        facts_digest=row[5], removed_digest=row[6], num_documents=row[7],
        counts=CleaningCounts.model_validate_json(row[8]), cleaned_at=datetime.fromisoformat(row[9]),
        is_quarantined=bool(row[10]),
    )  # fmt: skip


def _version(event: str, traceparent: str | None) -> Version:
    return Version(event=CorpusVersioned.model_validate_json(event), traceparent=traceparent)
