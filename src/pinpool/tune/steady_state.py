"""
One measured trial: when its measuring begins, when enough is known, and what the speed was. Pure: the time comes in.

The error of a speed is that of batch means: the time is cut into ten equal parts, long enough each for every worker to
answer, and what their speeds differ by tells how sure their mean is, whatever the latencies look like.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

BATCHES = 10
#: A relative standard error that is small enough: 95 of 100 repetitions are then within 6 %.
SURE = 0.03
#: Nothing is believed before. A part shorter than a page would tell of the bursts in which workers answer.
LEAST_SECONDS, LEAST_PAGES, LEAST_EACH = 3.0, 30, BATCHES
#: Answers of each worker before the measuring begins: the first one opens connections.
FIRST_EACH = 2
#: A site too slow to give 30 pages in a trial's time gets so much more of it.
PATIENCE = 3
#: Seconds between two samples, and between two judgements.
SAMPLE, JUDGE = 0.05, 0.5
#: Seconds without any hope of an answer that end a trial. A proxy that is about to be retired rests for a moment, too.
STALLED = 1.0
#: With fewer pages there is no figure at all.
FEWEST_PAGES = 10


class Glance(NamedTuple):
    """
    How the run stands at a moment `at` (seconds, monotonic). `pages` count from the trial's start; `able` workers
    live and have a proxy, `parked` ones wait for one; `ready` tasks wait for a worker and `in_flight` are under way.
    `stalled` says why nobody can get an answer now, empty if somebody can.
    """

    at: float
    pages: int
    able: int
    parked: int
    ready: int
    in_flight: int
    stalled: str = ""

    @property
    def starving(self) -> bool:
        """There are workers for more pages than the job has at hand."""
        # One that has just become ready goes out at once, so that it is as good as in flight.
        return self.ready + self.in_flight < self.able


class Pace(NamedTuple):
    """
    What a trial has measured: pages a second and the standard error of that, over so many `pages` in so many seconds;
    which share of the workers' time went by without a proxy, and of the time without enough pages at hand.
    """

    speed: float
    error: float
    pages: int
    seconds: float
    parked: float
    starved: float

    @property
    def doubt(self) -> float:
        """The error relative to the speed."""
        return self.error / self.speed if self.speed else 1.0


class Trial:
    """
    Judges one start of the run with so many `workers`, of at most `pages` pages. It measures for about `seconds` at
    most, and ends as soon as the speed is known to 3 %.
    """

    def __init__(self, workers: int, *, seconds: float, pages: int) -> None:
        self.workers, self._seconds, self._most = workers, seconds, pages
        self.stalled = ""
        self.over = False
        self._born: float | None = None
        self._moments: list[float] = []
        self._pages: list[int] = []
        self._before: Glance | None = None
        self._parked = self._starved = 0.0
        self._fed = 0  # the last sample at which there were pages enough
        self._judged = self._flowing = 0.0

    def __repr__(self) -> str:
        return f"<Trial of {self.workers} workers, {len(self._moments)} samples>"

    @property
    def begun(self) -> float | None:
        """The moment from which it measures, None while it warms up."""
        return self._moments[0] if self._moments else None

    def look(self, glance: Glance) -> bool:
        """Take a glance at the run; true as soon as the trial is over. May be called as often as one likes."""
        if self.over:
            return True
        if self._born is None:
            self._born = self._flowing = glance.at
        if not self._moments:
            if self._warm(glance):
                self._add(glance)
                self._before, self._judged = glance, glance.at
        elif self._before is not None and glance.at - self._before.at >= SAMPLE:
            spent = glance.at - self._before.at
            self._parked += spent * glance.parked
            self._starved += spent * glance.starving
            self._before = glance
            self._add(glance)
        if not glance.stalled:
            self._flowing = glance.at
        self.stalled = glance.stalled if glance.at - self._flowing >= STALLED else ""
        self.over = bool(self.stalled) or glance.pages >= self._most or self._judge(glance)
        return self.over

    def _warm(self, glance: Glance) -> bool:
        waited = glance.at - (self._born or 0.0) >= self._seconds / 2
        return bool(glance.pages) and (glance.pages >= FIRST_EACH * max(1, glance.able) or waited)

    def _add(self, glance: Glance) -> None:
        self._moments.append(glance.at)
        self._pages.append(glance.pages)
        if not glance.starving:
            self._fed = len(self._moments) - 1

    def _judge(self, glance: Glance) -> bool:
        if not self._moments:
            return glance.at - (self._born or 0.0) >= PATIENCE * self._seconds
        spent, pages = glance.at - self._moments[0], glance.pages - self._pages[0]
        if spent >= self._seconds and (pages >= LEAST_PAGES or spent >= PATIENCE * self._seconds):
            return True
        if glance.at - self._judged < JUDGE or spent < LEAST_SECONDS:
            return False
        self._judged = glance.at
        known = self.figures()
        enough = max(LEAST_PAGES, LEAST_EACH * glance.able)
        return known is not None and known.pages >= enough and known.doubt <= SURE

    def figures(self, *, to_the_last: bool = True) -> Pace | None:
        """
        What is known so far, None if that is too little. Without `to_the_last` the end is left out, in which there were
        fewer pages than workers: for a job that ended.
        """
        last = len(self._moments) - 1 if to_the_last else self._fed
        if last < 1 or self._pages[last] - self._pages[0] < FEWEST_PAGES:
            return None
        start, end = self._moments[0], self._moments[last]
        pages, seconds = self._pages[last] - self._pages[0], end - start
        marks = [self._at(start + seconds * part / BATCHES) for part in range(BATCHES + 1)]
        speeds = [(after - before) * BATCHES / seconds for before, after in pairwise(marks)]
        whole = self._moments[-1] - start
        return Pace(
            fmean(speeds),
            stdev(speeds) / math.sqrt(BATCHES),
            pages,
            seconds,
            self._parked / (whole * self.workers),
            self._starved / whole if to_the_last else 0.0,
        )

    def _at(self, moment: float) -> float:
        """Pages at a moment between two samples, as if they had come evenly."""
        place = min(max(1, bisect_left(self._moments, moment)), len(self._moments) - 1)
        (before, had), (after, has) = ((self._moments[n], self._pages[n]) for n in (place - 1, place))
        return had + (has - had) * (moment - before) / (after - before)
