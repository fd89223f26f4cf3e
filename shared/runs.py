"""Long runs, each claimed and finished by refs that are named after the event which caused it.

Never after its inputs, which may repeat. A finished run only publishes again; a claimed one is not started twice, also when a
redelivery arrives at another member while the first still works; the claim of a dead process can be taken over. Claims and
results are written by compare and set: of two members at the same instant one wins, and one that was held for dead finds its
claim lost, stops, and cannot write a result any more.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

import psutil
from pydantic import AwareDatetime

from contracts.envelope import Contract, Event
from shared.artifacts import ABSENT, ArtifactStore, Expected, Version
from shared.clock import Clock
from shared.errors import RefConflict, RunClaimed, StorageUnavailable
from shared.processes import boot_id, started_s

RENEW_INTERVAL_S = 1.0
CLAIM_EXPIRES_S = 9.0
"""A claim of another host that was not renewed for so long is a dead one's; below the 15 s that a takeover may last."""
CLAIM_WATCHED_S = 3.0
"""Nor is it believed before it was seen unrenewed for so long by this process's own clock: a wall clock may jump."""
CLAIM_FORSAKEN_S = 12.0
"""Seen unrenewed for so long, it is a dead one's whatever the wall clocks say."""

Outcome = TypeVar("Outcome", bound=Event)

log = logging.getLogger(__name__)


class Claim(Contract):
    """Who works on a run. A process is told by host, boot of the host, pid and when it was started.

    Attributes:
        boot: Linux's name of this run of the host; empty elsewhere.
        process_started_s: Seconds from the host's start, which no jump of the clock changes.
        released: It was given back; anyone may take the run.
    """

    host: str
    boot: str
    pid: int
    process_started_s: float
    renewed_at: AwareDatetime
    released: bool = False


class Runs:
    """The runs of one daemon."""

    def __init__(self, store: ArtifactStore, service: str, *, clock: Clock) -> None:
        """Keep runs.

        Args:
            store: Where claims and results are.
            service: The daemon's name.
            clock: Claims bear its wall time; how long they were seen unrenewed is measured by its monotonic seconds.
        """
        self._store = store
        self._service = service
        self._clock = clock
        self._active: set[UUID] = set()
        self._watched: dict[UUID, tuple[Version, float]] = {}

    def result(self, cause: UUID) -> bytes | None:
        """Return what the run of this event ended with, or None while it has not."""
        return self._store.read_ref(self._name(cause, "result"))

    def finish(self, cause: UUID, result: bytes) -> bytes:
        """Write what the run ended with, and return it; from here on it is never run again. The first result stands."""
        try:
            self._store.write_ref(self._name(cause, "result"), result, expected=ABSENT)
        except RefConflict:
            return self.result(cause) or result
        return result

    async def once(self, cause: UUID, kind: type[Outcome], work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Return what the run of this event ends with: found, if it has ended before, else worked out and kept.

        Raises:
            RunClaimed: A living process holds it, or took it from this one; come back later.
        """
        async with self.claimed(cause):
            finished = await asyncio.to_thread(self.result, cause)
            if finished is None:
                outcome = await work()
                finished = await asyncio.to_thread(self.finish, cause, outcome.model_dump_json().encode())
            return kind.model_validate_json(finished)

    @asynccontextmanager
    async def claimed(self, cause: UUID) -> AsyncIterator[None]:
        """Hold the run of this event while the block lasts; a block whose claim is lost is cancelled.

        Raises:
            RunClaimed: A living process holds it, or took it from this one; come back later.
        """
        if cause in self._active:
            raise RunClaimed(_held_text(cause, "this process"))
        self._active.add(cause)
        try:
            holding = _Holding(self._store, self._name(cause, "claim"), self._clock)
            await asyncio.to_thread(self._take, cause, holding)
            async with _renewed(holding, cause):
                yield
        finally:
            self._active.discard(cause)

    def _take(self, cause: UUID, holding: "_Holding") -> None:
        found = self._store.read_ref_version(self._name(cause, "claim"))
        if found is not None:
            data, holding.version = found
            claim = Claim.model_validate_json(data)
            if not self._may_be_taken(cause, claim, holding.version):
                raise RunClaimed(_held_text(cause, f"process {claim.pid} on {claim.host}"))
        try:
            holding.write()
        except RefConflict:
            raise RunClaimed(_held_text(cause, "a process that was faster")) from None
        self._watched.pop(cause, None)

    def _may_be_taken(self, cause: UUID, claim: Claim, version: Version) -> bool:
        now_s = self._clock.monotonic_s()
        seen, since_s = self._watched.get(cause, (None, now_s))
        if seen != version:
            since_s = now_s
        self._watched[cause] = (version, since_s)
        return _is_own(claim) or not is_alive(claim, now=self._clock.now(), unrenewed_s=now_s - since_s)

    def _name(self, cause: UUID, part: str) -> str:
        return f"runs/{self._service}/{cause}/{part}"


class _Holding:
    """A claim that this process holds, or is about to.

    Attributes:
        version: Of the claim's ref as it was last read or written; `ABSENT` before there was one.
    """

    def __init__(self, store: ArtifactStore, name: str, clock: Clock) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        # A renewal goes on in its thread when its task is cancelled, and must neither make a conflict nor be the last word.
        self._turn = threading.Lock()
        self._is_released = False
        self.version: Version | Literal[Expected.ABSENT] = ABSENT

    def write(self, *, released: bool = False) -> None:
        """Write the claim anew; one that was given back stays so.

        Raises:
            RefConflict: Another process took it.
        """
        with self._turn:
            if self._is_released:
                return
            claim = own_claim(self._clock.now()).model_copy(update={"released": released})
            self.version = self._store.write_ref(self._name, claim.model_dump_json().encode(), expected=self.version)
            self._is_released = released


@asynccontextmanager
async def _renewed(holding: _Holding, cause: UUID) -> AsyncIterator[None]:
    """Renew a claim while the block lasts, and give it back then. Once it is lost, the block is cancelled."""
    block = asyncio.current_task()
    assert block is not None  # noqa: S101 (a coroutine runs in a task)
    is_lost = False

    async def renew() -> None:
        nonlocal is_lost
        while not is_lost:
            await asyncio.sleep(RENEW_INTERVAL_S)
            try:
                await asyncio.to_thread(holding.write)
            except RefConflict:
                is_lost = True
                block.cancel()
            except (StorageUnavailable, OSError):
                log.warning("claim not renewed, will try again", exc_info=True)

    renewing = asyncio.create_task(renew(), name="renew claim")
    try:
        yield
    except asyncio.CancelledError:
        if not is_lost or block.uncancel():
            raise
        raise RunClaimed(_held_text(cause, "a process that held this one for dead")) from None
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        if not is_lost:
            await asyncio.to_thread(_give_back, holding, cause)


def _give_back(holding: _Holding, cause: UUID) -> None:
    try:
        holding.write(released=True)
    except RefConflict:
        log.warning("claim was lost before it was given back", extra={"run": str(cause)})


def own_claim(now: datetime) -> Claim:
    """Return a claim of this process."""
    started = started_s(psutil.Process())
    return Claim(host=socket.gethostname(), boot=boot_id(), pid=os.getpid(), process_started_s=started, renewed_at=now)


def is_alive(claim: Claim, *, now: datetime, unrenewed_s: float) -> bool:
    """Whether somebody holds a claim, as far as this host can tell.

    Args:
        claim: As it was read.
        now: This host's wall clock, which may be wrong by any amount, as may the claim's.
        unrenewed_s: For how long this process has seen the claim unrenewed, by its monotonic clock.
    """
    if claim.released:
        return False
    if not _is_here(claim):
        is_old = (now - claim.renewed_at).total_seconds() >= CLAIM_EXPIRES_S
        return unrenewed_s < (CLAIM_WATCHED_S if is_old else CLAIM_FORSAKEN_S)
    try:
        process = psutil.Process(claim.pid)
        # One that was killed, and that its parent has not collected yet, does nothing any more.
        is_same = abs(started_s(process) - claim.process_started_s) < 1
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_here(claim: Claim) -> bool:
    return (claim.host, claim.boot) == (socket.gethostname(), boot_id())


def _is_own(claim: Claim) -> bool:
    return _is_here(claim) and claim.pid == os.getpid()


def _held_text(cause: UUID, holder: str) -> str:
    return f"the run of event {cause} is held by {holder}"
