"""Time as a dependency."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return an aware UTC time; it may jump, forward and back."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since some moment; they never jump, and mean nothing in another process."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        """Return the current UTC time."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return the seconds of the system's monotonic clock."""
        return time.monotonic()


class CautiousClock:
    """A clock for what cannot be undone: a jump forward while the process runs counts as a day at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at, self._started_s = clock.now(), clock.monotonic_s()

    def now(self) -> datetime:
        """Return the time, but no later than a day after what the monotonic clock says."""
        passed = timedelta(seconds=self._clock.monotonic_s() - self._started_s)
        return min(self._clock.now(), self._started_at + passed + timedelta(days=1))


class FakeClock:
    """A clock that stands still until it is told to move; for tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        """Return the time that was set."""
        return self._now

    def monotonic_s(self) -> float:
        """Return the seconds that have passed."""
        return self._monotonic_s

    def set(self, now: datetime) -> None:
        """Let time pass until `now`; a time before the present one is a jump."""
        self._monotonic_s += max(0.0, (now - self._now).total_seconds())
        self._now = now

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, without any time passing."""
        self._now += timedelta(seconds=seconds)
