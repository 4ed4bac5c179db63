"""
One measured trial: when its measuring begins, when enough is known, and what the speed was. Pure.

The error of a speed is that of batch means: the time is cut into ten equal parts, each long enough for every worker to
answer, and the spread of their speeds is the error of the mean.
"""

import math
from bisect import bisect_left
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

BATCHES = 10
#: A relative standard error that is small enough: 95 of 100 repetitions are then within 6 %.
SMALL_ERROR = 0.03
#: The least that a trial measures. A batch shorter than a page would show the bursts in which workers answer.
LEAST_SECONDS, LEAST_PAGES, LEAST_EACH = 3.0, 30, BATCHES
#: Answers of each worker before the measuring begins: the first one opens connections.
WARM_UP_EACH = 2
#: A site that gives fewer than 30 pages in a trial's time gets three times that time.
PATIENCE = 3
#: Seconds between two samples, between two looks at the error, and without an answer until a trial ends: a proxy rests
#: for a moment before it is retired.
SAMPLE_SECONDS, CHECK_SECONDS, STALLED_SECONDS = 0.05, 0.5, 1.0


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
    What a trial has measured: pages a second and the standard error of that, over `pages` in `seconds`. `parked` is the
    share of the workers' time without a proxy, `starved` the share of the time with fewer tasks than workers.
    """

    speed: float
    error: float
    pages: int
    seconds: float
    parked: float
    starved: float

    @property
    def relative_error(self) -> float:
        """The error as a share of the speed."""
        return self.error / self.speed if self.speed else 1.0


class Trial:
    """A start of the run with so many workers, for about `seconds` and `pages` at most, or until the speed is known."""

    def __init__(self, workers: int, *, seconds: float, pages: int) -> None:
        self.workers, self._seconds, self._most, self.stalled = workers, seconds, pages, ""
        self._samples: list[Sample] = []
        self._started: float | None = None
        self._checked = self._flowing = 0.0

    @property
    def begun(self) -> float | None:
        """The moment from which it measures, None while it warms up."""
        return self._samples[0].at if self._samples else None

    def add(self, sample: Sample) -> bool:
        """Take a sample. True if the trial is over. It may come as often as the caller likes."""
        if self._started is None:
            self._started = self._flowing = sample.at
        waited = sample.at - self._started
        if self._samples:
            due = sample.at - self._samples[-1].at >= SAMPLE_SECONDS
        else:  # warm, or nobody knows when
            due = sample.pages >= WARM_UP_EACH * max(1, sample.able) or (
                sample.pages > 0 and waited >= self._seconds / 2
            )
        if due:
            self._samples.append(sample)
        if not sample.stalled:
            self._flowing = sample.at
        self.stalled = sample.stalled if sample.at - self._flowing >= STALLED_SECONDS else ""
        return bool(self.stalled) or sample.pages >= self._most or self._is_enough(sample, waited)

    def _is_enough(self, sample: Sample, waited: float) -> bool:
        if not self._samples:
            return waited >= PATIENCE * self._seconds
        spent, pages = sample.at - self._samples[0].at, sample.pages - self._samples[0].pages
        if spent >= self._seconds and (pages >= LEAST_PAGES or spent >= PATIENCE * self._seconds):
            return True
        if sample.at - self._checked < CHECK_SECONDS or spent < LEAST_SECONDS:
            return False
        self._checked = sample.at
        measured = self.throughput()
        enough = max(LEAST_PAGES, LEAST_EACH * sample.able)
        return measured is not None and measured.pages >= enough and measured.relative_error <= SMALL_ERROR

    def throughput(self, *, with_end: bool = True) -> Throughput | None:
        """What is measured so far, None if that is too little. Leave out the end of a job, when tasks are too few."""
        samples, last = self._samples, len(self._samples) - 1
        while not with_end and last > 0 and samples[last].tasks < samples[last].able:
            last -= 1
        if last < 1 or samples[last].pages - samples[0].pages < BATCHES:
            return None
        start, seconds = samples[0].at, samples[last].at - samples[0].at
        marks = [self._pages_at(start + seconds * batch / BATCHES) for batch in range(BATCHES + 1)]
        speeds = [(after - before) * BATCHES / seconds for before, after in pairwise(marks)]
        spent = [(after.at - before.at, after) for before, after in pairwise(samples[: last + 1])]
        return Throughput(
            fmean(speeds),
            stdev(speeds) / math.sqrt(BATCHES),
            samples[last].pages - samples[0].pages,
            seconds,
            sum(gap * sample.parked for gap, sample in spent) / (seconds * self.workers),
            sum(gap for gap, sample in spent if sample.tasks < sample.able) / seconds if with_end else 0.0,
        )

    def _pages_at(self, moment: float) -> float:
        """Pages at a moment between two samples, as if they had come evenly."""
        place = bisect_left(self._samples, moment, key=lambda sample: sample.at)
        before, after = self._samples[max(0, place - 1)], self._samples[min(max(1, place), len(self._samples) - 1)]
        return before.pages + (after.pages - before.pages) * (moment - before.at) / ((after.at - before.at) or 1.0)
