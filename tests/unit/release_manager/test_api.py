from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from contracts.release import Cause, ReleaseState
from contracts.topics import BUNDLE_LOADED
from services.release_manager.api import routes, times
from shared import problems
from shared.settings import OperatorSettings

from .conftest import Daemon
from .story import RULES, evaluated, loaded, weights

TOKEN = {"authorization": "Bearer s3cret"}
ROLLBACK = "/v1/domains/law/rollback"
WHY = {"reason": "wrong answers on labour law"}


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problems.install(app)
    operator = OperatorSettings(operator_token=SecretStr("s3cret"))
    app.include_router(times(lambda _: RULES))
    app.include_router(routes(daemon.bus, daemon.releases, clock=daemon.clock, operator=operator))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://release-manager") as client:
        yield client


async def to_canary(daemon: Daemon) -> None:
    await daemon.evaluates(evaluated("a"))
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    await daemon.ticks(after=RULES.settle_s)
    await daemon.ticks(after=RULES.window_s)
    await daemon.evaluates(evaluated("b", ancestors="a"))
    await daemon.hears(BUNDLE_LOADED, loaded("b"))


async def test_the_state_of_a_domain_is_shown(daemon: Daemon, client: httpx.AsyncClient) -> None:
    await to_canary(daemon)
    answer = await client.get("/v1/domains/law/release")
    assert answer.status_code == 200
    assert weights(ReleaseState.model_validate(answer.json())) == {"a": 90, "b": 10}


async def test_the_times_of_rollouts_are_shown(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/v1/domains/law/rollout-times")).json()
    assert shown == {name: getattr(RULES, name) for name in ("min_canary_s", "max_hold_s", "settle_s", "window_s")}


@pytest.mark.parametrize("method_and_path", [("GET", "/v1/domains/history/release"), ("POST", ROLLBACK)])
async def test_an_unknown_domain_is_a_404(client: httpx.AsyncClient, method_and_path: tuple[str, str]) -> None:
    answer = await client.request(*method_and_path, headers=TOKEN, json=WHY)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:plumbline:problem:unknown-domain"


@pytest.mark.parametrize("cause", [Cause.OPERATOR, Cause.DRILL])
async def test_a_rollback_becomes_an_event_and_takes_effect(
    daemon: Daemon, client: httpx.AsyncClient, cause: Cause
) -> None:
    await to_canary(daemon)
    answer = await client.post(ROLLBACK, headers=TOKEN, json={**WHY, "cause": cause})
    assert answer.status_code == 202
    (request,) = daemon.requests
    assert answer.json() == {"event_id": str(request.event_id)}
    assert (request.cause, request.reason, request.occurred_at) == (cause, WHY["reason"], daemon.clock.now())
    change, _ = daemon.changes[-1]
    assert (change.phase, change.cause, change.causation_id) == ("rolling-back", cause, request.event_id)
    assert weights(change.state) == {"a": 100}


async def test_a_rollback_without_a_way_back_is_a_409(daemon: Daemon, client: httpx.AsyncClient) -> None:
    await daemon.evaluates(evaluated("a"))
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    answer = await client.post(ROLLBACK, headers=TOKEN, json=WHY)
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "urn:plumbline:problem:nothing-to-roll-back",
        "title": "No rollback is possible now",
        "status": 409,
        "detail": "no bundle served before this one: there is nothing to go back to",
        "instance": ROLLBACK,
        "next": "see the phase and the bundles with `plumb status`",
    }
    assert daemon.requests == []


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer guess"}])
async def test_only_the_operator_rolls_back(daemon: Daemon, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await to_canary(daemon)
    answer = await client.post(ROLLBACK, headers=headers, json=WHY)
    assert answer.status_code == 403
    assert daemon.requests == []


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "cause": "quality"}, {"reason": "x" * 501}])
async def test_a_request_that_does_not_fit_is_a_422(client: httpx.AsyncClient, body: dict[str, str]) -> None:
    assert (await client.post(ROLLBACK, headers=TOKEN, json=body)).status_code == 422


async def test_a_domain_that_is_no_name_is_a_422(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/domains/..%2Flaw/release")).status_code in {404, 422}
    assert (await client.get("/v1/domains/Law/release")).status_code == 422
