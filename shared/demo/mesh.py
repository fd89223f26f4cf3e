"""The mesh that the demo plays on: one of its own, or one that settings name, which must then be set for it."""

import asyncio
import time
from http import HTTPStatus

import httpx

from contracts.api import MeshStatus, RolloutTimes
from contracts.envelope import Domain
from shared.cli.client import answer_of, check
from shared.cli.target import Target, embedded_target
from shared.demo.settings import DEMO_SETTINGS
from shared.embedded.control import environment_of, last_words, start_detached
from shared.embedded.layout import Layout
from shared.embedded.record import MeshPhase, read_record
from shared.embedded.settings import EmbeddedSettings, EngineSettings
from shared.errors import MeshError

READY_TIMEOUT_S = 90.0
NEEDED = ("ingest", "release-manager", "inference-gateway", "monitor")
"""The daemons that the demo talks to over HTTP."""
POLL_S = 0.1


async def own_mesh(layout: Layout, engines: EngineSettings) -> Target:
    """Start a mesh in a state directory, on its own engines and on those that are named, and wait until it is ready.

    Raises:
        MeshError: It was not ready in time.
    """
    environment = {**environment_of(EmbeddedSettings(state_dir=layout.root, engines=engines)), **DEMO_SETTINGS}
    supervisor = start_detached(layout, environment)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and supervisor.poll() is None:
        record = read_record(layout.record)
        if record and record.phase is MeshPhase.READY:
            return embedded_target(record, layout)
        await asyncio.sleep(POLL_S)
    if supervisor.poll() is not None:
        raise MeshError(f"the mesh did not start: {last_words(layout)}")
    msg = f"the mesh was not ready within {READY_TIMEOUT_S:.0f} s{_waiting(layout)}"
    raise MeshError(msg, next_step=f"read the logs in {layout.root / 'logs'}")


def _waiting(layout: Layout) -> str:
    record = read_record(layout.record)
    return f"; it waits for {record.waits_for}" if record and record.waits_for else ""


async def check_named_mesh(target: Target, domain: Domain) -> None:
    """Wait until a mesh that settings name is ready; let it pass if the story can be played on it.

    Raises:
        MeshError: A daemon is not ready in time, the operator's token is wrong, rollouts take too long here, or the domain has a
            history already.
    """
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
        for name in NEEDED:
            await _until_ready(client, name, target.url(name))
        check(await client.get(f"{target.url('inference-gateway')}/v1/operator/faults", headers=target.as_operator()))
        await _check_times(client, target, domain)
        await _check_unknown(client, target, domain)


def too_long(times: RolloutTimes) -> list[str]:
    """Return the settings of a mesh that would keep the story from its end, each as `VARIABLE is A, the demo needs B`."""
    found = []
    for variable, needed in DEMO_SETTINGS.items():
        value = getattr(times, variable.rpartition("__")[2].lower())
        if value > float(needed):
            found.append(f"{variable} is {value:g}, the demo needs {needed}")
    return found


async def _until_ready(client: httpx.AsyncClient, name: str, url: str) -> None:
    reason = "no answer"
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            response = await client.get(f"{url}/readyz")
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        else:
            if response.status_code == HTTPStatus.OK:
                return
            reason = response.text[:200]
        await asyncio.sleep(POLL_S * 5)
    msg = f"{name} at {url} was not ready within {READY_TIMEOUT_S:.0f} s: {reason}"
    raise MeshError(msg, next_step="see its log, and whether the address is right")


async def _check_times(client: httpx.AsyncClient, target: Target, domain: Domain) -> None:
    url = f"{target.url('release-manager')}/v1/domains/{domain}/rollout-times"
    times = answer_of(await client.get(url), RolloutTimes)
    if wrong := too_long(times):
        raise MeshError(
            f"This mesh is not set for the demo: {'; '.join(wrong)}.",
            next_step="Start its release-manager with what `python -m shared.demo.settings` prints.",
        )


async def _check_unknown(client: httpx.AsyncClient, target: Target, domain: Domain) -> None:
    released = await client.get(f"{target.url('release-manager')}/v1/domains/{domain}/release")
    status = answer_of(await client.get(f"{target.url('monitor')}/v1/status"), MeshStatus)
    if released.status_code != HTTPStatus.NOT_FOUND or domain in {one.domain for one in status.domains}:
        raise MeshError(
            f"This mesh has documents or releases of the domain {domain} already, and the story begins with none.",
            next_step=f"Name a new domain: `plumb demo --domain {domain}-2`.",
        )
