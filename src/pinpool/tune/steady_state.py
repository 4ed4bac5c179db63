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

BATCHES = 10
#: Answers of each worker before the measuring begins: the first one opens connections.
WARM_UP_EACH = 2
#: A site that gives fewer pages in a trial's time gets three times that time.
LEAST_PAGES, PATIENCE = 30, 3
#: Seconds between two samples, and without an answer until a trial ends: a proxy rests for a moment before it is
#: retired.
SAMPLE_SECONDS, STALLED_SECONDS = 0.05, 1.0


class Sample(NamedTuple):
    """
    The run at the moment `at` (seconds, monotonic). `pages` count from the trial's start. `able` workers have a proxy,
    `parked` ones wait for one. `tasks` have not ended. `stalled` is why no answer can come now, empty if one can.
    """

    at: float
    pages: int
    able: int
    parked: int
    tasks: int
    stalled: str = ""


class Throughput(NamedTuple):
    """
    What a trial has measured: pages a second and the standard error of that. `parked` is the share of the workers' time
    without a proxy, `starved` the share of the time with fewer tasks than workers.
    """

    speed: float
    error: float
    parked: float
    starved: float


class Trial:
    """A start of the run with so many workers, for about `seconds` and `pages` at most."""

    def __init__(self, workers: int, *, seconds: float, pages: int) -> None:
        self.workers, self._seconds, self._most, self.stalled = workers, seconds, pages, ""
        self._samples: list[Sample] = []
        self._started = self._flowing = 0.0

    @property
    def begun(self) -> float | None:
        """The moment from which it measures, None while it warms up."""
        return self._samples[0].at if self._samples else None

    def add(self, sample: Sample) -> bool:
        """Take a sample. True if the trial is over. It may come as often as the caller likes."""
        self._started = self._started or sample.at
        waited = sample.at - self._started
        if self._samples:
            due = sample.at - self._samples[-1].at >= SAMPLE_SECONDS
        else:  # warm, or nobody knows when
            due = sample.pages >= (WARM_UP_EACH * max(1, sample.able) if waited < self._seconds / 2 else 1)
        if due:
            self._samples.append(sample)
        self._flowing = self._flowing if sample.stalled else sample.at
        self.stalled = sample.stalled if sample.at - max(self._flowing, self._started) >= STALLED_SECONDS else ""
        enough = self._seconds if sample.pages >= LEAST_PAGES else PATIENCE * self._seconds
        return bool(self.stalled) or sample.pages >= self._most or waited >= enough

    def throughput(self, *, with_end: bool = True) -> Throughput | None:
        """What is measured so far, None if that is too little. Leave out the end of a job, when tasks are too few."""
        samples = list(self._samples)
        while not with_end and samples and samples[-1].tasks < samples[-1].able:
            samples.pop()
        if not samples or samples[-1].pages - samples[0].pages < BATCHES:
            return None
        start, seconds = samples[0].at, samples[-1].at - samples[0].at
        ends = [start + seconds * batch / BATCHES for batch in range(BATCHES + 1)]
        marks = [samples[bisect_left(samples, end - SAMPLE_SECONDS / 2, key=lambda sample: sample.at)] for end in ends]
        speeds = [(after.pages - before.pages) / (after.at - before.at or 1.0) for before, after in pairwise(marks)]
        spent = [(after.at - before.at, after) for before, after in pairwise(samples)]
        return Throughput(
            (samples[-1].pages - samples[0].pages) / seconds,
            stdev(speeds) / math.sqrt(BATCHES),
            sum(gap * sample.parked for gap, sample in spent) / (seconds * self.workers),
            sum(gap for gap, sample in spent if sample.tasks < sample.able) / seconds if with_end else 0.0,
        )
