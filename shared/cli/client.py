"""HTTP to the daemons of a running mesh; what goes wrong becomes one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from contracts.api import Problem
from shared.cli.errors import ArgumentRefused, DaemonUnreachable, ProblemAnswered
from shared.cli.target import Target, target_of
from shared.embedded.layout import Layout

TIMEOUT_S = 60.0

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@contextmanager
def daemon(layout: Layout, name: str) -> Iterator[httpx.Client]:
    """Open a client of one daemon.

    Args:
        layout: The state directory of the mesh, which counts unless settings name another mesh.
        name: The daemon, e.g. `monitor`.

    Raises:
        MeshNotRunning: No mesh runs there.
        DaemonUnreachable: The daemon does not answer.
    """
    with client_of(target_of(layout), layout, name) as client:
        yield client


@contextmanager
def client_of(target: Target, layout: Layout, name: str) -> Iterator[httpx.Client]:
    """Open a client of one daemon of a mesh that was found before.

    Raises:
        MeshNotRunning: Its address is not known.
        DaemonUnreachable: It does not answer.
    """
    url = target.url(name)
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
            yield client
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        where = f"{layout.log(name)}; a crashed daemon is back within seconds" if target.record else "the daemon's log"
        raise DaemonUnreachable(
            f"{name} does not answer at {url} ({reason}).", next_step=f"Look at `plumb status` and {where}."
        ) from error


def request_of(model: type[AnyModel], **arguments: object) -> AnyModel:
    """Return a request made of command-line arguments.

    Raises:
        ArgumentRefused: One of them does not fit.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        name = ".".join(map(str, first["loc"]))
        raise ArgumentRefused(
            f"{name}: {first['msg']}", next_step="Correct it; `--help` shows the arguments."
        ) from error


def answer_of(response: httpx.Response, model: type[AnyModel]) -> AnyModel:
    """Return the body of a good answer.

    Raises:
        ProblemAnswered: The answer was an error.
    """
    check(response)
    return model.model_validate_json(response.content)


def check(response: httpx.Response) -> None:
    """Let a good answer pass, one that was read.

    Raises:
        ProblemAnswered: The answer was an error.
    """
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        raise ProblemAnswered(problem_of(response))


def problem_of(response: httpx.Response) -> Problem:
    """Return the problem body of an error, or one that says what came instead."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return Problem(
            type="about:blank",
            title=f"HTTP {response.status_code}",
            status=response.status_code,
            detail=response.text[:500] or "no body",
            instance=response.url.path,
        )
