"""Blobs as objects of an S3 bucket, by s3fs. An object becomes visible when its upload is complete, in parts or not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import s3fs
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, NoCredentialsError
from pydantic import SecretStr

from shared.blobs import ABSENT, Expected, Version, conflict
from shared.errors import StorageFull, StorageUnavailable
from shared.settings import SecretSettings

PART_BYTES = 16 << 20
"""From twice this size on, an object is sent in parts of it; four at a time are held in memory."""
PARTS_AT_ONCE = 4
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 60.0
MAX_ATTEMPTS = 3

MARK = "plumbline-write"
"""Metadata of an object that tells one write from every other."""
RACE_LOST = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
MISSING = frozenset({"NoSuchKey", "404"})
REFUSED = frozenset(
    {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AllAccessDisabled"}
)
FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"})


class S3Settings(SecretSettings):
    """How an S3 bucket is reached. What is not set here, boto3 looks for where it always does: AWS_*, profiles, roles."""

    s3_endpoint_url: str | None = None
    """Of a server that is not Amazon's, e.g. http://minio:9000."""
    s3_region: str | None = None
    """Of the bucket."""
    s3_access_key_id: str | None = None
    """The access key's name."""
    s3_secret_access_key: SecretStr | None = None
    """The access key's secret; a file of the folder of secrets, or this variable."""


class BucketBlobs:
    """Blobs under a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        """Open the bucket; nothing is asked of the server yet.

        Args:
            bucket: Its name.
            prefix: Of all keys, without slashes at its ends; may be empty.
            settings: Where the server is, and who we are.
        """
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        secret = settings.s3_secret_access_key
        self._fs = s3fs.S3FileSystem(
            key=settings.s3_access_key_id,
            secret=secret.get_secret_value() if secret else None,
            endpoint_url=settings.s3_endpoint_url,
            client_kwargs={"region_name": settings.s3_region} if settings.s3_region else {},
            config_kwargs={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "read_timeout": READ_TIMEOUT_S,
                "retries": {"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
            },
            max_concurrency=PARTS_AT_ONCE,
            use_listings_cache=False,
        )

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._named_errors(f"look for {name}"):
            return self._call("head_object", name) is not None

    def read(self, name: str) -> tuple[bytes, Version] | None:
        """Return an object and its ETag, or None."""
        with self._named_errors(f"read {name}"):
            answer = self._call("get_object", name)
            if answer is None:
                return None
            return self._body(answer["Body"]), Version(answer["ETag"])

    def fetch(self, name: str, target: Path) -> bool:
        """Copy an object to a local file, parts of a big one at the same time; return whether there was one."""
        with self._named_errors(f"copy {name} to {target}"):
            try:
                self._fs.get_file(self._path(name), str(target), chunksize=PART_BYTES)
            except FileNotFoundError as error:
                if _code(error) in MISSING:
                    return False
                raise
            return True

    def write(self, name: str, data: bytes, *, expected: Version | Expected = Expected.ANYTHING) -> Version:
        """Replace an object if it is as expected, by a conditional PUT."""
        condition: dict[str, str] = {}
        if expected is ABSENT:
            condition = {"IfNoneMatch": "*"}
        elif not isinstance(expected, Expected):
            condition = {"IfMatch": expected}
        mark = uuid4().hex
        given = {"Body": data, "Metadata": {MARK: mark}, **condition}
        with self._named_errors(f"write {name}"):
            try:
                answer = self._fs.call_s3("put_object", Bucket=self._bucket, Key=self._key(name), **given)
            except OSError as error:
                if condition and _code(error) in RACE_LOST | MISSING:
                    return self._lost(name, mark)
                raise
        return Version(answer["ETag"])

    def keep(self, name: str, source: bytes | Path) -> None:
        """Store an object that is never changed, a big one in parts; one that is cut off is never seen."""
        with self._named_errors(f"write {name}"):
            if isinstance(source, bytes):
                self._fs.pipe_file(self._path(name), source, chunksize=PART_BYTES)
            else:
                self._fs.put_file(str(source), self._path(name), chunksize=PART_BYTES)

    def delete(self, name: str) -> None:
        """Remove an object."""
        with self._named_errors(f"remove {name}"):
            self._call("delete_object", name)

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the objects below a folder; S3 lists them in the order of their names."""
        folder = f"{self._key(prefix)}/"
        more: dict[str, str] = {}
        while True:
            with self._named_errors(f"list {prefix}"):
                answer = self._fs.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=folder, **more)
            yield from (found["Key"].removeprefix(self._prefix) for found in answer.get("Contents", ()))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def remove_drafts(self, prefix: str, *, older_than_s: float) -> int:
        """Nothing: a bucket shows no upload before its end, and aborts incomplete ones by a rule of its own."""
        return 0

    def _lost(self, name: str, mark: str) -> Version:
        """Tell a race that was lost from an answer that was: a PUT is sent again, and then finds what it wrote itself."""
        found = self._call("head_object", name)
        if found is None or found["Metadata"].get(MARK) != mark:
            raise conflict(name)
        return Version(found["ETag"])

    def _call(self, method: str, name: str) -> Any:  # noqa: ANN401 (boto3 is untyped)
        """Return the answer about an object, or None where there is none."""
        try:
            return self._fs.call_s3(method, Bucket=self._bucket, Key=self._key(name))
        except FileNotFoundError as error:
            if _code(error) in MISSING:
                return None
            raise

    def _body(self, body: Any) -> bytes:  # noqa: ANN401 (boto3 is untyped)
        async def read() -> bytes:
            async with body:
                return bytes(await body.read())

        return asyncio.run_coroutine_threadsafe(read(), self._fs.loop).result()

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{self._key(name)}"

    @contextmanager
    def _named_errors(self, doing: str) -> Iterator[None]:
        """Turn what the server refuses into an error that says what to do."""
        try:
            yield
        except (OSError, BotoCoreError, HttpError, TimeoutError) as error:
            code = _code(error)
            msg = f"cannot {doing} in bucket {self._bucket}: {code or type(error).__name__}: {error}"
            kind = StorageFull if code in FULL else StorageUnavailable
            raise kind(msg, next_step=self._next_step(code, error)) from error

    def _next_step(self, code: str | None, error: Exception) -> str:
        if code == "NoSuchBucket":
            return f"make the bucket {self._bucket}, or correct PLUMBLINE_ARTIFACTS__URL"
        if code in REFUSED or isinstance(error, NoCredentialsError):
            return (
                "check PLUMBLINE_S3_ACCESS_KEY_ID and PLUMBLINE_S3_SECRET_ACCESS_KEY, and that the key may get, put, delete and "
                "list objects of the bucket: without the right to list, S3 hides what is missing behind a refusal"
            )
        if code in FULL:
            return "free space in the bucket; the work goes on by itself"
        return "check PLUMBLINE_S3_ENDPOINT_URL and the server; the work goes on by itself when it answers"


def _code(error: Exception) -> str | None:
    """Return S3's name of an error, which s3fs keeps as the cause of the one that it makes of it."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
    return None
