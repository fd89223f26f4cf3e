"""Named blobs: what artifacts and refs are made of. In a folder here, in a bucket in `shared.bucket`.

A blob is replaced whole, and only if it still is what the writer thinks it is (compare and set).
"""

import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, Final, NewType, Protocol

from filelock import FileLock, Timeout

from shared.disk import is_full
from shared.errors import RefConflict, StorageFull, StorageUnavailable
from shared.files import make_folders, replacing

Version = NewType("Version", str)
"""Tells the contents of a blob apart; equal bytes may have equal versions."""


class Expected(Enum):
    """What a writer may expect instead of a version."""

    ANYTHING = "anything"
    ABSENT = "absent"


ABSENT: Final = Expected.ABSENT

CHUNK_BYTES = 1 << 20
NUM_LOCKS = 256
LOCK_TIMEOUT_S = 10.0
"""A writer holds a lock for milliseconds; one that is stopped in the middle holds up whoever shares it."""


class Blobs(Protocol):
    """Blobs by slash-separated names. What the storage cannot do now is a transient error that says so."""

    def exists(self, name: str) -> bool:
        """Whether there is such a blob."""
        ...

    def read(self, name: str) -> tuple[bytes, Version] | None:
        """Return a blob and its version, or None."""
        ...

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a blob to a local file, flushed by nobody; return whether there was one."""
        ...

    def write(self, name: str, data: bytes, *, expected: Version | Expected = Expected.ANYTHING) -> Version:
        """Replace a blob and return its new version.

        Raises:
            RefConflict: The blob is not what was expected; nothing was written.
        """
        ...

    def keep(self, name: str, source: bytes | Path) -> None:
        """Store what this name will always stand for; who stores it at the same time stores the same."""
        ...

    def delete(self, name: str) -> None:
        """Remove a blob; absent is fine."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the blobs below the folder `prefix`, sorted. Slow: not for what is done often."""
        ...

    def remove_drafts(self, prefix: str, *, older_than_s: float) -> int:
        """Remove what writers that were killed left halfway below the folder `prefix`; return how many. Slow."""
        ...


class FolderBlobs:
    """Blobs as files; writers of a blob take turns by a lock that dies with its holder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self._root / name).exists()

    def read(self, name: str) -> tuple[bytes, Version] | None:
        """Return a file's content and its digest, or None."""
        with _named_errors(f"read {name}"):
            try:
                data = (self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return data, _version(data)

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a file; return whether there was one."""
        with _named_errors(f"copy {name} to {target}"):
            try:
                with (self._root / name).open("rb") as source, target.open("wb") as file:
                    _copy(source, file)
            except FileNotFoundError:
                return False
        return True

    def write(self, name: str, data: bytes, *, expected: Version | Expected = Expected.ANYTHING) -> Version:
        """Replace a file if it is as expected."""
        path = self._root / name
        with _named_errors(f"write {name}"), self._turn(name):
            if expected is not Expected.ANYTHING:
                self._compare(name, expected)
            make_folders(path.parent)
            with replacing(path) as file:
                file.write(data)
        return _version(data)

    def keep(self, name: str, source: bytes | Path) -> None:
        """Write a file that is never changed: without a lock."""
        path = self._root / name
        opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with opened, _named_errors(f"write {name}"):
            make_folders(path.parent)
            with replacing(path, is_alone=False) as file:
                _copy(opened, file)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with _named_errors(f"remove {name}"), self._turn(name):
            (self._root / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the files below a folder; those whose name begins with a dot are not whole."""
        with _named_errors(f"list {prefix}"):
            paths = sorted(path for path in (self._root / prefix).rglob("*") if path.is_file())
        yield from (path.relative_to(self._root).as_posix() for path in paths if not path.name.startswith("."))

    def remove_drafts(self, prefix: str, *, older_than_s: float) -> int:
        """Remove hidden files that nobody has written to for so long."""
        before = time.time() - older_than_s
        num_removed = 0
        with _named_errors(f"clear {prefix}"):
            for path in (self._root / prefix).rglob(".*"):
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
                    num_removed += 1
        return num_removed

    def _compare(self, name: str, expected: Version | Expected) -> None:
        found = self.read(name)
        if (found[1] if found else ABSENT) != expected:
            raise conflict(name)

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        folder = self._root / "locks"
        make_folders(folder)
        number = hashlib.sha256(name.encode()).digest()[0] % NUM_LOCKS
        try:
            with FileLock(folder / f"{number:03d}", timeout=LOCK_TIMEOUT_S, thread_local=False, is_singleton=False):
                yield
        except Timeout:
            msg = f"cannot write {name}: another process has held its lock for {LOCK_TIMEOUT_S:g} s"
            raise StorageUnavailable(msg, next_step="see whether a daemon is stopped or its disk hangs") from None


def conflict(name: str) -> RefConflict:
    """Return the error of a writer that lost to another one."""
    return RefConflict(f"{name} was changed by another writer", next_step="read it again, then decide again")


@contextmanager
def _named_errors(doing: str) -> Iterator[None]:
    """Turn what the disk refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            msg = f"cannot {doing}: the storage is full ({error.strerror})"
            next_step = "free space in the folder of artifacts and in the state directory; the work goes on by itself"
            raise StorageFull(msg, next_step=next_step) from error
        msg = f"cannot {doing}: {error}"
        raise StorageUnavailable(msg, next_step="check disk and permissions of PLUMBLINE_ARTIFACTS__URL") from error


def _version(data: bytes) -> Version:
    return Version(hashlib.sha256(data).hexdigest())


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
