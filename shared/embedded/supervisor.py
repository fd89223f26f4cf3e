"""The supervisor: one loop that looks at its processes, lets `policy` decide and does what it says."""

import asyncio
import logging
import random
import subprocess
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

import psutil
from kafka.errors import KafkaError

from shared.embedded import policy
from shared.embedded.external import Engine, answers
from shared.embedded.launch import end, kill_all, spawn, strays
from shared.embedded.layout import SUPERVISOR, Layout, rotate
from shared.embedded.plan import ProcessSpec
from shared.embedded.policy import CreateTopics, Phase, RestartPolicy, Start, Stop, Tier, Watched
from shared.embedded.probes import probe
from shared.embedded.record import ProcessMark, mark_as
from shared.embedded.settings import SupervisorSettings

log = logging.getLogger(__name__)

TICK_S = 0.1
EAGER_POLL_S = 0.2
"""Between two polls of a process that cannot serve yet."""
QUICK_GRACE_S = 2.0
"""For a process that is silent, or whose broker has gone: it has nobody to say anything to."""
ROTATE_S = 10.0
"""Between two looks at the size of the logs."""

CreateAllTopics = Callable[[], object]
Publish = Callable[["Supervisor"], None]


@dataclass(kw_only=True)
class Supervisor:
    """Keeps a mesh's processes running until it is told to stop.

    Attributes:
        specs: What to run, by name; one of them is the broker.
        environment: What every process inherits.
        create_topics: Called in a thread each time that the broker begins anew.
        publish: Called after every visible change of `watched`.
        engines: What the mesh uses and does not run; looked at, no more.
        answering: By name, whether each of them took connections when it was last asked.
        waits_for: What keeps the daemons from being started, or None.
        failure: What ended the supervisor's own work, should that happen.
    """

    specs: Mapping[str, ProcessSpec]
    layout: Layout
    settings: SupervisorSettings
    environment: Mapping[str, str]
    create_topics: CreateAllTopics
    publish: Publish
    engines: tuple[Engine, ...] = ()
    answering: dict[str, bool] = field(init=False, default_factory=dict)
    waits_for: str | None = field(init=False, default=None)
    watched: dict[str, Watched] = field(init=False)
    marks: dict[str, ProcessMark] = field(init=False, default_factory=dict)
    halting: bool = field(init=False, default=False)
    failure: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin with every process down."""
        self.watched = {name: Watched(name=name, tier=spec.tier) for name, spec in self.specs.items()}
        self._policy = RestartPolicy(
            silence_limit_s=self.settings.silence_limit_s, broker_limit_bytes=self.settings.broker_limit_bytes
        )
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._topics_epoch = 0
        self._topics_under_way = 0
        self._published: object = None
        self._halt = asyncio.Event()

    def halt(self) -> None:
        """Ask for the end; `run` returns once every process has gone."""
        self.halting = True
        self._halt.set()

    async def run(self) -> None:
        """Run the mesh until `halt`."""
        polls = [self._in_background(self._poll_for_ever(name)) for name in self.specs]
        polls += [self._in_background(self._ask_for_ever(engine)) for engine in self.engines]
        polls.append(self._in_background(self._rotate_for_ever()))
        try:
            await self._supervise()
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
            await self._stop_all()

    async def _supervise(self) -> None:
        while not self._halt.is_set():
            self._note_exits()
            actions = policy.decide(
                self.watched, topics_epoch=self._topics_epoch, now=time.monotonic(), policy=self._policy
            )
            for action in actions:
                self._do(action)
            self._publish_changes()
            await self._pause(TICK_S)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._halt.wait(), timeout=seconds)
        except TimeoutError:
            return

    def _publish_changes(self) -> None:
        processes = [(process.phase, process.restarts, process.unready_because) for process in self.watched.values()]
        visible = (processes, dict(self.answering), self.waits_for)
        if visible != self._published:
            self._published = visible
            self.publish(self)

    # ---- looking

    async def _poll_for_ever(self, name: str) -> None:
        # Polls of eight daemons that start together should not fall on the same instant later on.
        await asyncio.sleep(random.uniform(0, EAGER_POLL_S))  # noqa: S311 no secret
        while True:
            if self.watched[name].phase in policy.RUNNING:
                await self._poll(name)
            ready = self.watched[name].phase is Phase.READY
            await asyncio.sleep(self.settings.poll_interval_s if ready else EAGER_POLL_S)

    async def _ask_for_ever(self, engine: Engine) -> None:
        while True:
            answering = await answers(engine, timeout_s=self.settings.poll_timeout_s)
            if answering is not self.answering.get(engine.name):
                level = logging.INFO if answering else logging.WARNING
                log.log(level, "%s at %s %s", engine.name, engine.at, "answers" if answering else "does not answer")
            self.answering[engine.name] = answering
            await asyncio.sleep(self.settings.poll_interval_s)

    async def _rotate_for_ever(self) -> None:
        logs = [self.layout.log(name) for name in (*self.specs, SUPERVISOR)]
        while True:
            await asyncio.sleep(ROTATE_S)
            for log_file in logs:
                await asyncio.to_thread(rotate, log_file, in_use=True)

    async def _poll(self, name: str) -> None:
        spec, asked = self.specs[name], self.watched[name]
        answer = await probe(spec.protocol, spec.port, timeout_s=self.settings.poll_timeout_s)
        known = self.watched[name]
        if known.started_at != asked.started_at or known.phase not in policy.RUNNING:
            return
        if answer is None:
            self.watched[name] = policy.missed(known)
            return
        try:
            memory_bytes = psutil.Process(self._children[name].pid).memory_info().rss
        except psutil.Error:
            # It is just ending, which the supervisor notes by itself.
            return
        if not answer.unready_because and known.phase is not Phase.READY:
            log.info("%s can serve, %.1f s after its start", name, time.monotonic() - known.started_at)
        self.watched[name] = policy.answered(
            known, unready_because=answer.unready_because, memory_bytes=memory_bytes, now=time.monotonic(),
            is_busy=answer.busy_with is not None,
        )  # fmt: skip

    def _note_exits(self) -> None:
        for name, child in list(self._children.items()):
            if self.watched[name].phase is Phase.STOPPING or child.poll() is None:
                continue
            kill_all(strays(str(self.layout.root), name))
            self._note_exit(name, child.returncode)

    def _note_exit(self, name: str, code: int) -> None:
        planned = self.watched[name].planned
        self.watched[name] = policy.exited(self.watched[name], code=code, now=time.monotonic(), policy=self._policy)
        self._children.pop(name)
        self.marks.pop(name)
        if not planned:
            log.warning("%s ended with %s, see %s", name, code, self.layout.log(name))

    # ---- doing

    def _do(self, action: policy.Action) -> None:
        match action:
            case Start(name, epoch):
                self._start(name, epoch)
            case Stop(name, planned):
                log.warning("%s is %s: stopping it", name, "to begin anew" if planned else "silent")
                self.watched[name] = policy.stopping(self.watched[name], planned=planned)
                grace_s = self.settings.stop_grace_s if self.specs[name].tier is Tier.BROKER else QUICK_GRACE_S
                self._in_background(self._stop(name, grace_s=grace_s))
            case CreateTopics(epoch) if epoch != self._topics_under_way:
                self._topics_under_way = epoch
                self._in_background(self._create_topics(epoch))

    def _start(self, name: str, epoch: int) -> None:
        spec = self.specs[name]
        child = spawn(spec.argv, environment={**self.environment, **spec.environment}, log=self.layout.log(name))
        self._children[name] = child
        self.marks[name] = mark_as(psutil.Process(child.pid), spec.argv[0])
        self.watched[name] = policy.started(self.watched[name], epoch=epoch, now=time.monotonic())

    async def _stop(self, name: str, *, grace_s: float) -> None:
        code = await end(self._children[name], grace_s=grace_s)
        kill_all(strays(str(self.layout.root), name))
        self._note_exit(name, code)

    async def _create_topics(self, epoch: int) -> None:
        try:
            await asyncio.to_thread(self.create_topics)
        except (KafkaError, OSError) as error:
            # The broker may be on its way down; while it runs, trying again is all there is to do.
            log.warning("topics not created: %s", error)
            self.waits_for = f"the topics, which could not be made: {error}"
            await self._pause(1.0)
            if self._topics_under_way == epoch:
                self._topics_under_way = 0
            return
        self.waits_for = None
        self._topics_epoch = max(self._topics_epoch, epoch)

    def _in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._conclude)
        return task

    def _conclude(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.failure = task.exception()
            self.halt()

    async def _stop_all(self) -> None:
        self.publish(self)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for names in policy.stop_order(self.watched):
            running = [name for name in names if name in self._children]
            for name in running:
                self.watched[name] = policy.stopping(self.watched[name], planned=True)
            await asyncio.gather(*(self._stop(name, grace_s=self.settings.stop_grace_s) for name in running))
        kill_all(strays(str(self.layout.root)))
        self.publish(self)
