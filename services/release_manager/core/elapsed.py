"""How long a rollout has been in its phase: counted in steps, so that no jump of a clock ends a phase or holds it for ever."""

from datetime import datetime, timedelta

from contracts.release import ReleaseState, Rollout

COUNT_EVERY_S = 5.0
"""Time that passed is written down at least so often: what a crash may lengthen a phase by."""
MAX_UNWATCHED_S = 10.0
"""As much of the time between two processes as is counted at most: a takeover is no longer, and a clock may say anything."""
MAX_AHEAD = timedelta(seconds=60)
"""A stamp that lies further ahead of the clock was made before the clock was set back, or by a wrong one: it says nothing."""


def unwatched_s(rollout: Rollout, now: datetime) -> float:
    """Return the seconds since the last count as far as a process can know that did not make it itself.

    Args:
        rollout: What is on its way.
        now: The wall-clock time.

    Returns:
        0 to MAX_UNWATCHED_S.
    """
    since = (now - last_count(rollout)).total_seconds()
    return min(max(since, 0.0), MAX_UNWATCHED_S)


def last_count(rollout: Rollout) -> datetime:
    """Return when time was last counted, by the wall clock of whoever did."""
    return rollout.counted_until or rollout.phase_since


def counted(state: ReleaseState, now: datetime, passed_s: float) -> ReleaseState:
    """Return the state with the time that has passed since the last count."""
    if state.rollout is None:
        return state
    update = {"elapsed_s": state.rollout.elapsed_s + passed_s, "counted_until": now}
    return state.model_copy(update={"rollout": state.rollout.model_copy(update=update)})


def is_before(second: datetime, mark: datetime, now: datetime) -> bool:
    """Whether a second lies before a mark that a clock has set; a mark far ahead of the present is none."""
    return second < mark <= now + MAX_AHEAD
