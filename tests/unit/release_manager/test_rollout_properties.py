"""What holds whatever is seen, in whatever order, however often the daemon is restarted."""

from collections.abc import Set as AbstractSet
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.monitoring import AlertChanged, AlertState
from contracts.release import Cause, ReleaseState
from services.release_manager.core.effects import Effect, Observation, Publish, Tick

from .story import RULES, Story, alert, at, digest, evaluated, loaded, requested, traffic, weights

LETTERS = "abcdef"
Seen = tuple[float, Observation]


def _noise(kind: str, number: int, seconds: float) -> Observation:
    """Return something that may be seen at any time."""
    letter = LETTERS[number % len(LETTERS)]
    match kind:
        case "evaluated":
            return evaluated(letter, ancestors=LETTERS[: number % len(LETTERS)] if number % 4 == 0 else "")
        case "not passed":
            return evaluated(letter, passed=False, number=9)
        case "loaded":
            return loaded(letter, ok=number % 5 != 0)
        case "traffic":
            return traffic(letter, int(seconds) - number % 3, 8, errors=number % 9, slow=number % 8)
        case "alert":
            states = [AlertState.FIRING, AlertState.RESOLVED, AlertState.NO_DATA]
            return alert(letter, states[number % 3], signal="quality" if number % 2 else "latency")
        case "requested":
            return requested(number, cause=Cause.DRILL if number % 2 else Cause.OPERATOR)
        case _:
            return Tick()


def _onward(state: ReleaseState, number: int, seconds: float) -> Seen:
    """Return what takes the rollout, or the next candidate, a step further, and when."""
    rollout = state.rollout
    if rollout is None:
        known = {done.candidate.bundle_digest[0] for done in state.finished}
        letter = next((letter for letter in LETTERS if letter not in known), "f")
        serving = state.serving_digest[0] if state.serving_digest else ""
        return seconds, evaluated(letter, ancestors=serving)
    letter = rollout.candidate.bundle_digest[0]
    if rollout.phase == "warming":
        return seconds, loaded(letter)
    if rollout.phase == "canary" and rollout.candidate_tally.num_answers < RULES.min_answers:
        return seconds + 2, traffic(letter if number % 3 else LETTERS[0], int(seconds) + 1, 12)
    waits = {"canary": RULES.min_canary_s, "window": RULES.window_s}
    return seconds + waits.get(rollout.phase, RULES.settle_s), Tick()


KINDS = st.sampled_from(
    ["onward"] * 20 + ["tick"] * 3 + ["evaluated"] * 2 + ["traffic", "loaded", "alert", "requested", "not passed"]
)
PAUSES = st.sampled_from([0.0, 0.3, 1.0, 1.0, 2.0, 5.0, 20.0, 70.0])


@st.composite
def _histories(draw: st.DrawFn) -> list[Seen]:
    """Draw what is seen and when: mostly what a good rollout is made of, with anything else in between."""
    steps = draw(st.lists(st.tuples(KINDS, st.integers(0, 59), PAUSES), min_size=10, max_size=80))
    story, history = Story(), []
    for kind, number, pause in steps:
        seconds, observation = (
            _onward(story.state, number, story.seconds)
            if kind == "onward"
            else (story.seconds + pause, _noise(kind, number, story.seconds + pause))
        )
        story.seconds = seconds
        story.see(observation)
        history.append((seconds, observation))
    return history


def _play(
    history: list[Seen], restarts: AbstractSet[int] = frozenset()
) -> tuple[list[ReleaseState], list[tuple[Effect, ...]]]:
    """Return every state and all effects; before the steps in `restarts` the state goes through JSON, as in a restart."""
    story, states, effects = Story(), [], []
    for index, (seconds, observation) in enumerate(history):
        if index in restarts:
            story = Story(state=ReleaseState.model_validate_json(story.state.model_dump_json()))
        story.seconds = seconds
        effects.append(story.see(observation))
        states.append(story.state)
    return states, effects


@given(_histories(), st.sets(st.integers(0, 79)))
@settings(max_examples=150, deadline=None)
def test_a_restart_at_any_step_neither_shortens_nor_repeats_one(history: list[Seen], restarts: set[int]) -> None:
    assert _play(history, restarts) == _play(history)


@given(_histories(), st.integers(0, 79), st.lists(PAUSES, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_redelivered_observation_changes_nothing(history: list[Seen], index: int, pauses: list[float]) -> None:
    """A message that was not acked comes again, perhaps after some ticks: nothing happens but what the ticks do."""
    index %= len(history)
    seconds, observation = history[index]
    states, _ = _play(history[: index + 1])
    if isinstance(observation, AlertChanged):
        # An alert of a bundle that is not loaded is nothing to remember; it cannot be the candidate's.
        assume(observation.bundle_digest in states[-1].warm_digests)
    story = Story(state=states[-1], seconds=seconds)
    for pause in pauses:
        story.wait(pause)
    before = story.state
    if not isinstance(observation, Tick):
        assert story.see(observation) == ()
        assert story.state == before


@given(_histories())
@settings(max_examples=200, deadline=None)
def test_invariants(history: list[Seen]) -> None:
    states, effects = _play(history)
    for (before, after), now in zip(pairwise([ReleaseState(), *states]), effects, strict=True):
        words = [effect for effect in now if isinstance(effect, Publish)]
        assert after.revision == before.revision + len(words)
        assert len(words) <= 1
        if not words:
            assert (after.routes, after.queued, after.finished) == (before.routes, before.queued, before.finished)
        _check_state(after)
        _check_move(before, after)


def _check_state(state: ReleaseState) -> None:
    shares = weights(state)
    assert sum(shares.values()) == (100 if shares else 0)
    assert len(shares) == len(state.routes)
    assert not set(state.rolled_back_digests) & {route.bundle_digest for route in state.routes}
    assert state.serving_digest not in state.rolled_back_digests
    assert {route.bundle_digest for route in state.routes} <= set(state.warm_digests)
    assert bool(state.routes) == bool(state.serving_digest)
    if state.serving_digest:
        assert max(shares, key=lambda letter: shares[letter]) == state.serving_digest[0]
    if state.rollout:
        assert not state.rollout.phase.is_final
        assert state.rollout.candidate != state.queued
    assert all(done.phase.is_final for done in state.finished)
    assert state.rolled_back_digests == tuple(dict.fromkeys(state.rolled_back_digests))


def _check_move(before: ReleaseState, after: ReleaseState) -> None:
    assert after.rolled_back_digests[: len(before.rolled_back_digests)] == before.rolled_back_digests
    old, new = weights(before), weights(after)
    moves = {(old.get(letter, 0), new.get(letter, 0)) for letter in {*old, *new}}
    # A candidate: 0 to 10, then to 100 or 0; a baseline gives the rest. From 0 to 100 only where nothing or an old one served.
    assert {move for move in moves if move[0] != move[1]} in (
        set(),
        {(0, 10), (100, 90)},
        {(10, 100), (90, 0)},
        {(10, 0), (90, 100)},
        {(0, 100)},
        {(100, 0), (0, 100)},
    )
    if before.rollout and after.rollout:
        assert before.rollout.candidate == after.rollout.candidate


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_tick_never_moves_a_step_before_its_time(first: int, second: int) -> None:
    story = Story()
    story.see(evaluated("a"))
    story.see(loaded("a"))
    story.seconds = min(first, second) / 30 * RULES.settle_s / 2
    moved = bool(story.wait(0))
    assert moved == (story.seconds >= RULES.settle_s)
    assert digest("a") == story.state.serving_digest
    assert story.state.rollout is not None
    assert story.state.rollout.phase_since == (at(story.seconds) if moved else at(0))
