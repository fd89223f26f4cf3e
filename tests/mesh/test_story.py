"""The user's story across all daemons: documents in, a released model out, and the next one back on the operator's word."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from contracts.api import ClassifyAnswer, GatewayInfo
from contracts.corpus import Document
from contracts.release import Phase, ReleaseState
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from tests.mesh.conftest import OPERATOR_TOKEN, Mesh

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

LABELS = ("刑法", "民法商法")
"""Two departments that even a minute's model can tell apart."""


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    statutes = load_statutes().first
    return [document for label in LABELS for document in [d for d in statutes if d.label == label][:900]]


async def eventually(look: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Wait for what the daemons' own tickers and child processes will bring about; they cannot signal a test."""
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def upload(mesh: Mesh, documents: list[Document]) -> httpx.Response:
    body = "\n".join(document.model_dump_json() for document in documents)
    headers = {"content-type": "application/x-ndjson"}
    return await mesh.clients["ingest"].post("/v1/domains/law/batches", content=body.encode(), headers=headers)


async def release(mesh: Mesh) -> ReleaseState:
    response = await mesh.clients["release-manager"].get("/v1/domains/law/release")
    return ReleaseState.model_validate_json(response.content) if response.is_success else ReleaseState()


async def test_documents_become_a_released_model_and_the_next_one_is_taken_back(mesh, documents):
    gateway = mesh.clients["inference-gateway"]
    empty = await gateway.post("/v1/classify", json={"text": "第一条"})
    assert empty.status_code == 503
    assert "plumb ingest" in empty.json()["next"]

    first, second = documents[::2], documents[1::2]
    assert (await upload(mesh, first)).status_code == 201

    async def is_stable() -> bool:
        state = await release(mesh)
        return bool(state.finished) and state.finished[-1].phase is Phase.STABLE

    await eventually(is_stable, within_s=90)
    served = (await release(mesh)).serving_digest

    async def gateway_follows() -> bool:
        info = GatewayInfo.model_validate_json((await gateway.get("/")).content)
        return [route.weight_percent for domain in info.served for route in domain.routes] == [100]

    await eventually(gateway_follows, within_s=10)
    held_out = next(document for document in documents if is_held_out(document.split_group))
    response = await gateway.post("/v1/classify", json={"text": held_out.text, "user": "u"})
    answer = ClassifyAnswer.model_validate_json(response.content)
    assert answer.bundle_digest == served
    assert answer.label in LABELS
    assert sum(answer.scores.values()) == pytest.approx(1)

    assert (await upload(mesh, second)).status_code == 201

    async def is_canary() -> bool:
        rollout = (await release(mesh)).rollout
        return rollout is not None and rollout.phase is Phase.CANARY

    await eventually(is_canary, within_s=90)
    canary = await release(mesh)
    assert canary.rollout is not None
    assert canary.rollout.candidate.ancestors == (served,), "it was trained on from the serving weights"
    assert sorted(route.weight_percent for route in canary.routes) == [10, 90]

    refused = await mesh.clients["release-manager"].post("/v1/domains/law/rollback", json={"reason": "no token"})
    assert refused.status_code == 403
    accepted = await mesh.clients["release-manager"].post(
        "/v1/domains/law/rollback",
        json={"reason": "the lawyers say no"},
        headers={"authorization": f"Bearer {OPERATOR_TOKEN}"},
    )
    assert accepted.status_code == 202

    async def is_rolled_back() -> bool:
        return (await release(mesh)).finished[-1].phase is Phase.ROLLED_BACK

    await eventually(is_rolled_back, within_s=10)
    state = await release(mesh)
    assert state.rolled_back_digests == (canary.rollout.candidate.bundle_digest,)
    assert [(route.bundle_digest, route.weight_percent) for route in state.routes] == [(served, 100)]
    assert state.finished[-1].reason.endswith("the lawyers say no")

    status = (await mesh.clients["monitor"].get("/v1/status")).json()
    assert [domain["domain"] for domain in status["domains"]] == ["law"]
    assert status["domains"][0]["release"]["serving_digest"] == served
