"""What the daemons of a mesh that runs elsewhere say of themselves."""

from http import HTTPStatus
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.cli.target import Target

TIMEOUT_S = 5.0


class DaemonHealth(BaseModel):
    """One daemon's answer to `/readyz`."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    state: Literal["ready", "unready", "no answer"]
    reason: str | None


class _Readiness(BaseModel):
    """The part of `/readyz` that is read here."""

    reason: str | None


def health_of(target: Target) -> tuple[DaemonHealth, ...]:
    """Ask every daemon whose address is known."""
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        return tuple(_ask(client, name, url) for name, url in target.urls.items())


def _ask(client: httpx.Client, name: str, url: str) -> DaemonHealth:
    try:
        response = client.get(f"{url}/readyz")
    except httpx.TransportError as error:
        return DaemonHealth(name=name, url=url, state="no answer", reason=str(error) or type(error).__name__)
    if response.status_code == HTTPStatus.OK:
        return DaemonHealth(name=name, url=url, state="ready", reason=None)
    return DaemonHealth(name=name, url=url, state="unready", reason=_reason(response))


def _reason(response: httpx.Response) -> str | None:
    try:
        return _Readiness.model_validate_json(response.content).reason
    except ValidationError:
        return f"/readyz answered {response.status_code}"
