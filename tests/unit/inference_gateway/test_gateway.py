"""The gateway as its users and the release-manager see it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from httpx_sse import aconnect_sse

from contracts import topics
from contracts.release import BundleLoaded, Phase
from services.inference_gateway.adapters import BundleShelf
from shared.artifacts import ArtifactStore
from tests.unit.inference_gateway.conftest import TOKEN, Gateway, released

OPERATOR = {"authorization": f"Bearer {TOKEN}"}
OLD_ANSWERS, NEW_ANSWERS = {"a": "old", "b": "other"}, {"a": "new", "b": "other"}


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the gateway, which acts behind its handler, has come to something."""
    async with asyncio.timeout(10):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def told_of(gateway: Gateway, digest: str) -> BundleLoaded:
    async def is_told() -> bool:
        return any(told.bundle_digest == digest for told in gateway.told)

    await eventually(is_told)
    return next(told for told in gateway.told if told.bundle_digest == digest)


async def until_served(gateway: Gateway, weights: dict[str, int]) -> None:
    async def is_served() -> bool:
        return await gateway.served() == weights

    await eventually(is_served)


@pytest.fixture
async def old(gateway: Gateway) -> str:
    digest = gateway.seal("old", OLD_ANSWERS)
    await gateway.release(Phase.PROMOTING, {digest: 100}, warm=digest)
    await until_served(gateway, {digest: 100})
    return digest


async def test_without_a_release_the_answer_says_what_to_do(gateway: Gateway):
    response = await gateway.client.post("/v1/classify", json={"text": "a"})
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert problem["type"] == "urn:plumbline:problem:nothing-to-serve"
    assert "plumb ingest" in problem["next"]
    info = (await gateway.client.get("/")).json()
    assert info["served"] == []
    assert info["docs"] == "/docs"
    assert (await gateway.client.get("/docs")).status_code == 200


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "a", "domain": "No"}, {"text": 3}])
async def test_a_request_that_does_not_fit_is_a_problem_that_names_the_field(gateway: Gateway, body):
    response = await gateway.client.post("/v1/classify", json=body)
    assert response.status_code == 422
    assert response.json()["title"] == "The request does not fit its contract"
    assert "body." in response.json()["detail"]


async def test_a_bundle_is_told_loaded_when_it_is_asked_for_and_answers_when_it_is_routed(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    await gateway.release(Phase.WARMING, {old: 100}, warm=new)
    assert (await told_of(gateway, new)).loaded
    await gateway.release(Phase.CANARY, {old: 90, new: 10}, warm=new)
    await until_served(gateway, {old: 90, new: 10})
    answers = [await gateway.classify("a", user=f"user-{number}") for number in range(60)]
    assert {answer["bundle_digest"] for answer in answers} == {old, new}
    assert all(answer["label"] == ("old" if answer["bundle_digest"] == old else "new") for answer in answers)
    assert len({answer["answer_id"] for answer in answers}) == 60


async def test_asked_again_by_the_same_event_it_says_the_same_again(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    asked = released(Phase.WARMING, {old: 100}, new, gateway.revision + 1)
    for _ in range(2):
        await gateway.release_manager.publish(topics.RELEASE_CHANGED, asked)

    async def is_told_twice() -> bool:
        return sum(told.bundle_digest == new for told in gateway.told) == 2

    await eventually(is_told_twice)
    first, second = (told for told in gateway.told if told.bundle_digest == new)
    assert first == second


async def test_a_user_stays_where_it_is(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    await gateway.release(Phase.CANARY, {old: 50, new: 50}, warm=new)
    await until_served(gateway, {old: 50, new: 50})
    for user in ("x", "y", "z"):
        assert len({(await gateway.classify("a", user=user))["bundle_digest"] for _ in range(5)}) == 1


async def test_after_a_rollback_nobody_gets_the_bad_bundle_and_it_is_let_go(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    await gateway.release(Phase.CANARY, {old: 50, new: 50}, warm=new)
    await until_served(gateway, {old: 50, new: 50})
    await gateway.release(Phase.ROLLED_BACK, {old: 100}, warm=old)
    await until_served(gateway, {old: 100})
    assert {(await gateway.classify("a", user=f"{n}"))["label"] for n in range(20)} == {"old"}

    async def is_let_go() -> bool:
        return new not in (await gateway.info())["loaded"]

    await eventually(is_let_go)


async def test_an_older_revision_changes_nothing(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    await gateway.release(Phase.PROMOTING, {new: 100}, warm=new, revision=7)
    await until_served(gateway, {new: 100})
    await gateway.release(Phase.PROMOTING, {old: 100}, warm=old, revision=6)
    await gateway.release(Phase.WINDOW, {new: 100}, warm=new, revision=8)

    async def is_at_the_newest() -> bool:
        return (await gateway.info())["revision"] == 8

    await eventually(is_at_the_newest)
    assert await gateway.served() == {new: 100}


async def test_a_damaged_bundle_is_told_and_the_old_one_goes_on(gateway: Gateway, old: str):
    new = gateway.seal("new", NEW_ANSWERS)
    weights = gateway.store.put_file(gateway.tmp_path / "new" / "serving" / "model.onnx")
    damaged = gateway.tmp_path / "artifacts" / "sha256" / weights[:2] / weights
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    await gateway.release(Phase.WARMING, {old: 100}, warm=new)
    told = await told_of(gateway, new)
    assert not told.loaded
    assert weights in (told.error or "")
    assert (await gateway.classify("a"))["label"] == "old"


async def test_a_completion_is_streamed_and_ends_with_its_bundle(gateway: Gateway, old: str):
    body = {"prompt": "ab", "max_new_tokens": 4, "user": "u"}
    async with aconnect_sse(gateway.client, "POST", "/v1/complete", json=body) as source:
        events = [event async for event in source.aiter_sse()]
    assert events[-1].event == "done"
    done = json.loads(events[-1].data)
    assert done["bundle_digest"] == old
    assert done["num_tokens"] == len(events) - 1 <= 4


async def test_a_completion_without_a_release_is_a_status_and_no_stream(gateway: Gateway):
    response = await gateway.client.post("/v1/complete", json={"prompt": "a"})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_bundle_without_labels_refuses_to_classify(gateway: Gateway):
    digest = gateway.seal("plain", {})
    await gateway.release(Phase.PROMOTING, {digest: 100}, warm=digest)
    await until_served(gateway, {digest: 100})
    response = await gateway.client.post("/v1/classify", json={"text": "a"})
    assert response.status_code == 409
    assert "/v1/complete" in response.json()["next"]


async def test_faults_are_the_operators_alone(gateway: Gateway, old: str):
    fault = {"bundle_digest": old, "delay_ms": 50}
    for headers in ({}, {"authorization": "Bearer guess"}):
        assert (await gateway.client.post("/v1/operator/faults", json=fault, headers=headers)).status_code == 403
        assert (await gateway.client.get("/v1/operator/faults", headers=headers)).status_code == 403
    assert (await gateway.client.get("/v1/operator/faults", headers=OPERATOR)).json() == []


async def test_an_armed_fault_slows_its_bundle_until_it_is_disarmed(gateway: Gateway, old: str):
    fault = {"bundle_digest": old, "delay_ms": 300}
    assert (await gateway.client.post("/v1/operator/faults", json=fault, headers=OPERATOR)).status_code == 201
    loop = asyncio.get_running_loop()
    started = loop.time()
    await gateway.classify("a")
    assert loop.time() - started >= 0.3
    [armed] = (await gateway.client.get("/v1/operator/faults", headers=OPERATOR)).json()
    assert armed["first_answer_at"] is not None
    path = f"/v1/operator/faults/{old}"
    assert (await gateway.client.delete(path, headers=OPERATOR)).status_code == 204
    assert (await gateway.client.delete(path, headers=OPERATOR)).status_code == 404
    started = loop.time()
    await gateway.classify("a")
    assert loop.time() - started < 0.3


class TestWithACache:
    @pytest.fixture
    def cache_url(self, cache: str) -> str:
        return cache

    async def test_an_answer_is_cached_for_its_bundle_only(self, gateway: Gateway, old: str):
        first, second = await gateway.classify("a"), await gateway.classify("a")
        assert (first["cached"], second["cached"]) == (False, True)
        assert second["label"] == first["label"]
        assert second["answer_id"] != first["answer_id"]
        new = gateway.seal("new", NEW_ANSWERS)
        await gateway.release(Phase.PROMOTING, {new: 100}, warm=new)
        await until_served(gateway, {new: 100})
        after = await gateway.classify("a")
        assert (after["label"], after["cached"]) == ("new", False)


class TestAfterARestart:
    @pytest.fixture
    def announced(self) -> tuple[str, ...]:
        return ("before",)

    async def test_a_gateway_that_is_ready_serves_what_was_released(self, gateway: Gateway):
        assert (await gateway.classify("a"))["label"] == "before"


class TestWithADamagedDomain:
    @pytest.fixture
    def announced(self, tmp_path: Path) -> tuple[str, ...]:
        ArtifactStore(f"file://{tmp_path}/artifacts").write_ref("releases/art.json", b'{"state": 7}')
        return ("before",)

    async def test_the_other_domains_are_served(self, gateway: Gateway, caplog):
        assert (await gateway.classify("a"))["label"] == "before"
        records = [*caplog.get_records("setup"), *caplog.records]
        assert [record.domain for record in records if record.levelname == "ERROR"] == ["art"]


async def test_a_rollback_does_not_wait_for_a_bundle_that_loads(gateway: Gateway, old: str, monkeypatch):
    new, slow = gateway.seal("new", NEW_ANSWERS), gateway.seal("slow", {"a": "slow"})
    await gateway.release(Phase.CANARY, {old: 50, new: 50}, warm=new)
    await until_served(gateway, {old: 50, new: 50})
    loading, may_go_on = asyncio.Event(), asyncio.Event()
    load = BundleShelf.load

    async def load_slowly(shelf: BundleShelf, digest: str) -> None:
        if digest == slow:
            loading.set()
            await may_go_on.wait()
        await load(shelf, digest)

    monkeypatch.setattr(BundleShelf, "load", load_slowly)
    await gateway.release(Phase.WARMING, {old: 50, new: 50}, warm=slow)
    await asyncio.wait_for(loading.wait(), 10)
    await gateway.release(Phase.ROLLING_BACK, {old: 100}, warm=old)
    assert await gateway.served() == {old: 100}
    may_go_on.set()
    await told_of(gateway, slow)
    assert await gateway.served() == {old: 100}


async def test_a_store_out_of_reach_says_nothing_of_the_bundle(gateway: Gateway, old: str, monkeypatch):
    new = gateway.seal("new", NEW_ANSWERS)
    tries = 0
    load = BundleShelf.load

    async def load_at_the_second_try(shelf: BundleShelf, digest: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the store does not answer")
        await load(shelf, digest)

    monkeypatch.setattr(BundleShelf, "load", load_at_the_second_try)
    monkeypatch.setattr("services.inference_gateway.handlers.RELOAD_PAUSE_S", 0.01)
    await gateway.release(Phase.WARMING, {old: 100}, warm=new)
    assert (await told_of(gateway, new)).loaded
    assert tries == 2


class TestWithRoomForOne:
    @pytest.fixture(autouse=True)
    def _narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLUMBLINE_MAX_REQUESTS", "1")

    async def test_one_request_too_many_is_refused_and_the_other_answered(self, gateway: Gateway, old: str):
        fault = {"bundle_digest": old, "delay_ms": 200}
        await gateway.client.post("/v1/operator/faults", json=fault, headers=OPERATOR)
        requests = [gateway.client.post("/v1/classify", json={"text": "a"}) for _ in range(2)]
        assert sorted(response.status_code for response in await asyncio.gather(*requests)) == [200, 429]
