"""
When things happened: the time of a run as an axis, and the states of a proxy on it. Pure.

A run may be stopped in the evening and go on in the morning. An axis of wall-clock time would show little but the
night. So the pauses are cut out.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from pinpool.model import EventKind, ProxyState
from pinpool.proxies.lifecycle import STATE_AFTER

Gap = tuple[float, float]  # epoch seconds, from and to

HEARTBEAT_SLACK = 10.0  # seconds; the last heartbeat of a killed process may be that old
FEWEST_SLICES, MOST_SLICES = 20, 100
SHORTEST_RUN = 0.001  # seconds; a clock that was set back must not cause a division by zero

#: Of two states that last equally long in a slice, the later one here is shown.
BY_TROUBLE = (ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED)


class TimeAxis:
    """
    The time from `begin` to `end` (epoch seconds) without its `pauses`, cut into equal `slices`. Their number follows
    from the length unless it is given: a slice of a run that is long enough takes a second at least.

    `seconds` is the length. Moments outside count as the first or the last one.
    """

    def __init__(self, begin: float, end: float, pauses: Sequence[Gap] = (), slices: int = 0) -> None:
        self.begin, self.end = begin, max(end, begin + SHORTEST_RUN)
        self.pauses = tuple(sorted(pauses))
        self._starts = [start for start, _ in self.pauses]
        # The length of the first pauses together, by their number.
        self._paused = [0.0, *accumulate(stop - start for start, stop in self.pauses)]
        self.seconds = max(SHORTEST_RUN, self.end - begin - self._paused[-1])
        self.slices = slices or min(MOST_SLICES, max(FEWEST_SLICES, int(self.seconds)))

    def elapsed(self, at: float) -> float:
        """The seconds of the run that had passed at the epoch second `at`."""
        passed = min(max(at, self.begin), self.end) - self.begin
        if self.pauses:
            count = bisect_right(self._starts, at)
            passed -= self._paused[count]
            if count and at < self.pauses[count - 1][1]:
                passed += self.pauses[count - 1][1] - max(at, self.pauses[count - 1][0])
        return min(max(passed, 0.0), self.seconds)

    def slice_of(self, at: float) -> int:
        """The number of the slice, from 0, that holds the epoch second `at`."""
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
    Those `gaps` between two attempts in which nothing ran: at most one between two of the run's `starts`, and
    together no longer than `idle`, the wall-clock seconds that belong to no start.

    A long wait for cooling proxies is a gap too, but not a pause.
    """
    found: list[Gap] = []
    left = idle + HEARTBEAT_SLACK
    for gap in sorted(gaps, key=lambda gap: gap[0] - gap[1])[: starts - 1]:
        if HEARTBEAT_SLACK < gap[1] - gap[0] <= left:
            found.append(gap)
            left -= gap[1] - gap[0]
    return sorted(found)


def between_starts(begin: float, starts: Sequence[float], attempts: Iterable[Gap]) -> list[Gap]:
    """
    The time before each of the `starts` in which nothing was fetched. A run that began at `begin` was started again at
    these moments, and made these `attempts`, (begin, end) each, in order.
    """
    found: list[Gap] = []
    latest, left = begin, sorted(starts, reverse=True)

    def start_again() -> None:
        nonlocal latest
        start = left.pop()
        found.append((min(latest, start), start))
        latest = max(latest, start)

    for since, until in attempts:
        while left and since >= left[-1]:
            start_again()
        latest = max(latest, until)
    while left:
        start_again()
    return found


@dataclass(slots=True)
class Slice:
    """
    What ended in one slice of time: the number of good pages and of their items, and the faults of the other attempts.
    """

    pages: int = 0
    items: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Segment(NamedTuple):
    """A proxy was in `state` for `length` slices, from number `first` on."""

    state: ProxyState
    first: int
    length: int


class Strip(NamedTuple):
    """The states of a proxy over time; `seconds` is how long each lasted."""

    segments: tuple[Segment, ...]
    seconds: dict[ProxyState, float]


def strip(axis: TimeAxis, moves: Sequence[tuple[float, str]]) -> Strip:
    """
    The strip of one proxy from its `moves`, (epoch second, kind of event) each, oldest first.

    A slice shows the state that took most of it. A proxy that joined during the run was out before.
    """
    width = axis.seconds / axis.slices
    shares: list[dict[ProxyState, float]] = [{} for _ in range(axis.slices)]
    seconds: dict[ProxyState, float] = dict.fromkeys(ProxyState, 0.0)
    joined = bool(moves) and moves[0][1] == EventKind.JOINED
    state, since = ProxyState.RETIRED if joined else ProxyState.SPARE, 0.0
    for at, kind in (*moves, (axis.end, None)):
        if kind is not None and kind not in STATE_AFTER:
            continue
        until = max(since, axis.elapsed(at))
        seconds[state] += until - since
        for number in range(int(since / width), min(int(until / width) + 1, axis.slices)):
            share = min(until, (number + 1) * width) - max(since, number * width)
            if share > 0:
                shares[number][state] = shares[number].get(state, 0.0) + share
        state, since = STATE_AFTER[kind] if kind else state, until
    shown = [
        max(share, key=lambda state: (round(share[state] / width, 6), BY_TROUBLE.index(state)), default=state)
        for share in shares
    ]
    segments, first = [], 0
    for state, group in groupby(shown):
        length = sum(1 for _ in group)
        segments.append(Segment(state, first, length))
        first += length
    return Strip(tuple(segments), seconds)
