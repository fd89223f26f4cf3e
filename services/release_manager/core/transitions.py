"""The moves that a rollout can make. Each returns the state with one revision more and the word to publish.

(evaluated) -> warming -> canary -> promoting -> window -> stable
     |            |          |          |          |          |
     |            |          +----------+----------+----------+--> rolling back -> rolled back, or inconclusive
     |            +-> rolled back, or inconclusive (it took no traffic yet)
     +-> queued (a rollout is on its way) -> warming
     +-> refused
"""

from datetime import datetime

from contracts.envelope import Digest
from contracts.release import Candidate, Cause, Phase, ReleaseState, Rollout, Route
from services.release_manager.core.effects import Publish, Step

MAX_FINISHED = 20
"""Rollouts that are remembered; the event carries them all and must stay far below the bus's limit."""

INCONCLUSIVE_CAUSES = frozenset({Cause.NO_TRAFFIC, Cause.ELAPSED})
"""Ways back that say nothing against the bundle."""


def begin(state: ReleaseState, candidate: Candidate, now: datetime) -> Step:
    """Ask gateways to load the candidate beside what serves."""
    rollout = Rollout(
        candidate=candidate,
        phase=Phase.WARMING,
        phase_since=now,
        baseline_digest=state.serving_digest,
        cause=Cause.EVALUATED,
        reason="passed its gates",
    )
    queued = None if state.queued == candidate else state.queued
    return _moved(state.model_copy(update={"queued": queued}), rollout)


def enqueue(state: ReleaseState, candidate: Candidate, now: datetime) -> Step:
    """Let the candidate wait for the end of the present rollout, in the place of one that waited before."""
    reason = "waits until the present rollout is over"
    if state.queued:
        displaced = _unreleased(state.queued, "a newer candidate took its place in the queue", now)
        state = state.model_copy(update={"finished": _remember(state, displaced)})
    state = _next(state).model_copy(update={"queued": candidate})
    return state, (Publish(cause=Cause.EVALUATED, reason=reason, candidate=candidate, phase=Phase.QUEUED),)


def refuse(state: ReleaseState, candidate: Candidate, reason: str, now: datetime) -> Step:
    """Record that the candidate is never released."""
    record = _unreleased(candidate, reason, now)
    queued = None if state.queued == candidate else state.queued
    state = _next(state).model_copy(update={"queued": queued, "finished": _remember(state, record)})
    return state, (_word(record),)


def start_canary(state: ReleaseState, rollout: Rollout, *, percent: int, reason: str, now: datetime) -> Step:
    """Give the candidate its first share of the traffic."""
    routes = (
        *_all_to(rollout.baseline_digest, 100 - percent),
        Route(bundle_digest=rollout.candidate.bundle_digest, weight_percent=percent),
    )
    return _moved(
        state.model_copy(update={"routes": routes}), _phased(rollout, Phase.CANARY, Cause.LOADED, reason, now)
    )


def promote(state: ReleaseState, rollout: Rollout, cause: Cause, reason: str, now: datetime) -> Step:
    """Give the candidate all of the traffic; from here on it is what serves."""
    digest = rollout.candidate.bundle_digest
    update = {
        "routes": _all_to(digest),
        "serving_digest": digest,
        "previous_digest": rollout.baseline_digest,
    }
    return _moved(state.model_copy(update=update), _phased(rollout, Phase.PROMOTING, cause, reason, now))


def open_window(state: ReleaseState, rollout: Rollout, now: datetime) -> Step:
    """Keep the old bundle warm for a while after the promotion."""
    reason = "takes all of the traffic; the bundle before it stays loaded"
    return _moved(state, _phased(rollout, Phase.WINDOW, Cause.ELAPSED, reason, now))


def roll_back(state: ReleaseState, rollout: Rollout, cause: Cause, reason: str, now: datetime) -> Step:
    """Give all of the traffic back to the baseline. The candidate stays loaded to end the answers that it began."""
    update = {
        "routes": _all_to(rollout.baseline_digest),
        "serving_digest": rollout.baseline_digest,
        "previous_digest": _served_before(state, rollout.baseline_digest),
    }
    if cause not in INCONCLUSIVE_CAUSES:
        state = _banned(state, rollout.candidate)
    return _moved(state.model_copy(update=update), _phased(rollout, Phase.ROLLING_BACK, cause, reason, now))


def give_up(state: ReleaseState, rollout: Rollout, phase: Phase, reason: str, now: datetime) -> Step:
    """End the rollout of a candidate that could not be loaded; nothing was routed to it."""
    if phase is Phase.ROLLED_BACK:
        state = _banned(state, rollout.candidate)
    return finish(state, rollout.model_copy(update={"cause": Cause.LOAD_FAILED, "reason": reason}), phase, now)


def finish(state: ReleaseState, rollout: Rollout, phase: Phase, now: datetime) -> Step:
    """End the rollout; its cause and reason stand. Only what serves stays warm."""
    record = rollout.model_copy(update={"phase": phase, "phase_since": now, "elapsed_s": 0.0, "counted_until": None})
    warm = (state.serving_digest,) if state.serving_digest else ()
    update = {
        "rollout": None,
        "finished": _remember(state, record),
        "warm_digests": warm,
        "firing_alerts": tuple(alert for alert in state.firing_alerts if alert.endswith(warm)),
    }
    return _next(state).model_copy(update=update), (_word(record),)


def last_release(state: ReleaseState) -> Rollout | None:
    """Return the rollout that released what serves now, if it is remembered."""
    return _release_of(state, state.serving_digest)


def _moved(state: ReleaseState, rollout: Rollout) -> Step:
    warm = tuple(digest for digest in (rollout.baseline_digest, rollout.candidate.bundle_digest) if digest)
    return _next(state).model_copy(update={"rollout": rollout, "warm_digests": warm}), (_word(rollout),)


def _phased(rollout: Rollout, phase: Phase, cause: Cause, reason: str, now: datetime) -> Rollout:
    update = {
        "phase": phase,
        "phase_since": now,
        "elapsed_s": 0.0,
        "counted_until": now,
        "cause": cause,
        "reason": reason,
    }
    return rollout.model_copy(update=update)


def _next(state: ReleaseState) -> ReleaseState:
    return state.model_copy(update={"revision": state.revision + 1})


def _word(rollout: Rollout) -> Publish:
    return Publish(cause=rollout.cause, reason=rollout.reason, candidate=rollout.candidate, phase=rollout.phase)


def _all_to(digest: Digest | None, percent: int = 100) -> tuple[Route, ...]:
    return (Route(bundle_digest=digest, weight_percent=percent),) if digest else ()


def _unreleased(candidate: Candidate, reason: str, now: datetime) -> Rollout:
    return Rollout(
        candidate=candidate,
        phase=Phase.REFUSED,
        phase_since=now,
        baseline_digest=None,
        cause=Cause.EVALUATED,
        reason=reason,
    )


def _banned(state: ReleaseState, candidate: Candidate) -> ReleaseState:
    return state.model_copy(update={"rolled_back_digests": (*state.rolled_back_digests, candidate.bundle_digest)})


def _served_before(state: ReleaseState, digest: Digest | None) -> Digest | None:
    """Return what the release of `digest` took the place of."""
    release = _release_of(state, digest)
    return release.baseline_digest if release else None


def _release_of(state: ReleaseState, digest: Digest | None) -> Rollout | None:
    stable = (done for done in reversed(state.finished) if done.phase is Phase.STABLE)
    return next((done for done in stable if done.candidate.bundle_digest == digest), None)


def _remember(state: ReleaseState, record: Rollout) -> tuple[Rollout, ...]:
    """Append a record; drop the oldest, but never the release of what serves, which says where a rollback leads."""
    finished = (*state.finished, record)
    release = last_release(state)
    old = finished[:-MAX_FINISHED]
    kept = tuple(done for done in old if done is release) + finished[-MAX_FINISHED:]
    return _naming_once(kept, release)


def _naming_once(finished: tuple[Rollout, ...], release: Rollout | None) -> tuple[Rollout, ...]:
    """Leave out the ancestors that a later record names as well, so that the event grows by one digest a release and not by 20.

    The release of what serves may outlive all later ones, and keeps its own.
    """
    named: set[Digest] = set()
    lean: list[Rollout] = []
    for done in reversed(finished):
        candidate = done.candidate
        is_repetition = done is not release and named.issuperset(candidate.ancestors)
        named |= {candidate.bundle_digest, *candidate.ancestors}
        lean.append(_without_ancestors(done) if is_repetition else done)
    return tuple(reversed(lean))


def _without_ancestors(done: Rollout) -> Rollout:
    return done.model_copy(update={"candidate": done.candidate.model_copy(update={"ancestors": ()})})
