"""The gateway's hold on the world: bundles in memory, and the answer cache."""

import asyncio
import logging
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from contracts.envelope import Digest
from shared import bundle, bundle_signing
from shared.artifacts import ArtifactStore
from shared.serving import BundleSession
from shared.settings import RedisSettings
from shared.signing import PublicKeys

CACHE_PAUSE_S = 5.0
"""After a failure the cache is left alone for so long, so that a dead Redis costs no answer its time."""

log = logging.getLogger(__name__)


class BundleShelf:
    """The bundles that are loaded, warm and ready to answer."""

    def __init__(self, store: ArtifactStore, folder: Path, keys: PublicKeys) -> None:
        self._store = store
        self._keys = keys
        self._folder = folder
        self._sessions: dict[Digest, BundleSession] = {}

    @property
    def loaded(self) -> Collection[Digest]:
        """Digests of the bundles that can answer."""
        return self._sessions.keys()

    def session(self, digest: Digest) -> BundleSession:
        """Return a loaded bundle."""
        return self._sessions[digest]

    async def load(self, digest: Digest) -> None:
        """Fetch, verify, open and warm a bundle; nothing to do where it is loaded.

        Raises:
            SignatureRefused: It is not signed by who may.
            BundleRefused: Its parts do not belong together.
            ArtifactMissing: A part is gone.
            ArtifactCorrupt: A part is damaged.
        """
        if digest not in self._sessions:
            self._sessions[digest] = await asyncio.to_thread(self._open, digest)

    async def keep_only(self, digests: Collection[Digest]) -> None:
        """Let go of the other bundles. Answers that they are still making end as they began."""
        for digest in [digest for digest in self._sessions if digest not in digests]:
            del self._sessions[digest]
            log.info("bundle let go", extra={"bundle_digest": digest})
        await asyncio.to_thread(self._remove_folders, set(digests) | set(self._sessions))

    def _remove_folders(self, kept: Collection[Digest]) -> None:
        """Remove what is not kept, also what an earlier run of the gateway left."""
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _open(self, digest: Digest) -> BundleSession:
        folder = self._folder / digest
        bundle_signing.check(self._store, digest, self._keys)
        bundle.load(self._store, digest, folder)
        session = BundleSession(folder)
        session.warm()
        return session


class AnswerCache:
    """Answers in Redis. Losing it costs speed, never correctness: a failure is a miss."""

    def __init__(self, settings: RedisSettings, *, ttl_s: int) -> None:
        pool = BlockingConnectionPool.from_url(
            settings.url,
            max_connections=50,
            timeout=settings.timeout_s,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._ttl_s = ttl_s
        self._paused_until = 0.0

    async def get(self, key: str) -> bytes | None:
        """Return a cached answer, or None."""
        if self._is_paused:
            return None
        try:
            found = await self._redis.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._pause(error)
            return None
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, answer: bytes) -> None:
        """Keep an answer."""
        if self._is_paused:
            return
        try:
            await self._redis.set(key, answer, ex=self._ttl_s)
        except (RedisError, OSError, TimeoutError) as error:
            self._pause(error)

    async def __aenter__(self) -> "AnswerCache":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    @property
    def _is_paused(self) -> bool:
        return self._ttl_s == 0 or time.monotonic() < self._paused_until

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + CACHE_PAUSE_S
        log.warning("cache left alone for a while", extra={"seconds": CACHE_PAUSE_S, "error": repr(error)})
