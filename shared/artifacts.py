"""Content-addressed, immutable artifacts and, beside them, refs: small named pointers. On any fsspec file system.

An artifact's name is the SHA-256 of its bytes. It is written under a temporary name, flushed to disk and renamed, so a
half-written one is never visible, also after `kill -9`; every read verifies the digest. A ref is replaced the same way and
has one writer.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from shared.errors import ArtifactCorrupt, ArtifactMissing

CHUNK_BYTES = 1 << 20


class ArtifactStore:
    """Artifacts and refs under one URL."""

    def __init__(self, url: str) -> None:
        """Open the store.

        Args:
            url: An fsspec URL, e.g. `file:///srv/artifacts` or `s3://bucket/prefix`.
        """
        self._fs, self._root = fsspec.core.url_to_fs(url)

    # ---- artifacts

    def put_bytes(self, data: bytes) -> str:
        """Store `data` and return its digest."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.exists(digest):
            with _AtomicFile(self._fs, self._artifact_path(digest)) as file:
                file.write(data)
        return digest

    def put_file(self, path: Path) -> str:
        """Store a local file and return its digest."""
        digest = file_digest(path)
        if not self.exists(digest):
            with path.open("rb") as source, _AtomicFile(self._fs, self._artifact_path(digest)) as file:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
        return digest

    def exists(self, digest: str) -> bool:
        """Whether an artifact of this digest is stored."""
        return bool(self._fs.exists(self._artifact_path(digest)))

    def read_bytes(self, digest: str) -> bytes:
        """Return an artifact's bytes.

        Raises:
            ArtifactMissing: There is none.
            ArtifactCorrupt: What is stored does not match the digest.
        """
        data = self._read(self._artifact_path(digest))
        if data is None:
            raise _missing(digest)
        _verify(digest, hashlib.sha256(data).hexdigest())
        return data

    def fetch(self, digest: str, target: Path) -> None:
        """Copy an artifact to a local file, verified; `target` appears whole or not at all.

        Raises:
            ArtifactMissing: There is none.
            ArtifactCorrupt: What is stored does not match the digest.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid4().hex}")
        found = hashlib.sha256()
        try:
            with self._fs.open(self._artifact_path(digest), "rb") as source, partial.open("wb") as file:
                while chunk := source.read(CHUNK_BYTES):
                    found.update(chunk)
                    file.write(chunk)
            _verify(digest, found.hexdigest())
            partial.replace(target)
        except FileNotFoundError:
            raise _missing(digest) from None
        finally:
            partial.unlink(missing_ok=True)

    # ---- refs

    def write_ref(self, name: str, data: bytes) -> None:
        """Point `name` (slash-separated) at `data`; readers see the old or the new value, never a mix."""
        with _AtomicFile(self._fs, self._ref_path(name)) as file:
            file.write(data)

    def read_ref(self, name: str) -> bytes | None:
        """Return what `name` points at, or None."""
        return self._read(self._ref_path(name))

    def delete_ref(self, name: str) -> None:
        """Remove a ref; absent is fine."""
        if self._fs.exists(self._ref_path(name)):
            self._fs.rm_file(self._ref_path(name))

    def ref_names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the refs below the folder `prefix`, sorted."""
        folder = f"{self._root}/refs/{prefix}"
        if not self._fs.exists(folder):
            return
        for path in sorted(self._fs.find(folder)):
            name = path[path.rindex("/refs/") + len("/refs/") :]
            if not name.rpartition("/")[2].startswith("."):
                yield name

    # ---- paths

    def _artifact_path(self, digest: str) -> str:
        return f"{self._root}/sha256/{digest[:2]}/{digest}"

    def _ref_path(self, name: str) -> str:
        return f"{self._root}/refs/{name}"

    def _read(self, path: str) -> bytes | None:
        try:
            with self._fs.open(path, "rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None


class _AtomicFile:
    """A file that appears under its name when it is complete.

    Object stores make an object visible when it is closed; on a local disk it is flushed and renamed.
    """

    def __init__(self, fs: Any, path: str) -> None:  # noqa: ANN401 (fsspec is untyped)
        self._fs = fs
        self._path = path
        self._is_local = isinstance(fs, LocalFileSystem)
        folder, _, name = path.rpartition("/")
        self._partial = f"{folder}/.{name}.{uuid4().hex}" if self._is_local else path

    def __enter__(self) -> IO[bytes]:
        self._fs.makedirs(self._path.rpartition("/")[0], exist_ok=True)
        self._file: IO[bytes] = Path(self._partial).open("wb") if self._is_local else self._fs.open(self._partial, "wb")
        return self._file

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if not self._is_local:
            # Closing would publish what was written so far; fsspec discards it instead.
            self._file.discard() if error and hasattr(self._file, "discard") else self._file.close()
            return
        try:
            if error is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if error is None:
                Path(self._partial).replace(self._path)
        finally:
            Path(self._partial).unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(expected: str, found: str) -> None:
    if found != expected:
        msg = f"artifact {expected} is damaged: its bytes have the digest {found}"
        raise ArtifactCorrupt(msg, next_step="restore it from a copy, or remove it so that it is made again")


def _missing(digest: str) -> ArtifactMissing:
    return ArtifactMissing(f"no artifact has the digest {digest}", next_step="check PLUMBLINE_ARTIFACTS__URL")
