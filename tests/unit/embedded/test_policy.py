from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.embedded.policy import (
    CreateTopics,
    Phase,
    RestartPolicy,
    Start,
    Stop,
    Tier,
    Watched,
    all_ready,
    answered,
    decide,
    exited,
    hung,
    missed,
    pause_s,
    started,
    stop_order,
    stopping,
)

POLICY = RestartPolicy()


def ready(name: str, tier: Tier, *, epoch: int = 1, now: float = 0.0) -> Watched:
    return answered(
        started(Watched(name=name, tier=tier), epoch=epoch, now=now), unready_because=None, memory_bytes=10**7, now=now
    )


def running_mesh() -> dict[str, Watched]:
    tiers = {"broker": Tier.BROKER, "cache": Tier.CACHE, "ingest": Tier.DAEMON, "trainer": Tier.DAEMON}
    return {name: ready(name, tier) for name, tier in tiers.items()}


def crashed(process: Watched, *, now: float) -> Watched:
    return exited(process, code=-9, now=now, policy=POLICY)


def test_broker_and_cache_start_first_and_daemons_wait_for_the_topics() -> None:
    mesh = {name: Watched(name=name, tier=process.tier) for name, process in running_mesh().items()}
    assert decide(mesh, topics_epoch=0, now=0, policy=POLICY) == [Start("broker", 1), Start("cache", 1)]

    mesh["broker"], mesh["cache"] = ready("broker", Tier.BROKER), ready("cache", Tier.CACHE)
    assert decide(mesh, topics_epoch=0, now=0, policy=POLICY) == [CreateTopics(1)]
    assert decide(mesh, topics_epoch=1, now=0, policy=POLICY) == [Start("ingest", 1), Start("trainer", 1)]


def test_with_a_broker_of_somebody_else_daemons_wait_for_its_topics_only() -> None:
    mesh = {name: Watched(name=name, tier=Tier.DAEMON) for name in ("ingest", "trainer")}
    assert decide(mesh, topics_epoch=0, now=0, policy=POLICY) == [CreateTopics(1)]
    assert decide(mesh, topics_epoch=1, now=0, policy=POLICY) == [Start("ingest", 1), Start("trainer", 1)]
    mesh = {name: ready(name, Tier.DAEMON) for name in mesh}
    assert decide(mesh, topics_epoch=1, now=1, policy=POLICY) == []
    mesh["ingest"] = crashed(mesh["ingest"], now=1)
    assert decide(mesh, topics_epoch=1, now=9, policy=POLICY) == [Start("ingest", 1)]


def test_a_mesh_that_can_serve_is_left_alone() -> None:
    assert all_ready(running_mesh())
    assert decide(running_mesh(), topics_epoch=1, now=1, policy=POLICY) == []


def test_a_crashed_daemon_is_started_again_after_its_pause_only() -> None:
    mesh = running_mesh()
    mesh["trainer"] = crashed(mesh["trainer"], now=10)
    assert decide(mesh, topics_epoch=1, now=10.2, policy=POLICY) == []
    assert decide(mesh, topics_epoch=1, now=10.25, policy=POLICY) == [Start("trainer", 1)]
    assert not all_ready(mesh)


def test_daemons_follow_the_broker() -> None:
    mesh = running_mesh()
    mesh["broker"] = crashed(mesh["broker"], now=10)
    stops = [Stop("ingest", planned=True), Stop("trainer", planned=True)]
    assert decide(mesh, topics_epoch=1, now=10, policy=POLICY) == stops
    assert decide(mesh, topics_epoch=1, now=10.25, policy=POLICY) == stops, (
        "a broker waits for the end of those who knew it"
    )
    for name in ("ingest", "trainer"):
        mesh[name] = stopping(mesh[name], planned=True)
    assert decide(mesh, topics_epoch=1, now=10.25, policy=POLICY) == []
    for name in ("ingest", "trainer"):
        mesh[name] = exited(mesh[name], code=0, now=10.5, policy=POLICY)
    assert decide(mesh, topics_epoch=1, now=10.5, policy=POLICY) == [Start("broker", 2)]

    mesh["broker"] = ready("broker", Tier.BROKER, epoch=2, now=11)
    assert decide(mesh, topics_epoch=1, now=11, policy=POLICY) == [CreateTopics(2)]
    assert decide(mesh, topics_epoch=2, now=11, policy=POLICY) == [Start("ingest", 2), Start("trainer", 2)]


def test_no_daemon_is_started_on_a_broker_that_hangs() -> None:
    mesh = running_mesh()
    mesh["ingest"] = crashed(mesh["ingest"], now=10)
    for _ in range(POLICY.min_missed):
        mesh["broker"] = missed(mesh["broker"])
    later = 1 + POLICY.silence_limit_s + 10
    actions = decide(mesh, topics_epoch=1, now=later, policy=POLICY)
    assert Stop("broker", planned=False) in actions
    assert not [action for action in actions if isinstance(action, Start | CreateTopics)]


def test_daemons_outlive_the_cache() -> None:
    mesh = running_mesh()
    mesh["cache"] = crashed(mesh["cache"], now=10)
    assert decide(mesh, topics_epoch=1, now=11, policy=POLICY) == [Start("cache", 2)]


def test_an_overgrown_broker_is_recycled_without_counting_as_a_failure() -> None:
    mesh = running_mesh()
    grown = replace(mesh["broker"], memory_bytes=POLICY.broker_limit_bytes + 1)
    mesh["broker"] = grown
    now = POLICY.quiet_s
    assert decide(mesh, topics_epoch=1, now=now, policy=POLICY) == [Stop("broker", planned=True)]
    recycled = exited(stopping(grown, planned=True), code=0, now=now, policy=POLICY)
    assert (recycled.restarts, recycled.failures, recycled.not_before) == (0, 0, now)


def test_an_overgrown_broker_waits_for_a_quiet_moment_but_not_for_ever() -> None:
    def decided(trainer: Watched, times_the_limit: float) -> list[object]:
        grown = replace(running_mesh()["broker"], memory_bytes=round(POLICY.broker_limit_bytes * times_the_limit))
        mesh = {**running_mesh(), "broker": grown, "trainer": trainer}
        return [action for action in decide(mesh, topics_epoch=1, now=100, policy=POLICY) if isinstance(action, Stop)]

    idle = ready("trainer", Tier.DAEMON)
    training = answered(idle, unready_because=None, memory_bytes=0, now=99, is_busy=True)
    between = answered(training, unready_because=None, memory_bytes=0, now=100)
    starting = started(Watched(name="trainer", tier=Tier.DAEMON), epoch=1, now=90)
    recycled = [Stop("broker", planned=True)]
    for busy in (training, between, starting):
        assert decided(busy, 1.01) == []
        assert decided(busy, POLICY.broker_hard_limit + 0.01) == recycled
    assert decided(idle, 0.99) == []
    assert decided(idle, 1.01) == recycled
    assert decided(replace(training, busy_at=100 - POLICY.quiet_s), 1.01) == recycled


def test_the_pause_doubles_up_to_its_limit() -> None:
    assert [pause_s(failures, POLICY) for failures in range(1, 10)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_long_run_forgets_the_failures_before_it() -> None:
    process = replace(ready("trainer", Tier.DAEMON, now=100), failures=6)
    assert crashed(process, now=100 + POLICY.stable_after_s - 1).failures == 7
    assert crashed(process, now=100 + POLICY.stable_after_s).failures == 1


def test_silence_counts_only_when_polls_failed_too() -> None:
    silent = ready("trainer", Tier.DAEMON)
    assert not hung(silent, now=1000, policy=POLICY)
    for _ in range(POLICY.min_missed):
        silent = missed(silent)
    assert not hung(silent, now=POLICY.silence_limit_s, policy=POLICY)
    assert hung(silent, now=POLICY.silence_limit_s + 0.1, policy=POLICY)
    assert decide({**running_mesh(), "trainer": silent}, topics_epoch=1, now=11, policy=POLICY) == [
        Stop("trainer", planned=False)
    ]
    answering = answered(silent, unready_because="the broker is away", memory_bytes=0, now=11)
    assert not hung(answering, now=12, policy=POLICY)


def test_a_process_may_take_long_to_start_but_not_for_ever() -> None:
    slow = replace(started(Watched(name="trainer", tier=Tier.DAEMON), epoch=1, now=0), missed=50)
    assert not hung(slow, now=POLICY.start_limit_s, policy=POLICY)
    assert hung(slow, now=POLICY.start_limit_s + 0.1, policy=POLICY)


def test_a_late_answer_does_not_revive_a_process_that_is_stopping() -> None:
    process = stopping(ready("trainer", Tier.DAEMON), planned=True)
    assert answered(process, unready_because=None, memory_bytes=0, now=1) == process


def test_stopping_goes_the_other_way_round() -> None:
    assert stop_order(running_mesh()) == [["ingest", "trainer"], ["cache"], ["broker"]]


@given(st.integers(min_value=1, max_value=10_000))
@settings(max_examples=50, deadline=None)
def test_the_pause_never_shrinks_nor_passes_its_limit(failures: int) -> None:
    assert pause_s(failures, POLICY) <= pause_s(failures + 1, POLICY) <= POLICY.max_delay_s


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens to the processes, what is decided keeps its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.topics_epoch = 0
        self.mesh = {name: Watched(name=name, tier=process.tier) for name, process in running_mesh().items()}
        self.seen = self.mesh

    @rule(seconds=st.floats(min_value=0.01, max_value=40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_supervisor_acts(self) -> None:
        for action in decide(self.mesh, topics_epoch=self.topics_epoch, now=self.now, policy=POLICY):
            match action:
                case Start(name, epoch):
                    self.check_start(self.mesh[name], epoch)
                    self.mesh[name] = started(self.mesh[name], epoch=epoch, now=self.now)
                case Stop(name, planned):
                    assert self.mesh[name].phase in {Phase.STARTING, Phase.LIVE, Phase.READY}
                    self.mesh[name] = stopping(self.mesh[name], planned=planned)
                case CreateTopics(epoch):
                    assert self.mesh["broker"].phase is Phase.READY
                    self.topics_epoch = epoch

    def check_start(self, process: Watched, epoch: int) -> None:
        assert process.phase is Phase.DOWN
        assert self.now >= process.not_before
        if process.tier is Tier.BROKER:
            assert all(one.phase is Phase.DOWN for one in self.mesh.values() if one.tier is Tier.DAEMON)
        if process.tier is Tier.DAEMON:
            broker = self.mesh["broker"]
            assert broker.phase is Phase.READY
            assert broker.epoch == epoch == self.topics_epoch

    @rule(name=st.sampled_from(sorted(running_mesh())), is_ready=st.booleans())
    def one_answers(self, name: str, is_ready: bool) -> None:
        self.mesh[name] = answered(
            self.mesh[name], unready_because=None if is_ready else "no", memory_bytes=10**7, now=self.now
        )

    @rule(name=st.sampled_from(sorted(running_mesh())))
    def one_is_silent(self, name: str) -> None:
        self.mesh[name] = missed(self.mesh[name])

    @precondition(lambda self: any(process.phase is not Phase.DOWN for process in self.mesh.values()))
    @rule(data=st.data())
    def one_ends(self, data: st.DataObject) -> None:
        running = sorted(name for name, process in self.mesh.items() if process.phase is not Phase.DOWN)
        name = data.draw(st.sampled_from(running))
        before = self.mesh[name]
        self.mesh[name] = exited(before, code=-9, now=self.now, policy=POLICY)
        assert self.mesh[name].restarts == before.restarts + (not before.planned)
        assert 0 <= self.mesh[name].not_before - self.now <= POLICY.max_delay_s

    @invariant()
    def no_daemon_knows_a_later_broker_than_there_is(self) -> None:
        assert all(process.epoch <= self.mesh["broker"].epoch for process in self.mesh.values() if process.tier == 2)

    def teardown(self) -> None:
        """Left in peace, every mesh becomes ready."""
        for _ in range(12):
            self.now += POLICY.max_delay_s
            self.the_supervisor_acts()
            for name, process in self.mesh.items():
                if process.phase is Phase.STOPPING:
                    self.mesh[name] = exited(process, code=0, now=self.now, policy=POLICY)
                else:
                    self.one_answers(name, is_ready=True)
        assert all_ready(self.mesh)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("phase", [Phase.DOWN, Phase.STOPPING])
def test_what_does_not_run_is_never_hung(phase: Phase) -> None:
    assert not hung(Watched(name="trainer", tier=Tier.DAEMON, phase=phase, missed=99), now=1e9, policy=POLICY)
