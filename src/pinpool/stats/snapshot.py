"""
How fast a run is now, how long it may still take, and what has gone wrong lately. Pure: the time comes in.

Times are seconds of a monotonic clock, speeds pages a second.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.model import Fault
from pinpool.pool.engine import Census

#: A speed is that of so many seconds: long enough to be calm, short enough to show that proxies went to rest.
WINDOW_SECONDS = 30.0
_SAMPLE_SECONDS = 1.0


class Speed:
    """The speed over the last half minute, whatever the speed was before."""

    def __init__(self, now: float) -> None:
        self._samples = deque([(now, 0)])
        self._latest = (now, 0)

    def add(self, now: float, pages: int) -> None:
        """`pages` is the count since the start; may be called as often as one likes."""
        self._latest = (now, pages)
        if now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append(self._latest)
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def per_second(self) -> float:
        """Pages a second; 0 in the first moment."""
        (before, had), (now, has) = self._samples[0], self._latest
        return (has - had) / (now - before) if now > before else 0.0

    def seconds_left(self, open_tasks: int) -> float | None:
        """
        The least time that the open tasks will take: pages yet to be found are not among them. None while nothing
        moves.
        """
        return open_tasks / self.per_second if self.per_second else None


@dataclass(slots=True)
class Seen:
    """One kind of fault: how often, and the last of them."""

    count: int
    message: str
    at: float


@dataclass(slots=True)
class RecentFaults:
    """The faults of this start, by kind."""

    by_fault: dict[Fault, Seen] = field(default_factory=dict)

    def add(self, fault: Fault, message: str, at: float) -> None:
        """Count one."""
        seen = self.by_fault.setdefault(fault, Seen(0, "", at))
        seen.count += 1
        seen.message, seen.at = message, at

    def latest(self, most: int) -> list[tuple[Fault, Seen]]:
        """The kinds that were seen last, at most so many. In a fixed order, or the lines would jump about."""
        newest = sorted(self.by_fault.items(), key=lambda entry: entry[1].at)[-most:]
        return sorted(newest, key=lambda entry: entry[0])


def spoken(seconds: float) -> str:
    """A duration for people, the coarser the longer: 8 s, 1 min 30 s, 2 h 5 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _pair(whole, 60, "min", 1, "s")
    if whole < 86400:
        return _pair(whole, 3600, "h", 60, "min")
    return _pair(whole, 86400, "d", 3600, "h")


def _pair(whole: int, unit: int, name: str, lesser: int, lesser_name: str) -> str:
    many, rest = divmod(whole, unit)
    return f"{many:,} {name}" + (f" {rest // lesser} {lesser_name}" if rest // lesser else "")


class Snapshot(NamedTuple):
    """
    How the run stands, for whoever shows it. `known`, `ended`, `failed` and `gone` count tasks, `pages` those that
    ended in this start, and `faults` are that start's too (it goes on changing: read it, and let it go). `waiting`
    says in words why nothing goes out, and is empty if something does.
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
    faults: RecentFaults = RecentFaults()
