"""
One measured trial: when its measuring begins, when it is over, and what the speed was. Pure.

The error of a speed is that of batch means: the time is cut into ten equal parts, and the spread of their speeds is the
error of the mean.
"""

import math
from bisect import bisect_left
from itertools import pairwise
from statistics import stdev
from typing import NamedTuple

from pinpool.stats.snapshot import Snapshot

BATCHES = 10
#: Answers of each worker before the measuring begins: the first one opens connections.
WARM_UP_EACH = 2
#: A site that gives fewer pages in a trial's time gets three times that time.
LEAST_PAGES, PATIENCE = 30, 3
#: Seconds between two samples; without an answer until a trial ends: a proxy rests for a moment before it is retired;
#: and for which it waits for its proxies if all of them rest.
SAMPLE_SECONDS, STALLED_SECONDS, LONGEST_REST = 0.05, 1.0, 5.0


class _Sample(NamedTuple):
    """The run at one moment. `pages` count from the trial's start; it is `fed` with no fewer tasks than workers."""

    at: float
    pages: int
    parked: int
    fed: bool


class Throughput(NamedTuple):
    """
    What a trial has measured since that moment: pages a second and the standard error of that. `parked` is the share of
    the workers' time without a proxy, `starved` the share of the time with fewer tasks than workers.
    """

    since: float
    speed: float
    error: float
    parked: float
    starved: float


class Trial:
    """A start of the run with so many workers, for about `seconds` and `pages` at most."""

    def __init__(self, workers: int, *, seconds: float, pages: int) -> None:
        self.workers, self._seconds, self._most, self.stalled = workers, seconds, pages, ""
        self._samples: list[_Sample] = []
        self._started = self._flowing = 0.0

    def add(self, now: float, view: Snapshot) -> bool:
        """Look at the run, as often as you like; `now` is monotonic. True if the trial is over."""
        self._started, census = self._started or now, view.census
        able, waited = min(census.workers, census.usable), now - self._started
        if self._samples:
            due = now - self._samples[-1].at >= SAMPLE_SECONDS
        else:  # warm, or nobody knows when
            due = view.pages >= (WARM_UP_EACH * max(1, able) if waited < self._seconds / 2 else 1)
        if due:
            self._samples.append(_Sample(now, view.pages, census.parked, view.known - view.ended >= able))
        why = "the site fell silent" if view.waiting else ""
        if not census.usable and (census.wakes_in or 0.0) > LONGEST_REST:
            why = why or "all proxies had to rest for their faults"
        self._flowing = self._flowing if why else now
        self.stalled = why if now - max(self._flowing, self._started) >= STALLED_SECONDS else ""
        enough = self._seconds if view.pages >= LEAST_PAGES else PATIENCE * self._seconds
        return bool(self.stalled) or view.pages >= self._most or waited >= enough

    def throughput(self, *, with_end: bool = True) -> Throughput | None:
        """What is measured so far, None if that is too little. Leave out the end of a job, when tasks are too few."""
        samples = list(self._samples)
        while not with_end and samples and not samples[-1].fed:
            samples.pop()
        if not samples or samples[-1].pages - samples[0].pages < BATCHES:
            return None
        start, seconds = samples[0].at, samples[-1].at - samples[0].at
        ends = [start + seconds * batch / BATCHES for batch in range(BATCHES + 1)]
        marks = [samples[bisect_left(samples, end - SAMPLE_SECONDS / 2, key=lambda sample: sample.at)] for end in ends]
        speeds = [(after.pages - before.pages) / (after.at - before.at or 1.0) for before, after in pairwise(marks)]
        spent = [(after.at - before.at, after) for before, after in pairwise(samples)]
        return Throughput(
            start,
            (samples[-1].pages - samples[0].pages) / seconds,
            stdev(speeds) / math.sqrt(BATCHES),
            sum(gap * sample.parked for gap, sample in spent) / (seconds * self.workers),
            sum(gap for gap, sample in spent if not sample.fed) / seconds if with_end else 0.0,
        )
