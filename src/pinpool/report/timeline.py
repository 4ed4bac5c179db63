"""
When things happened: the time of a run as a chart shows it, and where a proxy stood meanwhile. Pure.

A run may be stopped in the evening and go on in the morning. On an axis of wall-clock time the night would be all that
shows, so its pauses are cut out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from pinpool.model import EventKind, ProxyState
from pinpool.proxies.lifecycle import STATE_AFTER

Gap = tuple[float, float]  # epoch seconds, from and to

#: A process that is killed leaves its last heartbeat behind, up to so many seconds old.
HEARTBEAT_SLACK = 10.0
FEWEST_SLICES, MOST_SLICES = 20, 100
SHORTEST_RUN = 0.001  # seconds; a clock that was set back must not divide by zero

#: Of states held equally long in one slice the troubled one is shown.
_TROUBLE = (ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED)


class Clock:
    """
    The time from `begin` to `end` (epoch seconds) without its `pauses`, cut into `slices` equal parts: if it is not
    told, as many as show something, of a second at least where the run is long enough.

    `seconds` is how long that is. Moments before and after are taken for the first and the last one.
    """

    def __init__(self, begin: float, end: float, pauses: Sequence[Gap] = (), slices: int = 0) -> None:
        self.begin, self.end = begin, max(end, begin + SHORTEST_RUN)
        self.pauses = tuple(sorted(pauses))
        self._starts = [start for start, _ in self.pauses]
        # Pauses that lie wholly before a moment, by how many there are.
        self._before = [0.0, *accumulate(stop - start for start, stop in self.pauses)]
        self.seconds = max(SHORTEST_RUN, self.end - begin - self._before[-1])
        self.slices = slices or min(MOST_SLICES, max(FEWEST_SLICES, int(self.seconds)))

    def __repr__(self) -> str:
        return f"<Clock {self.seconds:.1f} s in {self.slices} slices, {len(self.pauses)} pauses>"

    def elapsed(self, at: float) -> float:
        """How many seconds of the run had passed at the epoch second `at`."""
        passed = min(max(at, self.begin), self.end) - self.begin
        if self.pauses:
            count = bisect_right(self._starts, at)
            passed -= self._before[count]
            if count and at < self.pauses[count - 1][1]:
                passed += self.pauses[count - 1][1] - max(at, self.pauses[count - 1][0])
        return min(max(passed, 0.0), self.seconds)

    def slice_of(self, at: float) -> int:
        """The number of the slice that the epoch second `at` lies in, from 0."""
        return min(int(self.elapsed(at) * self.slices / self.seconds), self.slices - 1)

    def moment(self, share: float) -> float:
        """The epoch second at which `share` (0 to 1) of the run had passed."""
        at = self.begin + share * self.seconds
        for start, stop in self.pauses:
            if at > start:
                at += stop - start
        return min(at, self.end)


def pauses(gaps: Iterable[Gap], starts: int, idle: float) -> list[Gap]:
    """
    Those `gaps` between two attempts in which the run did not run: between two of its `starts`, and together no
    longer than `idle`, the wall-clock seconds that no start accounts for.

    A long wait for resting proxies is a gap too, but no pause.
    """
    found: list[Gap] = []
    left = idle + HEARTBEAT_SLACK
    for gap in sorted(gaps, key=lambda gap: gap[0] - gap[1])[: starts - 1]:
        if HEARTBEAT_SLACK < gap[1] - gap[0] <= left:
            found.append(gap)
            left -= gap[1] - gap[0]
    return sorted(found)


@dataclass(slots=True)
class Slice:
    """The attempts that ended in one slice of time: how many gave a page, and the faults of the others."""

    pages: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Segment(NamedTuple):
    """A proxy stood in `state` in `length` slices, beginning with number `first`."""

    state: ProxyState
    first: int
    length: int


class Strip(NamedTuple):
    """Where a proxy stood over time; `seconds` tells how long in each state."""

    segments: tuple[Segment, ...]
    seconds: dict[ProxyState, float]


def strip(clock: Clock, moves: Iterable[tuple[float, str]]) -> Strip:
    """
    The strip of one proxy from its `moves`, (epoch second, kind of event) each, oldest first.

    A slice is shown as the state that took most of it. One that joined while the run went on was out before.
    """
    moves = list(moves)
    width = clock.seconds / clock.slices
    held: list[dict[ProxyState, float]] = [{} for _ in range(clock.slices)]
    seconds: dict[ProxyState, float] = dict.fromkeys(ProxyState, 0.0)
    joined = bool(moves) and moves[0][1] == EventKind.JOINED
    state, since = ProxyState.RETIRED if joined else ProxyState.SPARE, 0.0
    last = [(clock.end, "")]
    for at, kind in (*moves, *last):
        if kind and kind not in STATE_AFTER:
            continue
        until = max(since, clock.elapsed(at))
        seconds[state] += until - since
        for number in range(int(since / width), min(int(until / width) + 1, clock.slices)):
            part = min(until, (number + 1) * width) - max(since, number * width)
            if part > 0:
                held[number][state] = held[number].get(state, 0.0) + part
        state, since = STATE_AFTER.get(kind, state), until
    shown = [
        max(part, key=lambda one: (round(part[one] / width, 6), _TROUBLE.index(one)), default=state)
        for part in held
    ]
    segments, first = [], 0
    for one, group in groupby(shown):
        count = sum(1 for _ in group)
        segments.append(Segment(one, first, count))
        first += count
    return Strip(tuple(segments), seconds)
