"""What an operator may ask of a release, over HTTP."""

from collections.abc import Callable
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header

from contracts.api import Accepted, RollbackRequest, RolloutTimes
from contracts.envelope import Domain
from contracts.release import Cause, ReleaseRequested, ReleaseState
from contracts.topics import RELEASE_REQUESTED
from services.release_manager.core.effects import RequestDeclined
from services.release_manager.core.rollout import what_to_roll_back
from services.release_manager.run import Releases
from services.release_manager.settings import RolloutRules
from shared.bus import Bus
from shared.clock import Clock
from shared.daemon import check_operator
from shared.errors import RequestRefused
from shared.settings import OperatorSettings


def routes(bus: Bus, releases: Releases, *, clock: Clock, operator: OperatorSettings) -> APIRouter:
    """Return the release-manager's endpoints."""
    router = APIRouter(prefix="/v1/domains/{domain}", tags=["release"])

    @router.get("/release", summary="The state of a domain's releases")
    async def release(domain: Domain) -> ReleaseState:
        return await _known_state(releases, domain)

    @router.post("/rollback", status_code=202, summary="Take the candidate, or the last release, back")
    async def rollback(
        domain: Domain, request: RollbackRequest, authorization: Annotated[str | None, Header()] = None
    ) -> Accepted:
        check_operator(operator, authorization)
        _check_possible(await _known_state(releases, domain))
        event = ReleaseRequested(
            event_id=uuid4(),
            causation_id=None,
            occurred_at=clock.now(),
            domain=domain,
            action="rollback",
            cause=Cause(request.cause),
            reason=request.reason,
        )
        await bus.publish(RELEASE_REQUESTED, event)
        return Accepted(event_id=event.event_id)

    return router


def times(rules_for: Callable[[Domain], RolloutRules]) -> APIRouter:
    """Return the endpoint that says how long rollouts take here."""
    router = APIRouter(tags=["release"])

    @router.get("/v1/domains/{domain}/rollout-times", summary="How long the phases of a rollout last")
    async def rollout_times(domain: Domain) -> RolloutTimes:
        rules = rules_for(domain)
        return RolloutTimes(
            min_canary_s=rules.min_canary_s,
            max_hold_s=rules.max_hold_s,
            settle_s=rules.settle_s,
            window_s=rules.window_s,
        )

    return router


async def _known_state(releases: Releases, domain: Domain) -> ReleaseState:
    state = await releases.state(domain)
    if state is None:
        raise RequestRefused(
            404, "unknown-domain", "No such domain", f"nothing was ever evaluated in the domain {domain}",
            next_step="check its name, or see how far it is with `plumb status`",
        )  # fmt: skip
    return state


def _check_possible(state: ReleaseState) -> None:
    subject = what_to_roll_back(state)
    if isinstance(subject, RequestDeclined):
        raise RequestRefused(
            409, "nothing-to-roll-back", "No rollback is possible now", subject.reason,
            next_step="see the phase and the bundles with `plumb status`",
        )  # fmt: skip
