"""A running crawl at one moment, and how fast it is, for all that show it: a terminal, the metrics file, `watch`."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from pinpool.model import Fault
from pinpool.pool.engine import Census


@dataclass(slots=True)
class FaultCount:
    """How often a kind of fault was met; `message` and `at` (seconds of a monotonic clock) are the last one's."""

    count: int = 0
    message: str = ""
    at: float = 0.0

    def add(self, message: str, at: float) -> None:
        """Count one."""
        self.count += 1
        self.message, self.at = message, at


class Snapshot(NamedTuple):
    """
    How the run is doing. `known`, `ended`, `failed` and `gone` count tasks of the whole run; `pages` (tasks that
    ended) and `faults` count since this start. `faults` is live: it keeps changing, so do not keep it.

    `last_fault` is its kind and message. `waiting` says why nothing is sent out now; it is empty otherwise. `trouble`
    says which proxies fail, `last_pages` which pages the end of the run waits for, and `finds_more` whether `known`
    will grow. All are of now: ask at once.
    """

    known: int
    ended: int
    pages: int
    items: int
    failed: int
    in_flight: int
    census: Census
    last_fault: str
    stopping: bool
    waiting: str = ""
    gone: int = 0
    faults: Mapping[Fault, FaultCount] = MappingProxyType({})
    trouble: Callable[[], str] = str
    last_pages: Callable[[], str] = str
    finds_more: Callable[[], bool] = bool

    @property
    def queued(self) -> int:
        """Tasks that wait for their turn."""
        return max(0, self.known - self.ended - self.in_flight)

    @property
    def tasks(self) -> dict[str, int]:
        """Tasks by state, as in `stats`."""
        return {
            "done": self.ended - self.gone - self.failed,
            "gone": self.gone,
            "failed": self.failed,
            "waiting": self.queued,
            # Pages in doubt are done, though they are asked for once more.
            "in_flight": min(self.in_flight, self.known - self.ended),
        }


class Sample(NamedTuple):
    """How many pages and items there were at a moment (monotonic seconds)."""

    at: float
    pages: int
    items: int


class Throughput:
    """
    Pages and items a second over the last half minute, or since `now` in the first one. Times are monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        #: About one a second, in the window alone.
        self.samples = deque[Sample]()
        self._latest = Sample(now, 0, 0)

    def add(self, now: float, pages: int, items: int = 0) -> None:
        """
        Note the count of pages since the start, and that of all items. Cheap: call it as often as you like.
        """
        self._latest = Sample(now, pages, items)
        if not self.samples:  # earlier starts may have stored items
            self.samples.append(Sample(self._began, 0, items))
        if now - self.samples[-1].at >= 1.0:
            self.samples.append(self._latest)
        # Long enough to be calm, short enough to show that proxies went to rest.
        while len(self.samples) > 1 and now - self.samples[1].at >= 30.0:
            self.samples.popleft()

    @property
    def per_second(self) -> float:
        """Pages a second; 0 in the first moment."""
        return self._rate(lambda sample: sample.pages)

    @property
    def items_per_second(self) -> float:
        """Items a second; 0 in the first moment."""
        return self._rate(lambda sample: sample.items)

    def _rate(self, count: Callable[[Sample], int]) -> float:
        first, last = self.samples[0] if self.samples else self._latest, self._latest
        return (count(last) - count(first)) / (last.at - first.at) if last.at > first.at else 0.0

    def seconds_left(self, open_tasks: int) -> float | None:
        """The least time for the open tasks: more may yet be found. None while no page ends."""
        return open_tasks / self.per_second if self.per_second else None
