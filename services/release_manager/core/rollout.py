"""The state machine of a domain's releases: `advance` takes what was seen and returns the next state.

Everything that a decision needs stands in the state, the time that was counted included, so a restart neither shortens a step
nor repeats one, and an observation that comes twice changes nothing the second time.
"""

from datetime import datetime

from contracts.monitoring import AlertChanged, AlertState, TrafficObserved
from contracts.release import (
    BundleLoaded,
    Candidate,
    Cause,
    Phase,
    ReleaseRequested,
    ReleaseState,
    Rollout,
    Tally,
)
from services.release_manager.core import transitions
from services.release_manager.core.analysis import Verdict, judge
from services.release_manager.core.effects import (
    Evaluated,
    Observation,
    RequestDeclined,
    RollbackImpossible,
    Step,
)
from services.release_manager.core.elapsed import COUNT_EVERY_S, counted, is_before
from services.release_manager.settings import RolloutRules

ROUTED_PHASES = frozenset({Phase.CANARY, Phase.PROMOTING, Phase.WINDOW})
"""Phases in which the candidate takes traffic."""

MAX_HANDLED_REQUESTS = 20


def advance(
    state: ReleaseState, observation: Observation, now: datetime, *, passed_s: float, rules: RolloutRules
) -> Step:
    """Return the state after an observation, and what is to be done. At most one transition, so at most one revision.

    Args:
        state: What was stored last.
        observation: What was seen; events may come late and more than once.
        now: The wall-clock time, which may be wrong: for stamps.
        passed_s: Seconds since time was last counted in the state.
        rules: Limits and times.
    """
    timed = counted(state, now, passed_s)
    after, effects = _observed(timed, observation, now, rules)
    if after == timed and not effects and passed_s < COUNT_EVERY_S:
        return state, ()
    return after, effects


def _observed(state: ReleaseState, observation: Observation, now: datetime, rules: RolloutRules) -> Step:
    match observation:
        case Evaluated():
            return _on_evaluated(state, observation, now)
        case TrafficObserved():
            return _on_traffic(state, observation, now, rules)
        case AlertChanged():
            return _on_alert(state, observation, now)
        case BundleLoaded():
            return _on_loaded(state, observation, now, rules)
        case ReleaseRequested():
            return _on_request(state, observation, now)
        case _:
            return _on_tick(state, now, rules)


def what_to_roll_back(state: ReleaseState) -> Rollout | RequestDeclined:
    """Return what an operator's rollback takes back now: the rollout on its way, else the last release; or why nothing."""
    rollout = state.rollout or transitions.last_release(state)
    if rollout is None:
        return RequestDeclined("nothing was released that could be taken back")
    if rollout.phase is Phase.ROLLING_BACK:
        return RequestDeclined("a rollback is on its way already")
    if rollout.phase is not Phase.WARMING and rollout.baseline_digest is None:
        return RequestDeclined("no bundle served before this one: there is nothing to go back to")
    return rollout


# ---- a judgement


def _on_evaluated(state: ReleaseState, observation: Evaluated, now: datetime) -> Step:
    event = observation.event
    candidate = Candidate(
        bundle_digest=event.bundle_digest,
        ancestors=event.ancestors,
        evaluation_id=event.event_id,
        traceparent=observation.traceparent,
    )
    if not event.passed or event.event_id in _known_evaluations(state):
        return state, ()
    if reason := _why_refused(state, candidate):
        return transitions.refuse(state, candidate, reason, now)
    if candidate.bundle_digest in _known_digests(state):
        return state, ()
    if state.rollout or state.queued:
        return transitions.enqueue(state, candidate, now)
    return transitions.begin(state, candidate, now)


def _known(state: ReleaseState) -> list[Candidate]:
    rollouts = [*state.finished, state.rollout] if state.rollout else list(state.finished)
    return [rollout.candidate for rollout in rollouts] + ([state.queued] if state.queued else [])


def _known_evaluations(state: ReleaseState) -> set[object]:
    return {candidate.evaluation_id for candidate in _known(state)}


def _known_digests(state: ReleaseState) -> set[str]:
    """Return every digest that had its turn; ancestors too, since only what served is continued."""
    known = _known(state)
    return {candidate.bundle_digest for candidate in known} | {
        digest for candidate in known for digest in candidate.ancestors
    }


def _why_refused(state: ReleaseState, candidate: Candidate) -> str | None:
    banned = set(state.rolled_back_digests)
    if candidate.bundle_digest in banned:
        return "it was rolled back before"
    if ancestor := next((digest for digest in candidate.ancestors if digest in banned), None):
        return f"it continues the weights of {ancestor[:12]}, which was rolled back"
    return None


# ---- traffic and the canary


def _on_traffic(state: ReleaseState, event: TrafficObserved, now: datetime, rules: RolloutRules) -> Step:
    rollout = state.rollout
    if rollout is None or rollout.phase is not Phase.CANARY or is_before(event.second, rollout.phase_since, now):
        return state, ()
    if event.bundle_digest == rollout.candidate.bundle_digest:
        rollout = rollout.model_copy(update={"candidate_tally": _tallied(rollout.candidate_tally, event, now)})
    elif event.bundle_digest == rollout.baseline_digest:
        rollout = rollout.model_copy(update={"baseline_tally": _tallied(rollout.baseline_tally, event, now)})
    if rollout == state.rollout:
        return state, ()
    return _judge_canary(state.model_copy(update={"rollout": rollout}), rollout, now, rules)


def _tallied(tally: Tally, event: TrafficObserved, now: datetime) -> Tally:
    """Return the tally with one second more. Seconds come in order, so one that is not newer was counted before."""
    last = tally.last_second
    if last and (event.second == last or is_before(event.second, last, now)):
        return tally
    return Tally(
        num_answers=tally.num_answers + event.num_answers,
        # No more of them than answers, whatever the event says: the verdict's test knows no shares above 1.
        num_errors=tally.num_errors + min(event.num_errors, event.num_answers),
        num_slow=tally.num_slow + min(event.num_slow, event.num_answers),
        last_second=event.second,
    )


def _judge_canary(state: ReleaseState, rollout: Rollout, now: datetime, rules: RolloutRules) -> Step:
    verdict = judge(
        rollout.candidate_tally,
        rollout.baseline_tally,
        elapsed_s=rollout.elapsed_s,
        alert_is_firing=any(alert.endswith(rollout.candidate.bundle_digest) for alert in state.firing_alerts),
        rules=rules,
    )
    if verdict.verdict is Verdict.HOLD:
        return state, ()
    if verdict.verdict is Verdict.GOOD:
        return transitions.promote(state, rollout, verdict.cause, verdict.reason, now)
    return transitions.roll_back(state, rollout, verdict.cause, verdict.reason, now)


# ---- alerts


def _on_alert(state: ReleaseState, event: AlertChanged, now: datetime) -> Step:
    alert = f"{event.rule}:{event.bundle_digest}"
    was_firing = alert in state.firing_alerts
    if event.state is AlertState.RESOLVED:
        firing = tuple(other for other in state.firing_alerts if other != alert)
        return state.model_copy(update={"firing_alerts": firing}), ()
    # No data is neither good nor bad news: the alert stays what it was.
    if event.state is AlertState.NO_DATA or was_firing or event.bundle_digest not in state.warm_digests:
        return state, ()
    state = state.model_copy(update={"firing_alerts": (*state.firing_alerts, alert)})
    rollout = state.rollout
    if rollout is None or rollout.phase not in ROUTED_PHASES or event.bundle_digest != rollout.candidate.bundle_digest:
        return state, ()
    reason = f"alert {event.rule}: {event.reason}"
    if rollout.baseline_digest is None:
        return state, (RollbackImpossible(f"{reason}; the first release of a domain has nothing to go back to"),)
    return transitions.roll_back(state, rollout, Cause(event.signal), reason, now)


# ---- loading


def _on_loaded(state: ReleaseState, event: BundleLoaded, now: datetime, rules: RolloutRules) -> Step:
    rollout = state.rollout
    if rollout is None or rollout.phase is not Phase.WARMING or event.bundle_digest != rollout.candidate.bundle_digest:
        return state, ()
    if not event.loaded:
        reason = f"{event.gateway} could not load it: {event.error or 'no reason given'}"
        return transitions.give_up(state, rollout, Phase.ROLLED_BACK, reason, now)
    reason = f"{event.gateway} loaded it in {event.duration_s:.1f} s"
    if rollout.baseline_digest is None:
        return transitions.promote(state, rollout, Cause.LOADED, f"{reason}; nothing served before", now)
    return transitions.start_canary(state, rollout, percent=rules.canary_percent, reason=reason, now=now)


# ---- an operator's word


def _on_request(state: ReleaseState, event: ReleaseRequested, now: datetime) -> Step:
    if event.event_id in state.handled_request_ids:
        return state, ()
    handled = (*state.handled_request_ids, event.event_id)[-MAX_HANDLED_REQUESTS:]
    state = state.model_copy(update={"handled_request_ids": handled})
    subject = what_to_roll_back(state)
    if isinstance(subject, RequestDeclined):
        return state, (subject,)
    return transitions.roll_back(state, subject, Cause(event.cause), event.reason, now)


# ---- time


def _on_tick(state: ReleaseState, now: datetime, rules: RolloutRules) -> Step:
    rollout = state.rollout
    if rollout is None:
        return _next_in_queue(state, now)
    elapsed_s = rollout.elapsed_s
    match rollout.phase:
        case Phase.CANARY:
            return _judge_canary(state, rollout, now, rules)
        case Phase.WARMING if elapsed_s >= rules.max_load_s:
            reason = f"no gateway loaded it within {rules.max_load_s:g} s"
            return transitions.give_up(state, rollout, Phase.INCONCLUSIVE, reason, now)
        case Phase.PROMOTING if elapsed_s >= rules.settle_s:
            return transitions.open_window(state, rollout, now)
        case Phase.WINDOW if elapsed_s >= rules.window_s:
            reason = f"no alert within {rules.window_s:g} s of all the traffic"
            stable = rollout.model_copy(update={"cause": Cause.ELAPSED, "reason": reason})
            return transitions.finish(state, stable, Phase.STABLE, now)
        case Phase.ROLLING_BACK if elapsed_s >= rules.settle_s:
            return transitions.finish(state, rollout, _outcome(rollout), now)
        case _:
            return state, ()


def _next_in_queue(state: ReleaseState, now: datetime) -> Step:
    if state.queued is None:
        return state, ()
    if reason := _why_refused(state, state.queued):
        return transitions.refuse(state, state.queued, reason, now)
    return transitions.begin(state, state.queued, now)


def _outcome(rollout: Rollout) -> Phase:
    return Phase.INCONCLUSIVE if rollout.cause in transitions.INCONCLUSIVE_CAUSES else Phase.ROLLED_BACK
