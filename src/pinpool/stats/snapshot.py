"""A running crawl at one moment, for all that show it: a terminal, the metrics file, a caller's own `watch`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.model import Fault
from pinpool.pool.engine import Census


@dataclass(slots=True)
class FaultCount:
    """How often a kind of fault was met; `message` and `at` (seconds of a monotonic clock) are the last one's."""

    count: int = 0
    message: str = ""
    at: float = 0.0


@dataclass(slots=True)
class RecentFaults:
    """The faults since this start of the run, by kind."""

    by_fault: dict[Fault, FaultCount] = field(default_factory=dict)

    def add(self, fault: Fault, message: str, at: float) -> None:
        """Count one."""
        kind = self.by_fault.setdefault(fault, FaultCount())
        kind.count += 1
        kind.message, kind.at = message, at

    def latest(self, most: int) -> list[tuple[Fault, FaultCount]]:
        """The kinds that were met last, at most so many; sorted by name, so that a live view does not jump."""
        newest = sorted(self.by_fault.items(), key=lambda entry: entry[1].at)[-most:]
        return sorted(newest, key=lambda entry: entry[0])


class Snapshot(NamedTuple):
    """
    How the run is doing. `known`, `ended`, `failed` and `gone` count tasks of the whole run; `pages` (tasks that
    ended) and `faults` count since this start. `faults` is live: it keeps changing, so do not keep it.

    `last_fault` is its kind and message. `waiting` says why nothing is sent out now; it is empty otherwise.
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

    @property
    def tasks(self) -> dict[str, int]:
        """Tasks by state, as in `stats`."""
        return {
            "done": self.ended - self.gone - self.failed,
            "gone": self.gone,
            "failed": self.failed,
            "waiting": self.known - self.ended - self.in_flight,
            "in_flight": self.in_flight,
        }
