"""Batches in, shards out; requests for a version; rollbacks that speak against data."""

import asyncio
import logging

from contracts.corpus import BatchReceived
from contracts.release import ReleaseChanged
from contracts.telemetry import DOCUMENT_CLEANED
from contracts.topics import BATCH_CLEANED, BATCH_RECEIVED, RELEASE_CHANGED, TRAINING_REQUESTED
from contracts.training import TrainingRequested
from services.cleaner.adapters import mark_cleaned
from services.cleaner.batches import BatchCleaning, outcomes
from services.cleaner.core.cut import Request
from services.cleaner.versions import Versions
from shared.bus import Bus
from shared.clock import Clock
from shared.telemetry import Telemetry, current_traceparent

log = logging.getLogger(__name__)


def register(
    bus: Bus, telemetry: Telemetry, *, cleaning: BatchCleaning, versions: Versions, lock: asyncio.Lock, clock: Clock
) -> None:
    """Subscribe the cleaner to the mesh."""

    async def on_batch_received(event: BatchReceived) -> None:
        async with lock:
            cleaned = await asyncio.to_thread(cleaning.clean, event, traceparent=current_traceparent(), now=clock.now())
        await bus.publish(BATCH_CLEANED, cleaned)
        await asyncio.to_thread(mark_cleaned, cleaning.store, cleaned)
        for outcome, count in outcomes(cleaned).items():
            telemetry.add(DOCUMENT_CLEANED, count, {"plumbline.domain": event.domain, "plumbline.outcome": outcome})

    async def on_training_requested(event: TrainingRequested) -> None:
        request = Request(
            event_id=event.event_id,
            reason=event.reason,
            received_at=clock.now(),
            traceparent=current_traceparent(),
            missing=event.batch_ids,
        )
        async with lock:
            await asyncio.to_thread(
                cleaning.ledger.add_request, request, domain=event.domain, batch_ids=event.batch_ids
            )

    async def on_release_changed(event: ReleaseChanged) -> None:
        async with lock:
            num_quarantined = await asyncio.to_thread(versions.quarantine, event)
        if num_quarantined:
            log.warning(
                "batches quarantined: only a bundle of bad quality was trained on them",
                extra={"domain": event.domain, "bundle": event.bundle_digest, "num_batches": num_quarantined},
            )

    bus.consume(
        {
            BATCH_RECEIVED: on_batch_received,
            TRAINING_REQUESTED: on_training_requested,
            RELEASE_CHANGED: on_release_changed,
        }
    )
