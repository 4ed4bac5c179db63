"""
From the attempts of a recorded run to a world that a simulation can live in: how proxies, pages and machine behave.

Each proxy has the latencies and the rate of failure that were seen. How failures follow each other is learnt from all
proxies together: whether one that has just failed fails again, at once and after a rest. A proxy is dead when it has
failed for good; the chance of that is one figure, for used and for waiting proxies alike. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, median, quantiles
from typing import NamedTuple

from pinpool.errors import UsageError
from pinpool.journal.records import AttemptRow
from pinpool.model import Ending, Fault
from pinpool.tune.queueing import cycles, demand_at_full_load, wait_behind
from pinpool.tune.survival import Course, Survival, infer

#: With fewer good attempts nothing can be said of latencies.
LEAST_ATTEMPTS = 30
#: A proxy with fewer latencies of its own borrows those of the others.
OWN_LATENCIES = 20
KEPT_LATENCIES = 500
#: A worker rests for 0.75 to 1.25 times the pace: so much in the shortest twentieth of its rests.
SHORTEST_PACE = 0.775
#: One that comes later was started in place of a lost one.
LONGEST_BOOT = 0.1
#: An hour without an attempt is a run that was stopped and resumed: nobody saw what the proxies did.
STOPPED_SECONDS = 3600.0


class Failing(NamedTuple):
    """One failed attempt: its fault, and how long it took (seconds)."""

    fault: Fault
    seconds: float


class Habit(NamedTuple):
    """A living proxy: seconds of its good attempts, and how likely it fails after a good one, with what."""

    latencies: Sequence[float]
    failure: float
    failings: Sequence[Failing]


class Forest(NamedTuple):
    """The pages of a job: which stand at its start, and which pages each one asks for. Numbered from 0."""

    roots: Sequence[int]
    children: Mapping[int, Sequence[int]]
    lists: frozenset[int]
    pages: int


class Machine(NamedTuple):
    """
    Seconds a page: `wait` is shared with nobody, `demand` is what the scarcest of cores and parent is busy for at full
    load, and `mean` is a good attempt's latency as recorded, with `overhead` between it and the next. `boot` is by how
    much each worker starts later than the one before it.

    `cpu` is CPU seconds of all processes on `cores`, None if the journal tells none; memory is bytes.
    """

    wait: float
    demand: float
    mean: float
    overhead: float
    boot: float = 0.0
    cpu: float | None = None
    cores: float = 1
    own_memory: float | None = None
    worker_memory: float | None = None


class Workload(NamedTuple):
    """
    `again` is the chance to fail of a proxy that has just failed, `after_rest` of one that has rested since.
    `stillborn` is the share of proxies that never work, `hazard` the chance a second to die for good, and `deaths`
    how dead ones fail, of which about `lost` were seen. `page_failure` is the chance that an attempt fails by no
    proxy's doing, as in `page_failings`.
    """

    habits: Sequence[Habit]
    again: float
    after_rest: float
    stillborn: float
    hazard: float
    deaths: Sequence[Sequence[Failing]]
    page_failure: float
    page_failings: Sequence[Failing]
    lost: float = 0.0

    @property
    def mortal(self) -> bool:
        """Whether a proxy may be lost for good."""
        return bool(self.hazard or self.stillborn)


def observe(attempts: Iterable[AttemptRow], rests: Mapping[int, Sequence[float]]) -> Workload:
    """
    What the attempts of a run tell. `rests` are the epoch seconds at which each proxy (by id) was sent to rest, sorted.

    Raises UsageError if there are fewer than 30 good attempts.
    """
    rows = sorted((row for row in attempts if row.proxy is not None), key=lambda row: row.at)
    good = sum(row.ending != Ending.FAILED for row in rows)
    if good < LEAST_ATTEMPTS:
        raise UsageError(
            f"only {good} good attempts are recorded, and {LEAST_ATTEMPTS} are the least to learn from: "
            "crawl some more pages first, `pinpool crawl SPIDER -p PROXIES --limit 300` for instance"
        )
    clock = _working_time(rows)
    by_proxy: dict[int, list[AttemptRow]] = {row.proxy or 0: [] for row in rows}
    for row in rows:
        if not _is_blameless(row):
            by_proxy[row.proxy or 0].append(row)
    seen = [_seen(own, rests.get(proxy, ()), clock) for proxy, own in by_proxy.items() if own]
    told = infer([one.course for one in seen])
    # How the dead fail is seen at those that are surely dead; where nobody surely is, at the likeliest.
    surest = min(0.5, max(told.dead, default=0.0) / 2)
    blameless = [_failing(row) for row in rows if _is_blameless(row)]
    return Workload(
        habits=_habits(seen, told),
        again=told.again,
        after_rest=told.after_rest,
        stillborn=told.stillborn,
        hazard=told.hazard,
        deaths=[one.end for one, dead in zip(seen, told.dead, strict=True) if dead and dead >= surest],
        page_failure=len(blameless) / len(rows),
        page_failings=blameless,
        lost=sum(told.dead),
    )


def machine(
    attempts: Iterable[AttemptRow],
    *,
    workers: int,
    pace: float = 0.0,
    cpu: float | None = None,
    own_cpu: float = 0.0,
    queued: float = 0.0,
    seconds: float | None = None,
    cores: float = 1,
    own_memory: float | None = None,
    worker_memory: float | None = None,
) -> Machine:
    """
    What a page costs on this machine, learnt from a run with so many `workers` at most. `cpu` and `own_cpu` are CPU
    seconds a page of all processes and of the parent alone, `queued` what they waited for a core, and `seconds` how
    long the run took for each page when these were measured.

    Of a run with a `pace` (seconds) only the shortest gaps are taken, less what the pace asks for at least: the others
    are rests.
    """
    by_worker: dict[int, list[AttemptRow]] = {}
    for row in sorted(attempts, key=lambda row: row.at):
        by_worker.setdefault(row.worker, []).append(row)
    mean = fmean(row.seconds for own in by_worker.values() for row in own if row.ending != Ending.FAILED)
    overhead = _overhead(by_worker.values(), pace)
    cycle, asked = mean + overhead, 0.0 if cpu is None else max(cpu / cores, own_cpu)
    demand = demand_at_full_load(asked, min(1.0, asked / seconds) if seconds else 1.0)
    if pace or not seconds:
        # What workers do beside the pages, as to decline them, makes the CPU time of a page look larger than it is. But
        # the quicker attempts have met next to nobody.
        quick = quantiles(
            (row.seconds for own in by_worker.values() for row in own if row.ending != Ending.FAILED), n=4
        )[0]
        least = quick - min(quick / 2, max(0.0, (cpu or 0.0) - own_cpu))
        wait = max(least, cycle - queued - asked)
    else:
        # While the workers start they stand in each other's way; the CPU time was measured after that.
        cycle = min(cycle, workers * seconds)
        # By Little's law so many were busy; the others parked, or had no task.
        busy = max(1.0, cycle / seconds)
        wait = wait_behind(cycle, demand, busy, mean - ((cpu or 0.0) - own_cpu) - queued)
    firsts = sorted(own[0].at for own in by_worker.values())[: max(1, workers)]
    boot = (firsts[-1] - firsts[0]) / (len(firsts) - 1) if len(firsts) > 1 else 0.0
    return Machine(
        wait, demand, mean, overhead, min(boot, LONGEST_BOOT), cpu, cores, own_memory, worker_memory
    )


def _overhead(by_worker: Iterable[Sequence[AttemptRow]], pace: float) -> float:
    """Seconds between a good attempt of a worker and its next one, without its rests and without a lack of tasks."""
    gaps = [
        max(0.0, after.at - before.at - max(before.seconds, SHORTEST_PACE * pace))
        for own in by_worker
        for before, after in pairwise(own)
        if before.ending != Ending.FAILED
    ]
    if len(gaps) < 2:
        return 0.0
    if pace:
        return quantiles(gaps, n=20, method="inclusive")[0]
    usual = 10 * median(gaps)  # far beyond it, there was nothing to do
    return fmean(gap for gap in gaps if gap <= usual)


def delays(known: Machine, workers: int, pace: float = 0.0) -> list[float]:
    """
    By how many seconds a page differs from the recorded ones, by the number of busy workers up to `workers`: entry 0 is
    that of one. With a `pace` (seconds) they are resting in between, and out of each other's way.
    """
    rest = max(0.0, pace - known.wait - known.demand)
    table = cycles(known.wait + rest, known.demand, workers)
    return [cycle - rest - known.mean - known.overhead for cycle in table]


def stretch(known: Machine, delay: float) -> tuple[float, float]:
    """(factor, seconds more) for all that was recorded, so that a page takes `delay` longer; or less, if negative."""
    cycle = known.mean + known.overhead
    if delay >= 0.0 or not cycle:
        return 1.0, max(0.0, delay)
    return max(0.0, 1.0 + delay / cycle), 0.0


def forest(tree: Iterable[tuple[int, int | None, bool]], pages: int | None = None) -> Forest:
    """
    The pages of a run, from (id, parent, is a list page) of each task; with `pages` those of a job of another size: the
    same families as often as needed, a seed after another with all that it leads to, until there are so many pages.
    """
    rows = list(tree)
    wanted = len(rows) if pages is None else pages
    known = {task for task, _, _ in rows}
    offspring: dict[int | None, list[int]] = {}
    for task, parent, _ in rows:
        # A page is asked for by an earlier one: whatever else a journal may say makes no circles here.
        asker = parent if parent is not None and parent in known and parent < task else None
        offspring.setdefault(asker, []).append(task)
    recorded_lists = {task for task, _, is_list in rows if is_list}
    roots: list[int] = []
    children: dict[int, list[int]] = {}
    lists: set[int] = set()
    number = 0
    # A task of the record, and the number of the page that asks for it.
    waiting: list[tuple[int, int | None]] = []
    while number < wanted and rows:
        if not waiting:
            waiting = [(task, None) for task in reversed(offspring[None])]
        task, above = waiting.pop()
        (roots if above is None else children.setdefault(above, [])).append(number)
        if task in recorded_lists:
            lists.add(number)
        waiting += [(child, number) for child in reversed(offspring.get(task, ()))]
        number += 1
    return Forest(roots, children, frozenset(lists), number)


class _Seen(NamedTuple):
    """What was seen of one proxy: seconds of its good attempts, its failures before the last of them, and after it."""

    good: Sequence[float]
    lived: Sequence[Failing]
    end: Sequence[Failing]
    course: Course

    def failings(self, dead: float) -> list[Failing]:
        """Its failures in life, if it is dead with that chance."""
        return [*self.lived] if dead > 0.5 else [*self.lived, *self.end]


class _Kind(StrEnum):
    """What an attempt came after."""

    AFTER_GOOD = "after a good one, or first of all"
    AGAIN = "after a failed one"
    AFTER_REST = "after a failed one and a rest"


def _seen(rows: Sequence[AttemptRow], rests: Sequence[float], clock: Mapping[float, float]) -> _Seen:
    """What the attempts of one proxy, in order, tell of it; at least one is needed."""
    last = max((n for n, row in enumerate(rows) if row.ending != Ending.FAILED), default=-1)
    kinds = [_Kind.AFTER_GOOD, *(_kind(before, row, rests) for before, row in pairwise(rows))]
    lived, end = rows[: last + 1], rows[last + 1 :]
    seen = Counter(kinds[: last + 1])
    failed = Counter(kind for kind, row in zip(kinds, lived, strict=False) if row.ending == Ending.FAILED)
    course = Course(
        first=clock[rows[0].at],
        last_good=clock[rows[last].at] if lived else None,
        after_good=(failed[_Kind.AFTER_GOOD], seen[_Kind.AFTER_GOOD]),
        again=(failed[_Kind.AGAIN], seen[_Kind.AGAIN]),
        after_rest=(failed[_Kind.AFTER_REST], seen[_Kind.AFTER_REST]),
        ending=clock[end[0].at] if end else None,
        at_once=kinds[last + 1 :].count(_Kind.AGAIN),
        rested=kinds[last + 1 :].count(_Kind.AFTER_REST),
        fatal=any(row.fault == Fault.PROXY_AUTH for row in end),
    )
    return _Seen(
        [row.seconds for row in lived if row.ending != Ending.FAILED],
        [_failing(row) for row in lived if row.ending == Ending.FAILED],
        [_failing(row) for row in end],
        course,
    )


def _kind(before: AttemptRow, row: AttemptRow, rests: Sequence[float]) -> _Kind:
    if before.ending != Ending.FAILED:
        return _Kind.AFTER_GOOD
    place = bisect_left(rests, before.at)
    return _Kind.AFTER_REST if place < len(rests) and rests[place] <= row.at else _Kind.AGAIN


def _habits(seen: Sequence[_Seen], told: Survival) -> list[Habit]:
    """Of each proxy that has worked; one that has not says how proxies fail, not how they work."""
    common = _thinned([seconds for one in seen for seconds in one.good])
    failings = [one.failings(dead) for one, dead in zip(seen, told.dead, strict=True)]
    every = [failing for own in failings for failing in own]
    return [
        Habit(_thinned(one.good) if len(one.good) >= OWN_LATENCIES else common, rate, own or every)
        for one, own, rate in zip(seen, failings, told.failure, strict=True)
        if one.good
    ]


def _working_time(rows: Sequence[AttemptRow]) -> dict[float, float]:
    """Seconds of the run by epoch seconds, the pauses between a stop and a resume left out."""
    clock: dict[float, float] = {}
    skipped = rows[0].at
    for before, row in pairwise((rows[0], *rows)):
        if row.at - before.at - before.seconds > STOPPED_SECONDS:
            skipped += row.at - before.at - before.seconds
        clock[row.at] = row.at - skipped
    return clock


def _is_blameless(row: AttemptRow) -> bool:
    """A failure that the run itself held against no proxy, or no longer does."""
    return row.ending == Ending.FAILED and (not row.charged or row.forgiven)


def _failing(row: AttemptRow) -> Failing:
    return Failing(_fault(row), row.seconds)


def _fault(row: AttemptRow) -> Fault:
    try:
        return Fault(row.fault or "")
    except ValueError:
        return Fault.RESET  # of a newer pinpool, perhaps: an open question


def _thinned(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    if len(ordered) <= KEPT_LATENCIES:
        return ordered
    step = len(ordered) / KEPT_LATENCIES
    return [ordered[int((n + 0.5) * step)] for n in range(KEPT_LATENCIES)]
