"""The event that carries the whole state stays small over years of releases, and forgets no bundle that had its turn."""

import pytest

from contracts.envelope import Digest
from contracts.release import Candidate, Cause, Phase, ReleaseState
from services.release_manager.core import transitions
from services.release_manager.core.rollout import _known_digests

from .story import at, event_id

NUM_RELEASES = 600
BYTES_A_RELEASE = 80
"""A digest of 64 characters, in quotes, and a comma; the rest does not grow."""
FIXED_BYTES = 40_000


def named(number: int) -> Digest:
    return f"{number:064x}"


def released(state: ReleaseState, number: int, ancestors: tuple[Digest, ...], *, phase: Phase) -> ReleaseState:
    candidate = Candidate(
        bundle_digest=named(number), ancestors=ancestors, evaluation_id=event_id("evaluated", number), traceparent=None
    )
    state, _ = transitions.begin(state, candidate, at(number))
    assert state.rollout
    if phase is Phase.STABLE:
        state, _ = transitions.promote(state, state.rollout, Cause.HEALTHY, "healthy", at(number))
    assert state.rollout
    state, _ = transitions.finish(state, state.rollout, phase, at(number))
    return state


def test_each_release_adds_its_own_digest_only() -> None:
    state, chain = ReleaseState(), ()
    for number in range(NUM_RELEASES):
        state = released(state, number, chain, phase=Phase.STABLE)
        chain = (named(number), *chain)
        assert set(chain) <= _known_digests(state)
    assert len(state.model_dump_json()) < FIXED_BYTES + BYTES_A_RELEASE * NUM_RELEASES


@pytest.mark.parametrize("from_scratch", [False, True])
def test_what_serves_outlives_later_records_with_all_that_it_continues(*, from_scratch: bool) -> None:
    state, chain = ReleaseState(), ()
    for number in range(5):
        state = released(state, number, chain, phase=Phase.STABLE)
        chain = (named(number), *chain)
    for number in range(10, 10 + 2 * transitions.MAX_FINISHED):
        state = released(state, number, () if from_scratch else chain, phase=Phase.INCONCLUSIVE)
    assert set(chain) <= _known_digests(state)
    release = transitions.last_release(state)
    assert release
    assert release.candidate.bundle_digest == named(4)
