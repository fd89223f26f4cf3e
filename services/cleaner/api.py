"""The corpus over HTTP: what it holds, what was removed and why, how versions differ; and an operator's orders."""

import asyncio
import logging
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query

from contracts.corpus_api import (
    MAX_LISTED,
    BatchOrder,
    CorpusBatches,
    CorpusDiff,
    CorpusVersions,
    RemovedDocuments,
    Restored,
    RestoreRequest,
)
from contracts.envelope import Domain
from contracts.topics import BATCH_CLEANED, CORPUS_AMENDED
from services.cleaner.core.removed import Stage
from services.cleaner.orders import Orders
from services.cleaner.versions import Versions
from services.cleaner.views import CorpusViews, RemovedFilter
from shared.bus import Bus
from shared.clock import Clock
from shared.daemon import check_operator
from shared.settings import OperatorSettings

MAX_NUMBER = 2**31 - 1
"""SQLite refuses numbers beyond 64 bits; no domain gets so many versions."""
Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]
Number = Annotated[int, Query(ge=1, le=MAX_NUMBER, description="A version's number")]
Authorization = Annotated[str | None, Header()]

log = logging.getLogger(__name__)


def reading(*, views: CorpusViews, lock: asyncio.Lock) -> APIRouter:
    """Return the endpoints that change nothing."""
    routes = APIRouter(prefix="/v1/domains/{domain}/corpus", tags=["corpus"])

    @routes.get("/versions", summary="The corpus versions of a domain, newest first")
    async def versions(domain: Domain, limit: Limit = 20) -> CorpusVersions:
        async with lock:
            return await asyncio.to_thread(views.versions, domain, limit=limit)

    @routes.get("/batches", summary="The batches of a domain, newest first")
    async def batches(domain: Domain, limit: Limit = 20, *, quarantined: bool = False) -> CorpusBatches:
        async with lock:
            return await asyncio.to_thread(views.batches, domain, limit=limit, only_quarantined=quarantined)

    @routes.get("/removed", summary="What did not get into a version, and why")
    async def removed(
        domain: Domain,
        version: Number | None = None,
        stage: Stage | None = None,
        reason: str | None = None,
        document_id: str | None = None,
        limit: Limit = 100,
    ) -> RemovedDocuments:
        wanted = RemovedFilter(stage=stage, reason=reason, document_id=document_id, limit=limit)
        async with lock:
            return await asyncio.to_thread(views.removed, domain, version, wanted)

    @routes.get("/diff", summary="How two versions differ")
    async def diff(domain: Domain, earlier: Number, later: Number, limit: Limit = 100) -> CorpusDiff:
        async with lock:
            return await asyncio.to_thread(views.diff, domain, earlier, later, limit=limit)

    return routes


def ordering(
    bus: Bus, *, orders: Orders, versions: Versions, lock: asyncio.Lock, clock: Clock, operator: OperatorSettings
) -> APIRouter:
    """Return the endpoints for the operator."""
    routes = APIRouter(prefix="/v1/domains/{domain}/corpus", tags=["corpus"])

    @routes.post("/restore", summary="Bring removed documents back into the next version")
    async def restore(domain: Domain, request: RestoreRequest, authorization: Authorization = None) -> Restored:
        check_operator(operator, authorization)
        async with lock:
            number, said = await asyncio.to_thread(
                orders.restore, domain, request.removed_ids, reason=request.reason, now=clock.now()
            )
            amendment = await asyncio.to_thread(versions.amendment, domain, "restore", None, now=clock.now())
        for event in said:
            await bus.publish(BATCH_CLEANED, event)
        await bus.publish(CORPUS_AMENDED, amendment)
        log.warning(
            "documents restored by the operator",
            extra={"domain": domain, "num_documents": number, "reason": request.reason, "ids": request.removed_ids},
        )
        return Restored(num_documents=number)

    @routes.post("/batches/{batch_id}/quarantine", summary="Leave a batch out of the next versions")
    async def quarantine(
        domain: Domain, batch_id: UUID, order: BatchOrder, authorization: Authorization = None
    ) -> CorpusBatches:
        check_operator(operator, authorization)
        async with lock:
            number = await asyncio.to_thread(orders.quarantine, domain, batch_id)
            left_out = await asyncio.to_thread(_quarantined, orders, domain)
            amendment = await asyncio.to_thread(versions.amendment, domain, "quarantine", None, now=clock.now())
        await bus.publish(CORPUS_AMENDED, amendment)
        _tell("batch quarantined by the operator", domain, batch_id, order, number)
        return left_out

    @routes.post("/batches/{batch_id}/put-back", summary="Take a batch out of quarantine")
    async def put_back(
        domain: Domain, batch_id: UUID, order: BatchOrder, authorization: Authorization = None
    ) -> CorpusBatches:
        check_operator(operator, authorization)
        async with lock:
            number = await asyncio.to_thread(orders.put_back, domain, batch_id)
            left_out = await asyncio.to_thread(_quarantined, orders, domain)
            amendment = await asyncio.to_thread(versions.amendment, domain, "put-back", None, now=clock.now())
        await bus.publish(CORPUS_AMENDED, amendment)
        _tell("batch put back by the operator", domain, batch_id, order, number)
        return left_out

    return routes


def _quarantined(orders: Orders, domain: str) -> CorpusBatches:
    return CorpusViews(store=orders.store, ledger=orders.ledger).batches(
        domain, limit=MAX_LISTED, only_quarantined=True
    )


def _tell(what: str, domain: str, batch_id: UUID, order: BatchOrder, number: int) -> None:
    extra = {"domain": domain, "batch": str(batch_id), "reason": order.reason, "changed_anything": bool(number)}
    log.warning(what, extra=extra)
