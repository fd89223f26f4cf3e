"""Every error has its HTTP status and a problem body that says what to do."""

import inspect

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from contracts.api import Problem
from shared import errors, problems
from shared.errors import PlumblineError, RequestRefused

STATUSES = {
    "PlumblineError": 500,
    "PermanentError": 422,
    "InvalidEvent": 422,
    "UnknownEventVersion": 422,
    "InvalidDocuments": 422,
    "ArtifactMissing": 404,
    "ArtifactCorrupt": 422,
    "BundleRefused": 422,
    "RunFailed": 422,
    "TransientError": 503,
    "RunClaimed": 503,
    "RunInterrupted": 503,
    "RefConflict": 503,
    "NotTheWriter": 503,
    "StorageUnavailable": 503,
    "StorageFull": 507,
    "ChildCrashed": 422,
    "RequestRefused": 409,
    "MeshError": 500,
    "SecretRefused": 500,
    "SignatureRefused": 422,
    "CommandUntimely": 422,
    "CommandReplayed": 422,
}
CLASSES = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PlumblineError)}


class Body(BaseModel):
    number: int


def made(name: str) -> PlumblineError:
    if name == "RequestRefused":
        return RequestRefused(409, "busy", "Busy at present", "a rollout is under way", next_step="wait")
    return CLASSES[name]("what happened", next_step="do this")


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.get("/raise/{name}")
    async def raise_error(name: str) -> None:
        raise made(name)

    @app.get("/defect")
    async def defect() -> None:
        raise KeyError("secret")

    @app.post("/body")
    async def body(_: Body) -> None:
        """Takes a body."""

    return TestClient(app, raise_server_exceptions=False)


def test_the_table_names_every_error() -> None:
    assert set(STATUSES) == set(CLASSES)


def test_the_drawn_tree_names_every_error() -> None:
    drawn = {line.split("-- ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "-- " in line}
    assert drawn | {"PlumblineError"} == set(CLASSES)


@pytest.mark.parametrize("name", STATUSES)
def test_an_error_becomes_a_problem_body(client: TestClient, name: str) -> None:
    answer = client.get(f"/raise/{name}")

    assert answer.status_code == STATUSES[name]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert problem.status == STATUSES[name]
    assert problem.type.startswith("urn:plumbline:problem:")
    assert problem.instance == f"/raise/{name}"
    if problem.status != 500:
        assert problem.next in {"do this", "wait"}
        assert problem.detail in {"what happened", "a rollout is under way"}
    assert ("retry-after" in answer.headers) == (problem.status in {503, 507})


def test_a_defect_says_nothing_of_its_inside(client: TestClient) -> None:
    answer = client.get("/defect")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_a_body_that_does_not_fit_names_the_field(client: TestClient) -> None:
    answer = client.post("/body", json={"number": "many"})

    assert answer.status_code == 422
    assert "body.number" in Problem.model_validate(answer.json()).detail


@pytest.mark.parametrize(("method", "path", "status"), [("get", "/nowhere", 404), ("put", "/body", 405)])
def test_the_frameworks_own_errors_are_problem_bodies_too(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = getattr(client, method)(path)

    assert answer.status_code == status
    assert Problem.model_validate(answer.json()).status == status
