"""
Is a stage of the spider wrong? When its first pages all yield nothing, no more of them are asked for.

That is told apart from proxies that show something else in place of pages: first the stage is held, so that nothing new
of it goes out while the pages at hand are asked for through other proxies. It stops when these confirm it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.policy.retry import WITNESSES

#: Pages without anything in hand before the stage is held.
FIRST = 10
#: How many of them must have ended, each on the word of enough proxies, before it stops. As many pages are the least
#: for a verdict when all proxies rest.
SETTLED = 3


class Witnesses(NamedTuple):
    """The proxies that `live`; those of them that can be `asked`; and whether one is `usable` now, not only later."""

    live: Collection[int]
    asked: Collection[int]
    usable: bool


@dataclass(slots=True)
class StageWatch:
    """
    One stage, until a page of it has yielded something. `fruitless` are the pages that gave nothing so far, each with
    the proxies that fetched it, and `reports` how often they did; `settled` are the pages that have ended so.
    `tolerated` is how many there may be.
    """

    tolerated: int = 0
    fruitful: bool = False
    fruitless: dict[int, set[int]] = field(default_factory=dict)
    reports: int = 0
    settled: set[int] = field(default_factory=set)

    def failed(self, task: int, proxy: int) -> None:
        """The page came through the proxy, but gave nothing."""
        self.fruitless.setdefault(task, set()).add(proxy)
        self.reports += 1

    def ended(self, task: int, *, fruitless: bool) -> None:
        """The task has ended: without anything in hand, or for a reason that says nothing of the stage."""
        if fruitless:
            self.settled.add(task)
        else:
            self.fruitless.pop(task, None)

    @property
    def suspect(self) -> bool:
        """True if pages gave nothing, and none gave anything."""
        return bool(self.fruitless) and not self.fruitful

    @property
    def holds(self) -> bool:
        """True if nothing of the stage may go out but the pages that gave nothing."""
        return self.suspect and len(self.fruitless) >= max(FIRST, self.tolerated + 1)

    def stops(self, witnesses: Witnesses, *, is_all: bool) -> bool:
        """True if nothing of it may go out at all. `is_all`: the pages that gave nothing are all there are."""
        pages = len(self.fruitless)
        if not self.suspect or pages <= self.tolerated:
            return False
        first = self.holds or (is_all and self.reports >= 2 * pages)
        proxies: set[int] = set().union(*self.fruitless.values())
        if proxies.issuperset(witnesses.asked):  # nobody is left who could say something else
            return first or (pages >= SETTLED and not witnesses.usable)
        enough = len(proxies) >= min(WITNESSES, len(witnesses.live))
        return first and enough and len(self.settled) >= min(SETTLED, pages)
