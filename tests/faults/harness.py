"""A mesh of doomed daemons: starts it, tells a daemon when to end, and measures how long the mesh takes to recover."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import psutil

from contracts.corpus import CorpusVersioned
from contracts.release import ReleaseState
from services.release_manager.adapters import Snapshot
from shared.artifacts import ArtifactStore
from shared.embedded.control import environment_of, start_detached, stop_mesh
from shared.embedded.launch import end_all
from shared.embedded.layout import Layout
from shared.embedded.record import MeshPhase, read_record
from shared.embedded.settings import EmbeddedSettings
from shared.releases import snapshot_ref
from tests.embedded.live import LiveMesh, eventually
from tests.faults.doomed import is_alive
from tests.faults.feed import DOMAIN
from tests.faults.moments import FOLDER_VARIABLE, Hit, Kind, Moment, Order, give, order_file, read_hit

DOOMED = "tests.faults.mesh"
READY_WITHIN_S = 90.0
LOOK_S = 0.05

SETTINGS = {
    "PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS": "40",
    "PLUMBLINE_CORPUS__QUIET_S": "0.5",
    "PLUMBLINE_TOKENIZER__VOCAB_SIZE": "800",
    "PLUMBLINE_RECIPE__N_LAYER": "1",
    "PLUMBLINE_RECIPE__D_MODEL": "64",
    "PLUMBLINE_RECIPE__D_FF": "128",
    "PLUMBLINE_RECIPE__BLOCK_SIZE": "64",
    "PLUMBLINE_RECIPE__FIRST_TOKENS": "20000",
    "PLUMBLINE_RECIPE__MIN_CONTINUED_TOKENS": "10000",
    "PLUMBLINE_RECIPE__MAX_CONTINUED_TOKENS": "10000",
    "PLUMBLINE_RECIPE__MIN_REPLAY_DOCUMENTS": "50",
    "PLUMBLINE_CHECKPOINT_INTERVAL_S": "0.3",
    "PLUMBLINE_NICENESS": "5",
    "PLUMBLINE_GATES__MIN_DOCUMENTS": "1",
    "PLUMBLINE_GATES__MIN_MARGIN": "0",
    "PLUMBLINE_GATES__MAX_ACCURACY_DROP": "1",
    "PLUMBLINE_GATES__MAX_DOCUMENTS": "100",
    "PLUMBLINE_ROLLOUT__CANARY_PERCENT": "50",
    "PLUMBLINE_ROLLOUT__MIN_ANSWERS": "5",
    "PLUMBLINE_ROLLOUT__MIN_CANARY_S": "1",
    "PLUMBLINE_ROLLOUT__SETTLE_S": "0.3",
    "PLUMBLINE_ROLLOUT__WINDOW_S": "0.5",
    "PLUMBLINE_WATCH__LATENCY_LIMIT_MS": "5000",
    "OMP_NUM_THREADS": "1",
}
"""How this mesh differs from a user's: a training takes seconds, its model is let through, and a slow machine is no alert."""


@dataclass
class Kill:
    """One kill that happened.

    Attributes:
        ready_after_s: From the kill until the daemon could serve again, its group joined; None: it was its child alone.
    """

    daemon: str
    moment: Moment
    hit: Hit
    ready_after_s: float | None = None


@dataclass
class Faults:
    """The mesh and its kills.

    Attributes:
        settings: Environment beside `SETTINGS`.
        module: The supervisor; by default the one whose daemons can be told to end.
        kills: Those that happened, and from which the mesh has recovered.
    """

    layout: Layout
    settings: dict[str, str] = field(default_factory=dict)
    module: str = DOOMED
    kills: list[Kill] = field(default_factory=list)
    _supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live = LiveMesh(self.layout)
        self.folder = self.layout.root.parent / f"{self.layout.root.name}-faults"
        for name in ("orders", "hits"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._turns: Counter[tuple[str, Moment]] = Counter()
        self._orders: dict[str, tuple[Order, Moment]] = {}
        self._recovering: list[Kill] = []
        self._lock = threading.Lock()

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.live.record.artifacts_url)

    # ---- the mesh

    def up(self) -> float:
        """Start the mesh; return the seconds until it is ready."""
        started_at = time.monotonic()
        settings = EmbeddedSettings(state_dir=self.layout.root)
        environment = {
            **environment_of(settings), **SETTINGS, **self.settings, FOLDER_VARIABLE: str(self.folder),
        }  # fmt: skip
        supervisor = start_detached(self.layout, environment, module=self.module)
        self._supervisors.append(supervisor)

        def look() -> bool:
            assert supervisor.poll() is None, self.layout.log("supervisor").read_text()[-2000:]
            record = read_record(self.layout.record)
            return bool(record and record.supervisor.pid == supervisor.pid and record.phase is MeshPhase.READY)

        eventually(look, within_s=READY_WITHIN_S)
        return time.monotonic() - started_at

    def kill_everything(self) -> int:
        """End all processes at once, the supervisor first, as a power cut would; return how many there were."""
        processes = self.live.survivors()
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=10)
        for supervisor in self._supervisors:
            supervisor.wait()
        return len(processes)

    def down(self) -> None:
        """Stop it; nothing is left."""
        stop_mesh(self.layout, within_s=30)
        for supervisor in self._supervisors:
            supervisor.wait(30)
        end_all(self.live.survivors() if self.layout.record.exists() else [], grace_s=5)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """End a process from outside; return its pid."""
        mark = self.live.process(name).mark
        assert mark, f"{name} does not run"
        os.kill(mark.pid, number)
        return mark.pid

    def is_ready(self, name: str) -> bool:
        try:
            return httpx.get(self.live.url(name, "/readyz"), trust_env=False, timeout=1.0).is_success
        except httpx.TransportError:
            return False

    def is_busy(self, name: str) -> bool:
        """Tell whether a daemon says that a pause would cut something off."""
        answer = httpx.get(self.live.url(name, "/readyz"), trust_env=False, timeout=5.0)
        return answer.json()["busy_with"] is not None

    # ---- kills

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look in a thread for kills that happened, and for recoveries, so that their times are exact."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(LOOK_S):
                self._look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def arm(self, daemon: str, moment: Moment) -> None:
        """Tell a daemon to end at a moment; the delay and the number of times go round."""
        turn = self._turns[daemon, moment]
        self._turns[daemon, moment] += 1
        order = Order(
            order_id=uuid4().hex, point=moment.point, nth=moment.nths[turn % len(moment.nths)],
            delay_s=moment.delays_s[turn % len(moment.delays_s)], child_only=moment.kind is Kind.CHILD,
        )  # fmt: skip
        with self._lock:
            self._orders[daemon] = (order, moment)
        give(self.folder, daemon, order)

    @property
    def busy(self) -> dict[str, str]:
        """Return the daemons that have yet to meet their moment, or to recover from it."""
        with self._lock:
            waiting = {daemon: f"waits for {moment.point}" for daemon, (_, moment) in self._orders.items()}
            return waiting | {kill.daemon: "recovers" for kill in self._recovering}

    def strike(self, daemon: str, moment: Moment, *, within_s: float = 60.0) -> Kill:
        """Tell a daemon to end at a moment, and wait until it has, and has recovered."""
        self.arm(daemon, moment)
        eventually(lambda: daemon not in self.busy, within_s=within_s)
        return next(kill for kill in reversed(self.kills) if kill.daemon == daemon)

    def disarm(self) -> dict[str, Moment]:
        """Take back what was not met, and return it."""
        with self._lock:
            for daemon in self._orders:
                order_file(self.folder, daemon).unlink(missing_ok=True)
        time.sleep(4 * LOOK_S)
        with self._lock:
            missed = {daemon: moment for daemon, (_, moment) in self._orders.items()}
            self._orders.clear()
        return missed

    def _look(self) -> None:
        with self._lock:
            for daemon, (order, moment) in list(self._orders.items()):
                if hit := read_hit(self.folder, order.order_id):
                    del self._orders[daemon]
                    self._recovering.append(Kill(daemon, moment, hit))
            recovering = list(self._recovering)
        for kill in recovering:
            if self._has_recovered(kill):
                with self._lock:
                    self._recovering.remove(kill)
                    self.kills.append(kill)

    def _has_recovered(self, kill: Kill) -> bool:
        hit = kill.hit
        if kill.moment.kind is Kind.CHILD:
            return not (hit.child_pid and is_alive(hit.child_pid))
        if is_alive(hit.pid) or (hit.child_pid and is_alive(hit.child_pid)) or not self.is_ready(kill.daemon):
            return False
        kill.ready_after_s = time.time() - hit.at
        return True

    # ---- what the mesh has come to

    def latest_version(self) -> CorpusVersioned | None:
        data = self.store.read_ref(f"corpus/{DOMAIN}/latest")
        return CorpusVersioned.model_validate_json(data) if data else None

    def release(self) -> ReleaseState:
        data = self.store.read_ref(snapshot_ref(DOMAIN))
        return Snapshot.model_validate_json(data).state if data else ReleaseState()

    def num_versions(self) -> int:
        latest = self.latest_version()
        return latest.number if latest else 0

    def num_under_way(self) -> int:
        """Return the corpus versions that are not judged yet."""
        judged = sum(name.endswith("/result") for name in self.store.ref_names("runs/evaluator"))
        return self.num_versions() - judged
