"""How much time has passed for a rollout, whatever the wall clock says."""

from datetime import datetime

from contracts.envelope import Domain
from contracts.release import ReleaseState
from services.release_manager.core.elapsed import last_count, unwatched_s
from shared.clock import Clock


class Stopwatch:
    """Measures how much time has passed since it was last counted in a domain's state.

    By the monotonic clock since this process counted, or first saw what another one had counted; before that by the wall clock,
    within bounds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: dict[Domain, tuple[datetime, float]] = {}
        self._read_s = 0.0

    def read(self, domain: Domain, state: ReleaseState) -> tuple[datetime, float]:
        """Return the wall-clock time and the seconds since the last count in `state`; 0 where no rollout is on its way."""
        now, self._read_s = self._clock.now(), self._clock.monotonic_s()
        if state.rollout is None:
            return now, 0.0
        count, since_s = self._marks.get(domain, (None, 0.0))
        if count != last_count(state.rollout):
            since_s = self._read_s - unwatched_s(state.rollout, now)
            self._marks[domain] = (last_count(state.rollout), since_s)
        return now, self._read_s - since_s

    def restart(self, domain: Domain, state: ReleaseState) -> None:
        """Measure from the last reading on, whose time was counted in `state`."""
        if state.rollout is not None:
            self._marks[domain] = (last_count(state.rollout), self._read_s)
