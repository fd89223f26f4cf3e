"""Which of several release-managers may write a domain: the one that took it over last."""

import logging
from typing import Protocol

from contracts.envelope import Domain
from services.release_manager.adapters import Held, SnapshotRefs
from shared.artifacts import ABSENT
from shared.clock import Clock
from shared.errors import NotTheWriter

RETAKE_S = 10.0
"""One that was replaced, and is not told so by the group for so long (a session is 6 s), was replaced by a dead one."""

log = logging.getLogger(__name__)


class Group(Protocol):
    """This member's place in the consumer group."""

    @property
    def membership(self) -> str:
        """Names the group's last assignment to this member.

        Raises:
            NotTheWriter: Who has what is not settled at the moment.
        """
        ...

    def owns(self, domain: Domain) -> bool:
        """Whether this member has a domain at present."""
        ...


class Fence:
    """Writes this member's name into the snapshot of a domain that it takes over, once after each assignment.

    A member that slept through a rebalance still believes that it has its domains. It finds another's name and lets go; the group
    tells it the rest. Between reading and writing, compare and set decides.
    """

    def __init__(self, refs: SnapshotRefs, clock: Clock) -> None:
        self._refs = refs
        self._clock = clock
        self._taken_in: dict[Domain, str] = {}
        self._replaced: dict[Domain, tuple[str, float]] = {}

    async def passed(self, domain: Domain, held: Held, membership: str) -> Held:
        """Return the snapshot as it is held by this member now.

        Args:
            domain: Whose snapshot it is.
            held: What was read.
            membership: Of this member.

        Raises:
            NotTheWriter: Another member took the domain over.
            RefConflict: Another member wrote since the snapshot was read.
        """
        if held.snapshot.writer == membership:
            return held
        snapshot = held.snapshot.model_copy(update={"writer": membership})
        if held.version is ABSENT:
            return Held(snapshot, held.version)
        if self._taken_in.get(domain) == membership and not self._may_retake(domain, membership):
            raise NotTheWriter(f"another member of the group has taken {domain} over; this one was away for too long")
        held = await self._refs.save(domain, snapshot, after=held)
        self.took(domain, membership)
        log.info("domain taken over", extra={"domain": domain, "revision": held.snapshot.state.revision})
        return held

    def took(self, domain: Domain, membership: str) -> None:
        """Remember that this member's name was written."""
        self._taken_in[domain] = membership
        self._replaced.pop(domain, None)

    def _may_retake(self, domain: Domain, membership: str) -> bool:
        now_s = self._clock.monotonic_s()
        found, since_s = self._replaced.get(domain, (membership, now_s))
        if found != membership:
            since_s = now_s
        self._replaced[domain] = (membership, since_s)
        return now_s - since_s >= RETAKE_S
