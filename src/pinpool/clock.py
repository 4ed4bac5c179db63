"""The time, handed in: whoever needs it gets a `Clock`, so that a test or a simulation can run at its own speed."""

from __future__ import annotations

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
