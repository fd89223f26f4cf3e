"""Content-addressed, immutable artifacts and, beside them, refs: small named pointers. In a folder or in an S3 bucket.

An artifact's name is the SHA-256 of its bytes. A half-written one is never visible, also after `kill -9`; every read verifies
the digest. A ref is replaced whole; who decides from what it read names that version, and loses to whoever was faster.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from shared.blobs import ABSENT, Blobs, Expected, FolderBlobs, Version
from shared.errors import ArtifactCorrupt, ArtifactMissing

__all__ = ["ABSENT", "ArtifactStore", "Expected", "Version", "file_digest"]

DRAFT_MAX_AGE_S = 86_400.0
"""No writer takes so long between two pieces of a file."""


class ArtifactStore:
    """Artifacts and refs under one URL."""

    def __init__(self, url: str) -> None:
        """Open the store.

        Args:
            url: `file:///srv/artifacts` or `s3://bucket/prefix`.
        """
        self._blobs = _open(url)

    # ---- artifacts

    def put_bytes(self, data: bytes) -> str:
        """Store `data` and return its digest."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.exists(digest):
            self._blobs.keep(_artifact_name(digest), data)
        return digest

    def put_file(self, path: Path) -> str:
        """Store a local file and return its digest."""
        digest = file_digest(path)
        if not self.exists(digest):
            self._blobs.keep(_artifact_name(digest), path)
        return digest

    def exists(self, digest: str) -> bool:
        """Whether an artifact of this digest is stored."""
        return self._blobs.exists(_artifact_name(digest))

    def read_bytes(self, digest: str) -> bytes:
        """Return an artifact's bytes.

        Raises:
            ArtifactMissing: There is none.
            ArtifactCorrupt: What is stored does not match the digest.
        """
        found = self._blobs.read(_artifact_name(digest))
        if found is None:
            raise _missing(digest)
        _verify(digest, hashlib.sha256(found[0]).hexdigest())
        return found[0]

    def fetch(self, digest: str, target: Path) -> None:
        """Copy an artifact to a local file, verified; `target` appears whole or not at all.

        Raises:
            ArtifactMissing: There is none.
            ArtifactCorrupt: What is stored does not match the digest.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            if not self._blobs.fetch(_artifact_name(digest), partial):
                raise _missing(digest)
            _verify(digest, file_digest(partial))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def remove_drafts(self, *, older_than_s: float = DRAFT_MAX_AGE_S) -> int:
        """Remove what a killed writer left of an artifact, which may be as large as a model; return how many there were."""
        return self._blobs.remove_drafts("sha256", older_than_s=older_than_s)

    # ---- refs

    def write_ref(self, name: str, data: bytes, *, expected: Version | Expected = Expected.ANYTHING) -> Version:
        """Point `name` (slash-separated) at `data`; readers see the old or the new value, never a mix.

        Args:
            name: The ref.
            data: Its new value.
            expected: The version that was read, or `ABSENT`: then of all who write at the same instant exactly one wins.

        Returns:
            The new version.

        Raises:
            RefConflict: The ref is not what was expected; nothing was written.
        """
        return self._blobs.write(_ref_name(name), data, expected=expected)

    def read_ref(self, name: str) -> bytes | None:
        """Return what `name` points at, or None."""
        found = self.read_ref_version(name)
        return found[0] if found else None

    def read_ref_version(self, name: str) -> tuple[bytes, Version] | None:
        """Return what `name` points at and the version to name when it is replaced, or None."""
        return self._blobs.read(_ref_name(name))

    def delete_ref(self, name: str) -> None:
        """Remove a ref; absent is fine."""
        self._blobs.delete(_ref_name(name))

    def ref_names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the refs below the folder `prefix`, sorted. A listing: not for what is done often."""
        return (name.removeprefix("refs/") for name in self._blobs.names(f"refs/{prefix}"))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a local file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(url: str) -> Blobs:
    scheme, _, place = url.partition("://")
    if scheme == "file":
        return FolderBlobs(Path(place))
    if scheme == "s3":
        # Here, since s3fs is an extra: only those who have a bucket install it.
        from shared.bucket import BucketBlobs, S3Settings  # noqa: PLC0415

        bucket, _, prefix = place.partition("/")
        return BucketBlobs(bucket, prefix.strip("/"), S3Settings())
    msg = f"artifacts cannot be kept under {url!r}: expected file:///path or s3://bucket/prefix"
    raise ValueError(msg)


def _artifact_name(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"


def _ref_name(name: str) -> str:
    return f"refs/{name}"


def _verify(expected: str, found: str) -> None:
    if found != expected:
        msg = f"artifact {expected} is damaged: its bytes have the digest {found}"
        raise ArtifactCorrupt(msg, next_step="restore it from a copy, or remove it so that it is made again")


def _missing(digest: str) -> ArtifactMissing:
    return ArtifactMissing(f"no artifact has the digest {digest}", next_step="check PLUMBLINE_ARTIFACTS__URL")
