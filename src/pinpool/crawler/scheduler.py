"""
What is still to be visited: ready, waiting for a moment, or in flight. Tasks that nobody needs yet stay in the journal.

Details go before list pages as long as there are enough of them, so that items come early and little waits; list pages
go first as soon as details run short, so that no worker starves. Time comes in as an argument (seconds, any clock).
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass

from pinpool.model import Task

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
