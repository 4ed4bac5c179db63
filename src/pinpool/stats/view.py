"""How a run stands, for whoever shows it: the live view, the file of metrics, a caller of the library."""

from __future__ import annotations

from typing import NamedTuple

from pinpool.pool.engine import Census
from pinpool.stats.snapshot import RecentFaults


class View(NamedTuple):
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
