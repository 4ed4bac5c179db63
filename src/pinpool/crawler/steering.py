"""
Which proxies a task must not meet: those that have failed it, and at the end of a run those that are in doubt.

Pure. A worker whose pin is to be avoided declines the task; see `Assignment`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pinpool.crawler.scheduler import Entry
from pinpool.model import Assignment, ProxyState

#: Seconds after which a worker may exchange its pin for a spare that has not tried the task.
PATIENCE = 0.5
#: And after which the task goes to whoever takes it: nobody better may come, or not for half an hour.
LAST_PATIENCE = 10.0
#: Seconds until a task that all have declined is offered again, the first time and at most.
FIRST_BREAK, LONGEST_BREAK = 0.02, 0.5


def steer(
    entry: Entry, states: Mapping[int, ProxyState], doubted: frozenset[int], now: float
) -> Assignment | None:
    """
    The task with the proxies that must not have it; None if those that may are all resting, so that it has to wait.

    A task that every living proxy has failed, or that has waited for ten seconds, may go to any of them again. `now` is
    time.monotonic().
    """
    waits = entry.waits(now)
    if not (entry.tried or doubted) or waits >= LAST_PATIENCE:
        return Assignment(entry.task)
    for avoid in (entry.tried | doubted, entry.tried):
        left = {state for proxy, state in states.items() if proxy not in avoid} - {ProxyState.RETIRED}
        if ProxyState.PINNED in left:
            # A worker that holds one in doubt had better try a spare than stand idle.
            exchange = ProxyState.SPARE in left and (bool(doubted) or waits >= PATIENCE)
            return Assignment(entry.task, tuple(avoid), exchange)
        if ProxyState.SPARE in left and avoid == entry.tried:
            return Assignment(entry.task, tuple(avoid), True)
    return None if left else Assignment(entry.task)


def pause(declined: int, pinned: int, jitter: float) -> float:
    """
    Seconds until a task is offered again that has been declined so often in a row, where so many proxies are pinned.

    None until each of them can have seen it once, for whoever may have it may stand at the end of the queue; and all of
    them are asked again before it waits any longer. `jitter` is 0 to 1.
    """
    rounds = declined // max(1, pinned)
    if not rounds:
        return 0.0
    return min(FIRST_BREAK * 2.0 ** min(rounds - 1, 10), LONGEST_BREAK) * (1.0 + jitter) / 2


def doubtful(
    states: Mapping[int, ProxyState],
    tasks: int,
    *,
    works: Callable[[int], bool],
    suspect: Callable[[int], bool],
    closing: bool,
) -> frozenset[int]:
    """
    The proxies that the last `tasks` tasks should not wait for: one page behind a proxy that turns out to be dead would
    be the long tail of the whole run.

    With no more tasks than hands that work, all others. Before that, when the run is `closing`, because what is left
    takes less time than one page may take, those that have failed and are not known to have worked. Spares too: a
    worker that gave one such proxy for another would go through them all, page by page.
    """
    working = {proxy for proxy, state in states.items() if state is ProxyState.PINNED and works(proxy)}
    if tasks <= len(working):
        return frozenset(states) - working
    return frozenset(filter(suspect, states)) if closing and working else frozenset()
