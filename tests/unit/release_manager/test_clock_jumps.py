"""A wall clock that jumps, forward or back, by hours: no phase ends by it, none lasts for ever, nothing counts twice."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.release import Phase, ReleaseState, Rollout
from contracts.topics import Topic
from services.release_manager.adapters import SnapshotRefs
from services.release_manager.core.effects import Observation, Tick
from services.release_manager.core.elapsed import COUNT_EVERY_S, MAX_UNWATCHED_S, unwatched_s
from services.release_manager.core.rollout import advance
from services.release_manager.run import Releases
from services.release_manager.stopwatch import Stopwatch
from shared.artifacts import ArtifactStore
from shared.clock import FakeClock

from .conftest import Membership
from .story import RULES, START, at, digest, evaluated, loaded, traffic

HOUR_S = 3600.0
JUMPS = st.sampled_from([0.0] * 6 + [HOUR_S, -HOUR_S, 7 * HOUR_S, -9 * HOUR_S, 30 * 24 * HOUR_S])
PAUSES = st.sampled_from([1.0, 1.0, 2.0, 7.0])


class Watched:
    """A release as one process sees it: a wall clock that may jump, and a stopwatch that does not."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.stopwatch = Stopwatch(self.clock)
        self.state = ReleaseState()
        self.true_s = 0.0
        self.wall_s = 0.0

    def passes(self, seconds: float) -> None:
        self.true_s += seconds
        self.wall_s += seconds
        self.clock.set(at(self.wall_s))

    def jumps(self, seconds: float) -> None:
        self.wall_s += seconds
        self.clock.jump(seconds)

    def restarts(self) -> None:
        self.stopwatch = Stopwatch(self.clock)

    def sees(self, observation: Observation) -> None:
        now, passed_s = self.stopwatch.read("law", self.state)
        state, effects = advance(self.state, observation, now, passed_s=passed_s, rules=RULES)
        if state != self.state or effects:
            self.state = state
            self.stopwatch.restart("law", state)

    def second(self, letter: str, answers: int = 3) -> None:
        """See a second of traffic, stamped by the same wall clock, and the tick."""
        self.sees(traffic(letter, int(self.wall_s), answers))
        self.sees(Tick())

    def serves_a(self) -> None:
        self.sees(evaluated("a"))
        self.sees(loaded("a"))
        for seconds in (RULES.settle_s, RULES.window_s):
            self.passes(seconds)
            self.sees(Tick())
        assert self.state.serving_digest == digest("a")
        assert self.state.rollout is None

    @property
    def place(self) -> tuple[int, str | None, int]:
        rollout = self.state.rollout
        return (
            self.state.revision,
            rollout.phase if rollout else None,
            rollout.candidate_tally.num_answers if rollout else 0,
        )


@given(st.lists(st.tuples(PAUSES, JUMPS), min_size=5, max_size=25))
@settings(max_examples=40, deadline=None)
def test_a_rollout_goes_the_same_way_at_the_same_time_whatever_the_wall_clock_does(
    steps: list[tuple[float, float]],
) -> None:
    steady, jumping = Watched(), Watched()
    for watched in (steady, jumping):
        watched.serves_a()
        watched.sees(evaluated("b", ancestors="a"))
        watched.sees(loaded("b"))
    for pause, jump in steps:
        jumping.jumps(jump)
        for watched in (steady, jumping):
            watched.passes(pause)
            watched.second("b")
        assert jumping.place == steady.place


@given(st.lists(st.tuples(PAUSES, JUMPS, st.booleans()), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_restart_and_a_jump_together_shorten_or_lengthen_a_phase_by_seconds_only(
    steps: list[tuple[float, float, bool]],
) -> None:
    watched = Watched()
    watched.sees(evaluated("a"))
    rollout = watched.state.rollout
    assert rollout
    num_restarts = 0
    for pause, jump, restarts in steps:
        watched.jumps(jump)
        watched.passes(pause)
        if restarts:
            watched.restarts()
            num_restarts += 1
        _, passed_s = watched.stopwatch.read("law", watched.state)
        elapsed_s = watched.state.rollout.elapsed_s + passed_s  # type: ignore[union-attr]
        assert elapsed_s <= watched.true_s + num_restarts * MAX_UNWATCHED_S
        assert elapsed_s >= watched.true_s - num_restarts * (COUNT_EVERY_S + 7.0)
        watched.sees(Tick())
        if watched.state.rollout is None:
            assert elapsed_s >= RULES.max_load_s
            return
        assert elapsed_s < RULES.max_load_s


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_what_nobody_watched_counts_for_little_whatever_a_clock_says(now: datetime) -> None:
    watched = Watched()
    watched.sees(evaluated("a"))
    rollout = watched.state.rollout
    assert isinstance(rollout, Rollout)
    assert 0 <= unwatched_s(rollout, now.replace(tzinfo=START.tzinfo)) <= MAX_UNWATCHED_S


def test_no_second_is_counted_twice_while_the_clock_goes_right() -> None:
    watched = Watched()
    watched.serves_a()
    watched.sees(evaluated("b"))
    watched.sees(loaded("b"))
    watched.passes(3)
    for _ in range(3):
        watched.second("b", 4)
    # A second of before the canary, said again.
    watched.sees(traffic("b", watched.wall_s - 30, 4))
    assert watched.place[2] == 4


class Silence:
    """A bus that nobody listens to."""

    async def publish(self, topic: Topic, event: object, *, traceparent: str | None = None) -> None:
        pass


@pytest.fixture
def start(store: ArtifactStore) -> Callable[[FakeClock], Releases]:
    def start(clock: FakeClock) -> Releases:
        bus, refs = Silence(), SnapshotRefs(store)
        return Releases(bus, refs, clock=clock, rules_for=lambda _: RULES, group=Membership(str(id(clock))))  # type: ignore[arg-type]

    return start


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_a_daemon_ends_its_window_after_the_time_that_passed(
    start: Callable[[FakeClock], Releases], jump_s: float
) -> None:
    clock = FakeClock(START)
    releases = start(clock)
    await releases.observe("law", evaluated("a"))
    await releases.observe("law", loaded("a"))
    phases = []
    for second in range(1, int(RULES.settle_s + RULES.window_s) + 1):
        clock.jump(jump_s if second % 5 == 0 else 0)
        clock.set(clock.now() + timedelta(seconds=1))
        await releases.tick()
        state = await releases.state("law")
        assert state
        phases.append(state.rollout.phase if state.rollout else Phase.STABLE)
    num_settling, num_window = int(RULES.settle_s) - 1, int(RULES.window_s)
    assert phases == [Phase.PROMOTING] * num_settling + [Phase.WINDOW] * num_window + [Phase.STABLE]
