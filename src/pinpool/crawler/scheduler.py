"""
Which task goes next, and to which proxies. Tasks that nobody needs yet stay in the journal.

Details go before list pages while there are enough of them, so that items come early and little waits. List pages go
first when details run short, so that no worker is idle. A retry goes to a proxy that has not tried the task.

Reads no clock: `now` is seconds of any clock.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pinpool.model import Assignment, ProxyState, Task
from pinpool.policy.backoff import backoff

#: Tasks of a kind are read from the journal when fewer than this are ready.
LOW_WATER = 250
#: Seconds after which a worker may exchange its pin for a spare proxy that has not tried the task.
PATIENCE = 0.5
#: Seconds after which the task goes to any worker: a better one may not come for half an hour.
LAST_PATIENCE = 10.0
#: Seconds until a task that all workers have declined is offered again, the first time and at most.
FIRST_BREAK, LONGEST_BREAK = 0.02, 0.5


@dataclass(slots=True, eq=False)
class Entry:
    """
    A task that was read from the journal. `tried` are the proxies that have failed it while the site was up. `deadly`:
    a worker was lost with it.

    With `doubted`, its page is there, and is asked for once more: this proxy gave it, and may show what others do not.

    `is_seed`: no page has asked for it. `follows`: a page of its own stage has. `wary`: what was said of its page must
    be confirmed, by a proxy that has served pages if there is one.

    `declined` counts the workers in a row that declined it for their pins, `declined_at` is when the first of them did.
    One that may have crashed its worker is tried `alone`.
    """

    id: int
    task: Task
    is_index: bool
    tried: frozenset[int] = frozenset()
    deadly: bool = False
    declined: int = 0
    declined_at: float = 0.0
    alone: bool = False
    wary: bool = False
    is_seed: bool = False
    follows: bool = False
    doubted: int = 0

    @property
    def repeatable(self) -> bool:
        """True if the page may be asked for twice at a time. A page that may kill workers gets one of them."""
        return self.task.method in ("GET", "HEAD") and not (self.deadly or self.alone)

    def decline(self, now: float) -> None:
        """A worker declines the task, or no worker can have it."""
        if not self.declined:
            self.declined_at = now
        self.declined += 1

    def waits(self, now: float) -> float:
        """Seconds since a worker first declined it; 0 if none has since its last attempt."""
        return now - self.declined_at if self.declined else 0.0


class Frontier:
    """The tasks at hand: ready, or waiting for a moment."""

    def __init__(self) -> None:
        self._ready: dict[bool, deque[Entry]] = {True: deque(), False: deque()}
        self._delayed: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()

    def __repr__(self) -> str:
        return f"<Frontier {self.ready} ready, {len(self._delayed)} delayed>"

    @property
    def ready(self) -> int:
        """Tasks that may go at once."""
        return len(self._ready[True]) + len(self._ready[False])

    @property
    def empty(self) -> bool:
        """True if nothing is ready or delayed."""
        return not (self.ready or self._delayed)

    def runs_short(self, is_index: bool) -> bool:
        """True if more tasks of this kind should be read from the journal."""
        return len(self._ready[is_index]) < LOW_WATER

    def push(self, entry: Entry, *, first: bool = False) -> None:
        """Make a task ready. `first` puts it before the others of its kind, as for a retry."""
        ready = self._ready[entry.is_index]
        (ready.appendleft if first else ready.append)(entry)

    def delay(self, entry: Entry, until: float) -> None:
        """Make a task ready at `until`."""
        heapq.heappush(self._delayed, (until, next(self._order), entry))

    def __iter__(self) -> Iterator[Entry]:
        delayed = (entry for _, _, entry in self._delayed)
        return itertools.chain(self._ready[True], self._ready[False], delayed)

    def keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Drop all tasks that are not wanted. They still wait in the journal."""
        self._ready = {kind: deque(filter(wanted, ready)) for kind, ready in self._ready.items()}
        self._delayed = [delayed for delayed in self._delayed if wanted(delayed[2])]
        heapq.heapify(self._delayed)

    def take(self, now: float, room: int) -> Entry | None:
        """The next task. `room` is how many tasks the engine holds at a time; with twice as many, details suffice."""
        while self._delayed and self._delayed[0][0] <= now:
            self.push(heapq.heappop(self._delayed)[2], first=True)
        lists, details = self._ready[True], self._ready[False]
        if details and (not lists or len(details) >= 2 * room):
            return details.popleft()
        return lists.popleft() if lists else None

    def first(self, number: int) -> list[Task]:
        """Up to `number` tasks that would go next. They stay where they are."""
        return [entry.task for entry in itertools.islice(self, number)]

    def next_ready(self) -> float | None:
        """When the first delayed task is ready; None if there is none."""
        return self._delayed[0][0] if self._delayed else None


def assign(entry: Entry, states: Mapping[int, ProxyState], avoided: frozenset[int], now: float) -> Assignment | None:
    """
    The task with the proxies that must not have it. None if all that may have it are resting, so that it waits.

    A task goes to any proxy again once every living one has failed it, or it has waited for ten seconds.
    """
    waits = entry.waits(now)
    if entry.alone:
        # There is one worker for it, which can have another proxy only if one is spare.
        untried = any(state is ProxyState.SPARE and proxy not in entry.tried for proxy, state in states.items())
        return Assignment(entry.task, tuple(entry.tried), True) if untried else Assignment(entry.task)
    if not (entry.tried or avoided) or waits >= LAST_PATIENCE:
        return Assignment(entry.task)
    for avoid in (entry.tried | avoided, entry.tried):
        left = {state for proxy, state in states.items() if proxy not in avoid} - {ProxyState.RETIRED}
        if ProxyState.PINNED in left:
            # A worker with an avoided proxy tries a spare at once, rather than be idle.
            exchange = ProxyState.SPARE in left and (bool(avoided) or waits >= PATIENCE)
            return Assignment(entry.task, tuple(avoid), exchange)
        if ProxyState.SPARE in left and avoid == entry.tried:
            return Assignment(entry.task, tuple(avoid), True)
    return None if left else Assignment(entry.task)


def offer_delay(declined: int, pinned: int, jitter: float) -> float:
    """
    Seconds until a task is offered again that `declined` workers in a row would not take. `jitter` is 0 to 1.

    0 until each of the `pinned` proxies was offered it once, for the last in the queue may be the one that can have it.
    Then it waits a little longer after each round.
    """
    rounds = declined // max(1, pinned)
    if not rounds:
        return 0.0
    return backoff(FIRST_BREAK, rounds - 1, jitter, longest=LONGEST_BREAK, low=0.5, high=1.0)


def proxies_to_avoid(
    states: Mapping[int, ProxyState],
    tasks: int,
    *,
    works: Callable[[int], bool],
    doubtful: Callable[[int], bool],
    closing: bool,
) -> frozenset[int]:
    """
    The proxies that the last `tasks` tasks should avoid: one page behind a dead proxy would prolong the whole run.

    With no more tasks than pinned proxies that work, these are all others. Before that, when the run is `closing`
    (what is left takes less time than one page may), these are the doubtful ones. Spare proxies too: a worker that
    exchanges one doubtful proxy for another would try them all, page by page.
    """
    working = {proxy for proxy, state in states.items() if state is ProxyState.PINNED and works(proxy)}
    if tasks <= len(working):
        return frozenset(states) - working
    return frozenset(filter(doubtful, states)) if closing and working else frozenset()
