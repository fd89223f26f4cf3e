"""What batches hold, which of them wait for a person, what the operator says, and what was refused beside a batch."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from contracts.api import BatchDecision, BatchReceipt, BatchView, DomainStatistics, HeldBatches
from contracts.envelope import Domain
from services.ingest.api.bodies import NDJSON
from services.ingest.deciding import Decisions
from services.ingest.receipts import domain_statistics_of, held_of, receipt_of, view_of
from shared.daemon import check_operator
from shared.problems import RESPONSE
from shared.settings import OperatorSettings

Authorization = Annotated[str | None, Header()]


def routes(decisions: Decisions, operator: OperatorSettings) -> APIRouter:
    """Return the endpoints of held batches."""
    router = APIRouter(tags=["batches"])

    @router.get("/v1/domains/{domain}/statistics", summary="What a domain got so far")
    async def statistics(domain: Domain) -> DomainStatistics:
        """Sum up the accepted batches: counts, lengths, scripts, languages, labels, sources, freshness, repetition."""
        return domain_statistics_of(domain, await decisions.reference(domain))

    @router.get("/v1/batches/held", summary="Batches that wait for a person")
    async def held(
        domain: Annotated[Domain | None, Query(description="Of this domain only; else of all")] = None,
    ) -> HeldBatches:
        """List what differs from what its domain got so far, oldest first, each with the reasons."""
        found = await decisions.held()
        return HeldBatches(batches=tuple(held_of(batch) for batch in found if domain in {None, batch.event.domain}))

    @router.get("/v1/batches/{batch_id}", summary="What a batch holds and what became of it", responses={404: RESPONSE})
    async def batch(batch_id: UUID) -> BatchView:
        return view_of(await decisions.find(batch_id))

    @router.post(
        "/v1/batches/{batch_id}/accept", summary="Let a held batch go on", responses={403: RESPONSE, 404: RESPONSE}
    )
    async def accept(batch_id: UUID, decision: BatchDecision, authorization: Authorization = None) -> BatchReceipt:
        """Announce a held batch to the mesh; from now on such batches are less far away."""
        check_operator(operator, authorization)
        return receipt_of([await decisions.accept(batch_id, decision)]).batches[0]

    @router.post(
        "/v1/batches/{batch_id}/reject", summary="Turn a held batch down", responses={403: RESPONSE, 404: RESPONSE}
    )
    async def reject(batch_id: UUID, decision: BatchDecision, authorization: Authorization = None) -> BatchReceipt:
        """Keep a held batch away from the corpus for good; its documents stay stored, with who decided and why."""
        check_operator(operator, authorization)
        return receipt_of([await decisions.reject(batch_id, decision)]).batches[0]

    @router.get(
        "/v1/batches/{batch_id}/refused", summary="The records that were left out beside a batch", response_class=Response,
        responses={200: {"content": {NDJSON: {}}, "description": "A line, reason and record each"}, 404: RESPONSE},
    )  # fmt: skip
    async def refused(batch_id: UUID) -> Response:
        """List the records that could not be taken, each with its line, the reason and what came."""
        data = await decisions.refused(batch_id)
        headers = {"content-disposition": f'attachment; filename="refused-{batch_id}.jsonl"'}
        return Response(data, media_type=NDJSON, headers=headers)

    return router
