"""
What is still to be visited: ready, waiting for a moment, or in flight. Tasks that nobody needs yet stay in the journal.

Details go before list pages as long as there are enough of them, so that items come early and little waits; list pages
go first as soon as details run short, so that no worker starves. Time comes in as an argument (seconds, any clock).
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pinpool.model import Assignment, ProxyState, Task

#: A kind of task is read again from the journal when fewer than this are ready.
LOW_WATER = 250


@dataclass(slots=True)
class Entry:
    """
    A task on this side of the journal.

    `tried` are the proxies that have failed it and are not excused; `declined` counts in a row the workers that would
    not take it with their pins, and `declined_at` is when the first of them did (time.monotonic).
    """

    id: int
    task: Task
    is_index: bool
    tried: frozenset[int] = frozenset()
    declined: int = 0
    declined_at: float = 0.0

    def decline(self, now: float) -> None:
        """A worker would not take it, or nobody could."""
        if not self.declined:
            self.declined_at = now
        self.declined += 1

    def waits(self, now: float) -> float:
        """Seconds since a worker declined it first; 0 if none has since its last attempt."""
        return now - self.declined_at if self.declined else 0.0


class Frontier:
    """Which task goes next, and whether all is done."""

    def __init__(self) -> None:
        self._ready: dict[bool, deque[Entry]] = {True: deque(), False: deque()}
        self._delayed: list[tuple[float, int, Entry]] = []
        self._flight: dict[int, Entry] = {}
        self._order = itertools.count()

    def __repr__(self) -> str:
        return f"<Frontier {self.ready} ready, {len(self._delayed)} delayed, {len(self._flight)} in flight>"

    @property
    def ready(self) -> int:
        """Tasks that may go at once."""
        return len(self._ready[True]) + len(self._ready[False])

    @property
    def in_flight(self) -> int:
        """Tasks that an engine has."""
        return len(self._flight)

    @property
    def empty(self) -> bool:
        """True if nothing is ready, delayed or in flight."""
        return not (self.ready or self._delayed or self._flight)

    def runs_short(self, is_index: bool) -> bool:
        """True if more tasks of this kind should be read from the journal."""
        return len(self._ready[is_index]) < LOW_WATER

    def push(self, entry: Entry, *, first: bool = False) -> None:
        """A task may go; `first` puts it before the others of its kind, as a retry should be."""
        ready = self._ready[entry.is_index]
        (ready.appendleft if first else ready.append)(entry)

    def delay(self, entry: Entry, until: float) -> None:
        """A task may go from `until` on."""
        heapq.heappush(self._delayed, (until, next(self._order), entry))

    def take(self, now: float, room: int) -> Entry | None:
        """The next task; `room` is how many the engine takes at a time, and decides which kind is short."""
        while self._delayed and self._delayed[0][0] <= now:
            self.push(heapq.heappop(self._delayed)[2], first=True)
        index, rest = self._ready[True], self._ready[False]
        if rest and (not index or len(rest) >= 2 * room):
            return rest.popleft()
        return index.popleft() if index else None

    def first(self, number: int) -> list[Task]:
        """The tasks at hand that would go next, at most so many; they stay where they are."""
        ready = itertools.chain(
            self._ready[True], self._ready[False], (entry for _, _, entry in self._delayed)
        )
        return [entry.task for entry in itertools.islice(ready, number)]

    def next_moment(self) -> float | None:
        """When the first delayed task may go."""
        return self._delayed[0][0] if self._delayed else None

    def depart(self, serial: int, entry: Entry) -> None:
        """An attempt of this task is in the engine's hands."""
        self._flight[serial] = entry

    def land(self, serial: int) -> Entry | None:
        """The attempt has ended. None if it is unknown: an answer that came twice, or too late."""
        return self._flight.pop(serial, None)


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
