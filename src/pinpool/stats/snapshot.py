"""A running crawl at one moment, for all that show it: a terminal, the metrics file, a caller's own `watch`."""

from __future__ import annotations

from collections.abc import Mapping
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
    faults: Mapping[Fault, FaultCount] = MappingProxyType({})

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
