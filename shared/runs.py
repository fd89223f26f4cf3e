"""Long runs, each claimed and finished by refs that are named after the event which caused it.

Never after its inputs, which may repeat. A finished run only publishes again; a claimed one is not started twice, also when a
redelivery arrives at another member while the first still works; the claim of a dead process can be taken over.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import psutil
from pydantic import AwareDatetime

from contracts.envelope import Contract, Event
from shared.artifacts import ArtifactStore
from shared.clock import Clock
from shared.errors import RunClaimed

RENEW_INTERVAL_S = 3.0
CLAIM_EXPIRES_S = 12.0
"""A claim of another host that was not renewed for so long is a dead one's; below the 15 s that a takeover may last."""

Outcome = TypeVar("Outcome", bound=Event)

log = logging.getLogger(__name__)


class Claim(Contract):
    """Who works on a run. A process is told by host, pid and the time it was created (seconds since 1970)."""

    host: str
    pid: int
    process_created_s: float
    renewed_at: AwareDatetime


class Runs:
    """The runs of one daemon."""

    def __init__(self, store: ArtifactStore, service: str, *, clock: Clock) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._active: set[UUID] = set()

    def result(self, cause: UUID) -> bytes | None:
        """Return what the run of this event ended with, or None while it has not."""
        return self._store.read_ref(self._name(cause, "result"))

    def finish(self, cause: UUID, result: bytes) -> None:
        """Write what the run ended with; from here on it is never run again."""
        self._store.write_ref(self._name(cause, "result"), result)

    async def once(self, cause: UUID, kind: type[Outcome], work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Return what the run of this event ends with: found, if it has ended before, else worked out and kept.

        Raises:
            RunClaimed: A living process holds it; come back later.
        """
        async with self.claimed(cause):
            finished = await asyncio.to_thread(self.result, cause)
            if finished is not None:
                return kind.model_validate_json(finished)
            outcome = await work()
            await asyncio.to_thread(self.finish, cause, outcome.model_dump_json().encode())
            return outcome

    @asynccontextmanager
    async def claimed(self, cause: UUID) -> AsyncIterator[None]:
        """Hold the run of this event while the block lasts.

        Raises:
            RunClaimed: A living process holds it; come back later.
        """
        if cause in self._active:
            raise RunClaimed(_held_text(cause, "this process"))
        self._active.add(cause)
        try:
            await asyncio.to_thread(self._take, cause)
            renewing = asyncio.create_task(self._renew(cause))
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
                await asyncio.to_thread(self._store.delete_ref, self._name(cause, "claim"))
        finally:
            self._active.discard(cause)

    def _take(self, cause: UUID) -> None:
        found = self._store.read_ref(self._name(cause, "claim"))
        claim = Claim.model_validate_json(found) if found else None
        now = self._clock.now()
        if claim and is_alive(claim, now=now) and not _is_own(claim):
            raise RunClaimed(_held_text(cause, f"process {claim.pid} on {claim.host}"))
        self._write_claim(cause)

    def _write_claim(self, cause: UUID) -> None:
        claim = own_claim(self._clock.now())
        self._store.write_ref(self._name(cause, "claim"), claim.model_dump_json().encode())

    async def _renew(self, cause: UUID) -> None:
        while True:
            await asyncio.sleep(RENEW_INTERVAL_S)
            try:
                await asyncio.to_thread(self._write_claim, cause)
            except OSError:
                log.warning("claim not renewed, will try again", exc_info=True)

    def _name(self, cause: UUID, part: str) -> str:
        return f"runs/{self._service}/{cause}/{part}"


def own_claim(now: datetime) -> Claim:
    """Return a claim of this process."""
    created_s = psutil.Process().create_time()
    return Claim(host=socket.gethostname(), pid=os.getpid(), process_created_s=created_s, renewed_at=now)


def is_alive(claim: Claim, *, now: datetime) -> bool:
    """Whether the process behind a claim still lives, as far as this host can tell."""
    if claim.host != socket.gethostname():
        return now - claim.renewed_at < timedelta(seconds=CLAIM_EXPIRES_S)
    try:
        process = psutil.Process(claim.pid)
        # One that was killed, and that its parent has not collected yet, does nothing any more.
        is_same = abs(process.create_time() - claim.process_created_s) < 1
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_own(claim: Claim) -> bool:
    return claim.host == socket.gethostname() and claim.pid == os.getpid()


def _held_text(cause: UUID, holder: str) -> str:
    return f"the run of event {cause} is held by {holder}"
