"""Every field of a question at its edges, to a gateway that serves: answered or refused with a problem body, never a 500."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts.api import MAX_INPUT_CHARS, MAX_NEW_TOKENS, Problem
from services.inference_gateway.adapters import AnswerCache

from .conftest import Gateway

EDGES = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONGEST = "条" * MAX_INPUT_CHARS
TEXTS = st.text(max_size=300) | st.sampled_from(["", " ", "\x00", "\ud800", "😀\u200d\ufeff", LONGEST, LONGEST + "条"])
USERS = st.none() | st.text(max_size=10) | st.sampled_from(["u" * 200, "u" * 201, "\ud800"])
DOMAINS = st.sampled_from(["law", "LAW", "", "medicine", "law\n", "a" * 300])
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -1, 1e-50, 5e-324, 1e308, True, "7", None])
TOKENS = st.integers(-2, MAX_NEW_TOKENS + 2) | NUMBERS
WELL = {"prompt": "一二", "max_new_tokens": 2}


@pytest.fixture
def announced() -> tuple[str, ...]:
    return ("民法",)


async def ask(gateway: Gateway, path: str, body: dict[str, Any]) -> int:
    response = await gateway.client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    if response.status_code >= 400:
        problem = Problem.model_validate_json(response.content)
        assert (problem.status, bool(problem.detail)) == (response.status_code, True)
    assert "event: error" not in response.text, response.text
    return response.status_code


@EDGES
@given(text=TEXTS, user=USERS, domain=DOMAINS)
async def test_classifying_is_answered_or_refused(gateway: Gateway, text: str, user: str | None, domain: str) -> None:
    status = await ask(gateway, "/v1/classify", {"text": text, "user": user, "domain": domain})
    assert status in ({200, 422} if domain == "law" else {422, 503})


@EDGES
@given(prompt=TEXTS, max_new_tokens=TOKENS, temperature=NUMBERS, seed=NUMBERS)
@example(prompt="一", max_new_tokens=2, temperature=0.7, seed=-1)
@example(prompt="一", max_new_tokens=2, temperature=1e-50, seed=0)
@example(prompt="一", max_new_tokens=2, temperature=5e-324, seed=2**63 - 1)
async def test_completing_is_answered_or_refused(gateway: Gateway, **body: Any) -> None:
    assert await ask(gateway, "/v1/complete", body) in {200, 422}


async def test_a_good_question_is_answered(gateway: Gateway) -> None:
    assert await ask(gateway, "/v1/classify", {"text": "一"}) == 200


@pytest.mark.parametrize("temperature", [0, 1e-50, 0.0009, 0.001, 2])
async def test_every_temperature_in_range_is_answered(gateway: Gateway, temperature: float) -> None:
    assert await ask(gateway, "/v1/complete", {**WELL, "temperature": temperature}) == 200


async def test_a_cached_answer_of_another_version_is_made_anew(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kept(_: AnswerCache, __: str) -> bytes:
        return b'{"label": "of another version"}'

    monkeypatch.setattr(AnswerCache, "get", kept)
    answer = await gateway.classify("a")
    assert (answer["label"], answer["cached"]) == ("民法", False)
