"""Batches in, shards out; requests for a version; rollbacks that speak against data.

A batch comes to any cleaner, which takes it through the steps. The one that has the domain goes on at once; any other hands the
batch over by `batch-prepared`.
"""

import asyncio
import logging
from collections.abc import Callable

from contracts.corpus import BatchPrepared, BatchReceived
from contracts.envelope import Domain
from contracts.release import ReleaseChanged
from contracts.telemetry import DOCUMENT_CLEANED
from contracts.topics import (
    BATCH_CLEANED,
    BATCH_PREPARED,
    BATCH_RECEIVED,
    CORPUS_AMENDED,
    RELEASE_CHANGED,
    TRAINING_REQUESTED,
)
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
    bus: Bus,
    telemetry: Telemetry,
    *,
    cleaning: BatchCleaning,
    versions: Versions,
    lock: asyncio.Lock,
    clock: Clock,
    owns: Callable[[Domain], bool],
) -> None:
    """Subscribe the cleaner to the mesh; `owns`: whether this member of the group has a domain."""

    async def on_batch_received(event: BatchReceived) -> None:
        # Without the lock: nothing is touched but the store.
        prepared = await asyncio.to_thread(cleaning.prepare, event)
        if owns(event.domain):
            await on_batch_prepared(prepared)
        else:
            await bus.publish(BATCH_PREPARED, prepared)

    async def on_batch_prepared(event: BatchPrepared) -> None:
        async with lock:
            cleaned = await asyncio.to_thread(cleaning.take, event, traceparent=current_traceparent(), now=clock.now())
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

    async def say_quarantined(event: ReleaseChanged) -> None:
        async with lock:
            amendment = await asyncio.to_thread(
                versions.amendment, event.domain, "quarantine", event.event_id, now=clock.now()
            )
        await bus.publish(CORPUS_AMENDED, amendment)

    async def on_release_changed(event: ReleaseChanged) -> None:
        async with lock:
            num_quarantined = await asyncio.to_thread(versions.quarantine, event)
        if num_quarantined:
            await say_quarantined(event)
            log.warning(
                "batches quarantined: only a bundle of bad quality was trained on them",
                extra={"domain": event.domain, "bundle": event.bundle_digest, "num_batches": num_quarantined},
            )

    bus.consume(
        {
            BATCH_RECEIVED: on_batch_received,
            BATCH_PREPARED: on_batch_prepared,
            TRAINING_REQUESTED: on_training_requested,
            RELEASE_CHANGED: on_release_changed,
        }
    )
