"""What a person decides on held batches, carried out."""

import asyncio
import logging
from typing import Literal
from uuid import UUID

from contracts.api import BatchDecision
from services.ingest.adapters import Batches, Decision, KeptBatch, References
from services.ingest.core.judging import Reference
from services.ingest.known import KnownContent
from services.ingest.run import Intake
from shared.clock import Clock
from shared.errors import RequestRefused

log = logging.getLogger(__name__)


class Decisions:
    """The held batches, and what becomes of them."""

    def __init__(
        self, intake: Intake, *, batches: Batches, references: References, known: KnownContent, clock: Clock
    ) -> None:
        self._intake = intake
        self._batches = batches
        self._references = references
        self._known = known
        self._clock = clock

    async def held(self) -> list[KeptBatch]:
        """Return what waits, oldest first."""
        return await asyncio.to_thread(self._batches.held)

    async def find(self, batch_id: UUID) -> KeptBatch:
        """Return a batch, whatever became of it.

        Raises:
            RequestRefused: 404, there is none.
        """

        def found() -> KeptBatch | None:
            return self._batches.find_anywhere(batch_id, self._references.domains())

        batch = await asyncio.to_thread(found)
        if batch is None:
            raise RequestRefused(
                404, "unknown-batch", "No such batch", f"there is no batch {batch_id}",
                next_step="check the id; `plumb ingest` prints it",
            )  # fmt: skip
        return batch

    async def reference(self, domain: str) -> Reference:
        """Return what a domain got so far."""
        return await asyncio.to_thread(self._references.of, domain)

    async def accept(self, batch_id: UUID, decision: BatchDecision) -> KeptBatch:
        """Let a held batch go on: its statistics count from now on, and the mesh is told.

        Raises:
            RequestRefused: 404, it does not wait.
            TransientError: It is accepted, but the broker cannot be reached at the moment.
        """
        accepted = await asyncio.to_thread(self._accepted, batch_id, decision)
        await self._intake.announce([accepted])
        return accepted

    async def reject(self, batch_id: UUID, decision: BatchDecision) -> KeptBatch:
        """Turn a held batch down; one that was turned down before stays so.

        Raises:
            RequestRefused: 404, it does not wait.
        """
        before = await asyncio.to_thread(self._batches.find_rejected, batch_id)
        if before is not None:
            return before
        return await asyncio.to_thread(self._decide, batch_id, decision, "rejected")

    async def refused(self, batch_id: UUID) -> bytes:
        """Return the records that were left out beside a batch, as JSONL.

        Raises:
            RequestRefused: 404, there were none.
        """
        digest = await asyncio.to_thread(self._batches.refused_digest, batch_id)
        if digest is None:
            raise RequestRefused(
                404, "nothing-refused", "Nothing was refused", f"no record was left out beside a batch {batch_id}",
                next_step="check the id; `plumb ingest` prints it",
            )  # fmt: skip
        return await asyncio.to_thread(self._batches.store.read_bytes, digest)

    def _accepted(self, batch_id: UUID, decision: BatchDecision) -> KeptBatch:
        accepted = self._decide(batch_id, decision, "accepted")
        event = accepted.event
        self._references.add(event.domain, [event.statistics])
        self._known.include(event.domain, event.batch_id, event.raw_digest)
        return accepted

    def _decide(self, batch_id: UUID, decision: BatchDecision, state: Literal["accepted", "rejected"]) -> KeptBatch:
        held = self._batches.find_held(batch_id)
        if held is None:
            raise RequestRefused(
                404, "not-held", "No such batch waits", f"no batch {batch_id} waits for a person",
                next_step="see what does with `plumb batches held`",
            )  # fmt: skip
        said = Decision(by=decision.by, reason=decision.reason, at=self._clock.now())
        decided = held.model_copy(update={"state": state, "decision": said})
        self._batches.decide(held, decided)
        extra = {
            "domain": held.event.domain, "batch": str(batch_id), "by": said.by, "reason": said.reason, "outcome": state,
        }  # fmt: skip
        log.info("held batch decided", extra=extra)
        return decided
