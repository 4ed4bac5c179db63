"""How fast a run is now, and how long it may still take. Pure: the time comes in, as seconds of a monotonic clock."""

from __future__ import annotations

from collections import deque

#: Long enough to be calm, short enough to show that proxies went to rest.
WINDOW_SECONDS = 30.0


class Throughput:
    """Pages a second over the last half minute, or since `now` in the first one."""

    def __init__(self, now: float) -> None:
        #: (moment, pages since the start): about one a second, in the window alone.
        self.samples = deque([(now, 0)])
        self._latest = (now, 0)

    def add(self, now: float, pages: int) -> None:
        """Note the count of pages since the start. Cheap: call it as often as you like."""
        self._latest = (now, pages)
        if now - self.samples[-1][0] >= 1.0:
            self.samples.append(self._latest)
        while len(self.samples) > 1 and now - self.samples[1][0] >= WINDOW_SECONDS:
            self.samples.popleft()

    @property
    def per_second(self) -> float:
        """Pages a second; 0 in the first moment."""
        (first, pages_then), (last, pages_now) = self.samples[0], self._latest
        return (pages_now - pages_then) / (last - first) if last > first else 0.0

    def seconds_left(self, open_tasks: int) -> float | None:
        """The least time for the open tasks: more may yet be found. None while no page ends."""
        return open_tasks / self.per_second if self.per_second else None
