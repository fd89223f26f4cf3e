"""What a supervisor does next, decided from what it has seen: pure, `now` is an argument (monotonic seconds).

A process moves down -> starting -> live -> ready, and over stopping back to down. The broker holds its contents in memory, so
each of its starts opens an epoch: the daemons of the older one end first, topics are created, daemons start. A broker that the
mesh does not run has one epoch only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Tier(IntEnum):
    """Start order; stopping goes the other way round."""

    BROKER = 0
    CACHE = 1
    DAEMON = 2


class Phase(StrEnum):
    """Where a process stands."""

    DOWN = "down"
    STARTING = "starting"
    LIVE = "live"
    READY = "ready"
    STOPPING = "stopping"


EXTERNAL_EPOCH = 1
"""Of a broker that the mesh does not run."""
RUNNING = frozenset({Phase.STARTING, Phase.LIVE, Phase.READY})


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When to restart, in seconds.

    Attributes:
        first_delay_s: Pause before the first restart; each further one doubles it.
        max_delay_s: The longest pause.
        stable_after_s: A run this long forgets the failures before it.
        start_limit_s: A process that has not answered by then is hung.
        silence_limit_s: A process that answered before and then not for so long is hung.
        min_missed: Polls that must have failed in a row as well: a supervisor that got no CPU itself blames nobody.
        broker_limit_bytes: Resident memory at which the broker, which forgets nothing by itself, is recycled at a quiet moment.
        broker_hard_limit: So many times of it, and no quiet moment is waited for.
        quiet_s: It is quiet when for so long no daemon was busy: no training or the like under way, no rollout in its canary.
    """

    first_delay_s: float = 0.25
    max_delay_s: float = 30.0
    stable_after_s: float = 30.0
    start_limit_s: float = 90.0
    silence_limit_s: float = 10.0
    min_missed: int = 3
    broker_limit_bytes: int = 1_000_000_000
    broker_hard_limit: float = 1.5
    quiet_s: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is known of one process.

    Attributes:
        epoch: The broker's epoch that it was started in; of the broker, the number of its starts.
        started_at: When its present run began.
        answered_at: When it last answered in its present run.
        missed: Polls without an answer, in a row.
        memory_bytes: Its resident memory when it last answered.
        unready_because: What it said when it last could not serve.
        busy_at: When it last said that it was busy, or else its start.
        failures: Unplanned ends in a row, each after a short run.
        not_before: It is not started earlier.
        restarts: Unplanned ends in all.
        planned: Its stopping is wanted, so it counts as no failure.
        exit_code: How its last run ended; negative: the signal.
    """

    name: str
    tier: Tier
    phase: Phase = Phase.DOWN
    epoch: int = 0
    started_at: float = 0.0
    answered_at: float | None = None
    missed: int = 0
    memory_bytes: int = 0
    unready_because: str | None = None
    busy_at: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    restarts: int = 0
    planned: bool = False
    exit_code: int | None = None


@dataclass(frozen=True)
class Start:
    """Start a process."""

    name: str
    epoch: int


@dataclass(frozen=True)
class Stop:
    """End a process; `planned` is false where it hangs."""

    name: str
    planned: bool


@dataclass(frozen=True)
class CreateTopics:
    """Create the topics on the broker of this epoch."""

    epoch: int


Action = Start | Stop | CreateTopics


def started(process: Watched, *, epoch: int, now: float) -> Watched:
    """Begin a run."""
    kept = Watched(name=process.name, tier=process.tier, failures=process.failures, restarts=process.restarts)
    return replace(kept, phase=Phase.STARTING, epoch=epoch, started_at=now, busy_at=now, exit_code=process.exit_code)


def answered(
    process: Watched, *, unready_because: str | None, memory_bytes: int, now: float, is_busy: bool = False
) -> Watched:
    """Note an answer to a poll; one that comes while stopping changes nothing."""
    if process.phase not in RUNNING:
        return process
    phase = Phase.LIVE if unready_because else Phase.READY
    return replace(
        process, phase=phase, answered_at=now, missed=0, memory_bytes=memory_bytes, unready_because=unready_because,
        busy_at=now if is_busy else process.busy_at,
    )  # fmt: skip


def missed(process: Watched) -> Watched:
    """Note a poll without an answer."""
    return replace(process, missed=process.missed + 1)


def stopping(process: Watched, *, planned: bool) -> Watched:
    """Note that the process was told to end."""
    return replace(process, phase=Phase.STOPPING, planned=planned)


def exited(process: Watched, *, code: int, now: float, policy: RestartPolicy) -> Watched:
    """End a run and set when the next may begin: at once after a planned stop, else after a pause that doubles."""
    ended = replace(process, phase=Phase.DOWN, exit_code=code, planned=False)
    if process.planned:
        return replace(ended, failures=0, not_before=now)
    failures = 1 if now - process.started_at >= policy.stable_after_s else process.failures + 1
    return replace(ended, failures=failures, restarts=process.restarts + 1, not_before=now + pause_s(failures, policy))


def pause_s(failures: int, policy: RestartPolicy) -> float:
    """Return the pause before the next start, in seconds.

    Example:
        0.25, 0.5, 1, 2, 4, 8, 16, 30, 30 for 1 to 9 failures: the first five restarts come within 5 s.
    """
    doublings = min(failures - 1, 30)
    return min(policy.first_delay_s * 2.0**doublings, policy.max_delay_s)


def hung(process: Watched, *, now: float, policy: RestartPolicy) -> bool:
    """Tell whether a running process has stopped answering, or never began."""
    if process.phase not in RUNNING or process.missed < policy.min_missed:
        return False
    if process.answered_at is None:
        return now - process.started_at > policy.start_limit_s
    return now - process.answered_at > policy.silence_limit_s


def decide(mesh: Mapping[str, Watched], *, topics_epoch: int, now: float, policy: RestartPolicy) -> list[Action]:
    """Return what to do now, in start order.

    Args:
        mesh: All processes by name; where the broker is none of them, somebody else runs it.
        topics_epoch: The broker's epoch whose topics exist.
        now: Monotonic seconds.
        policy: The limits.
    """
    broker = next((process for process in mesh.values() if process.tier is Tier.BROKER), None)
    epoch = broker.epoch if broker else EXTERNAL_EPOCH
    broker_serves = broker is None or (broker.phase is Phase.READY and not hung(broker, now=now, policy=policy))
    open_epoch = epoch if broker_serves and topics_epoch == epoch else None
    # A daemon that outlived a broker would commit its old offsets to the next one, and its group never got the first messages.
    late = any(process.phase is not Phase.DOWN for process in mesh.values() if process.tier is Tier.DAEMON)
    if broker and _overgrown(broker, quiet=is_quiet(mesh, now=now, policy=policy), policy=policy):
        return [Stop(broker.name, planned=True)]
    actions = [
        action
        for process in sorted(mesh.values(), key=lambda process: process.tier)
        if not (process is broker and process.phase is Phase.DOWN and late)
        if (action := _next_step(process, broker=broker, open_epoch=open_epoch, now=now, policy=policy))
    ]
    if broker_serves and topics_epoch != epoch:
        actions.append(CreateTopics(epoch))
    return actions


def _next_step(
    process: Watched, *, broker: Watched | None, open_epoch: int | None, now: float, policy: RestartPolicy
) -> Action | None:
    if hung(process, now=now, policy=policy):
        return Stop(process.name, planned=False)
    if process.phase in RUNNING and _outlived(process, broker):
        return Stop(process.name, planned=True)
    if process.phase is not Phase.DOWN or now < process.not_before:
        return None
    if process.tier is not Tier.DAEMON:
        return Start(process.name, epoch=process.epoch + 1)
    return Start(process.name, epoch=open_epoch) if open_epoch is not None else None


def _outlived(process: Watched, broker: Watched | None) -> bool:
    if process.tier is not Tier.DAEMON or broker is None:
        return False
    return process.epoch != broker.epoch or broker.phase in {Phase.DOWN, Phase.STOPPING}


def _overgrown(broker: Watched, *, quiet: bool, policy: RestartPolicy) -> bool:
    limit_bytes = policy.broker_limit_bytes * (1 if quiet else policy.broker_hard_limit)
    return broker.phase in RUNNING and broker.memory_bytes > limit_bytes


def is_quiet(mesh: Mapping[str, Watched], *, now: float, policy: RestartPolicy) -> bool:
    """Tell whether every daemon can serve and none was busy for a while: a pause cuts off nobody's work."""
    daemons = [process for process in mesh.values() if process.tier is Tier.DAEMON]
    return all(process.phase is Phase.READY and now - process.busy_at >= policy.quiet_s for process in daemons)


def all_ready(mesh: Mapping[str, Watched]) -> bool:
    """Tell whether every process can serve."""
    return all(process.phase is Phase.READY for process in mesh.values())


def stop_order(mesh: Mapping[str, Watched]) -> list[list[str]]:
    """Return the names in groups that stop together: daemons, then cache, then broker."""
    return [
        sorted(name for name, process in mesh.items() if process.tier is tier) for tier in sorted(Tier, reverse=True)
    ]
