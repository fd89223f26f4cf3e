"""Errors as RFC 9457 problem bodies, the same in every HTTP daemon."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from contracts.api import Problem
from shared.errors import (
    ArtifactMissing,
    InvalidDocuments,
    PermanentError,
    RequestRefused,
    StorageFull,
    TransientError,
)

MEDIA_TYPE = "application/problem+json"
RESPONSE: dict[str, Any] = {
    "description": "Refused; the body says why and what to do next",
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}
"""How an error stands in the OpenAPI document."""
RETRY_AFTER_S = {503: "1", 507: "30"}
"""When to come back, by status: a daemon is back within seconds, space is freed by a person."""
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": RESPONSE, "5XX": RESPONSE}

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem body."""
    app.add_exception_handler(Exception, _answer)
    for kind in (RequestValidationError, HTTPException, RequestRefused, PermanentError, TransientError):
        app.add_exception_handler(kind, _answer)


def problem_of(error: Exception) -> Problem:  # noqa: PLR0911 (a table)
    """Return the problem body that an exception becomes. What is not known is a 500 without details."""
    match error:
        case RequestRefused():
            return _problem(error.status, error.problem, error.title, str(error), error.next_step)
        case RequestValidationError():
            return _problem(
                422, "invalid-request", "The request does not fit its contract", _locations(error), "see /docs"
            )
        case HTTPException():
            return _problem(error.status_code, "http", str(error.detail), str(error.detail), "see /docs")
        case InvalidDocuments():
            return _problem(422, "invalid-documents", "The batch was refused whole", str(error), error.next_step)
        case ArtifactMissing():
            return _problem(404, "artifact-missing", "The artifact is gone", str(error), error.next_step)
        case PermanentError():
            return _problem(422, "refused", "The request cannot be carried out", str(error), error.next_step)
        case StorageFull():
            return _problem(507, "storage-full", "No space is left", str(error), error.next_step)
        case TransientError():
            return _problem(503, "try-again", "Not possible at this moment", str(error), error.next_step or "try again")
        case _:
            return _problem(
                500, "defect", "An unexpected error", "it stands in the daemon's log with its trace id", None
            )


def problem_response(problem: Problem) -> JSONResponse:
    """Return the HTTP answer that carries a problem."""
    headers = {"retry-after": RETRY_AFTER_S[problem.status]} if problem.status in RETRY_AFTER_S else None
    body = problem.model_dump(exclude_none=True)
    return JSONResponse(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, RequestRefused):  # noqa: PLR2004 (server errors)
        log.error("request failed", extra={"path": request.url.path}, exc_info=error)
    return problem_response(problem.model_copy(update={"instance": request.url.path}))


def _problem(status: int, kind: str, title: str, detail: str, next_step: str | None) -> Problem:
    return Problem(type=f"urn:plumbline:problem:{kind}", title=title, status=status, detail=detail, next=next_step)


def _locations(error: RequestValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
