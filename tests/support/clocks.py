"""Clocks for tests, in place of `pinpool.pool.clock.SYSTEM_CLOCK`."""

from __future__ import annotations

START = 1_700_000_000.0  # epoch seconds


class SetClock:
    """A clock that stands still until a test sets `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def epoch(self) -> float:
        return START + self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Periods(SetClock):
    """A clock that is one period further on at each reading."""

    def __init__(self, period: float) -> None:
        super().__init__()
        self._period = period

    def monotonic(self) -> float:
        self.seconds += self._period
        return self.seconds
