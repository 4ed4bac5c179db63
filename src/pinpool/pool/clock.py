"""The time, handed in: whoever needs it gets a `Clock`, so that a test or a simulation can run at its own speed."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, in seconds: `epoch` for what is written down, `monotonic` for what is waited for."""

    def epoch(self) -> float:
        """Seconds since 1970. May jump when somebody sets the machine's clock."""

    def monotonic(self) -> float:
        """Seconds since any moment. Never jumps, means nothing to another process after a reboot."""


class SystemClock:
    """The machine's own clock."""

    def epoch(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()


class FakeClock:
    """Simulated time, for tests: it stands still until `advance` moves it. `now` is the seconds it has moved so far."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch
        self.now = 0.0

    def epoch(self) -> float:
        return self._epoch + self.now

    def monotonic(self) -> float:
        return 100.0 + self.now

    def advance(self, seconds: float) -> None:
        """Let time go on; never back."""
        self.now += max(0.0, seconds)
