"""Loads the saved objects once Kibana answers; without a Kibana it gives up quietly, since nothing depends on it."""

import time
from http import HTTPStatus
from typing import Annotated, Any

import httpx
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import PlumblineError
from shared.kibana.objects import ndjson, saved_objects
from shared.settings import Group

POLL_S = 3.0
TIMEOUT_S = 30.0


class KibanaRefused(PlumblineError):
    """Kibana did not take an object."""


class KibanaSettings(Group):
    """Where Kibana is."""

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] = "http://127.0.0.1:5601"
    """Base URL for `python -m shared.kibana`, which loads data views and a dashboard."""
    wait_s: Annotated[float, Field(ge=0)] = 300.0
    """How long it waits for Kibana before it gives up, without an error."""


class StreamsName(Group):
    """Which data streams the views are of."""

    index_prefix: str = "plumbline"
    """How the names of our data streams in Elasticsearch begin."""


class Settings(BaseSettings):
    """What the one-shot is told."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore")

    kibana: KibanaSettings = KibanaSettings()
    store: StreamsName = StreamsName()


def load(client: httpx.Client, settings: Settings) -> int | None:
    """Load the objects; those of an earlier load are overwritten.

    Args:
        client: With Kibana's base URL.
        settings: How long to wait, and for which data streams.

    Returns:
        How many were loaded; None: no Kibana answered in time.

    Raises:
        KibanaRefused: It took not all of them.
    """
    if not _available(client, within_s=settings.kibana.wait_s):
        return None
    objects = saved_objects(settings.store.index_prefix)
    response = client.post(
        "/api/saved_objects/_import",
        params={"overwrite": "true"},
        headers={"kbn-xsrf": "true"},
        files={"file": ("plumbline.ndjson", ndjson(objects), "application/x-ndjson")},
    )
    answer = _json(response)
    if response.status_code != HTTPStatus.OK or answer.get("success") is not True:
        reason = answer.get("errors") or answer.get("message") or response.text[:500]
        raise KibanaRefused(
            f"Kibana took {answer.get('successCount', 0)} of {len(objects)} objects: {reason}",
            next_step="Load them by hand in Stack Management, Saved Objects, or use a Kibana from 8.9 on.",
        )
    return len(objects)


def _available(client: httpx.Client, *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while True:
        try:
            response = client.get("/api/status")
        except httpx.TransportError:
            level = None
        else:
            level = _json(response).get("status", {}).get("overall", {}).get("level")
        if level == "available":
            return True
        if time.monotonic() + POLL_S > deadline:
            return False
        time.sleep(POLL_S)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
