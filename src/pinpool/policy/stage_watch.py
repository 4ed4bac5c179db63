"""
Is a stage of the spider wrong? When its first pages all yield nothing, no more of them are asked for.

That is told apart from proxies that show something else in place of pages: first the stage is held, so that nothing new
of it goes out while the pages at hand are settled through other proxies. It stops when these confirm it.
"""

from dataclasses import dataclass, field

from pinpool.policy.retry import WITNESSES

#: Pages without anything in hand before the stage is held.
FIRST = 10
#: How many of them must have ended, each on the word of enough proxies, before it stops.
SETTLED = 3


@dataclass(slots=True)
class StageWatch:
    """
    One stage, until a page of it has yielded something. `fruitless` are the pages that gave nothing so far, each with
    the proxies that fetched it; `settled` are those that have ended so. `first` is how many of them hold the stage.
    """

    first: int = FIRST
    fruitful: bool = False
    fruitless: dict[int, set[int]] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)

    def failed(self, task: int, proxy: int) -> None:
        """The page came through the proxy, but gave nothing."""
        self.fruitless.setdefault(task, set()).add(proxy)

    def ended(self, task: int, *, fruitless: bool) -> None:
        """The task has ended: without anything in hand, or for a reason that says nothing of the stage."""
        if fruitless:
            self.settled.add(task)
        else:
            self.fruitless.pop(task, None)

    @property
    def holds(self) -> bool:
        """True if nothing of the stage may go out but the pages that gave nothing."""
        return not self.fruitful and len(self.fruitless) >= self.first

    def stops(self, alive: int) -> bool:
        """True if nothing of it may go out at all; `alive` is how many proxies can be asked."""
        proxies: set[int] = set().union(*self.fruitless.values())
        return self.holds and len(self.settled) >= SETTLED and len(proxies) >= min(WITNESSES, alive)
