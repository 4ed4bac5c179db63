"""
From the attempts of a recorded run to a world that a simulation can live in: how proxies, pages and machine behave.

Each proxy has the latencies and the rate of failure that were seen. How failures follow each other is learnt from all
proxies together: whether one that has just failed fails again, at once and after a rest. A proxy is dead when it has
failed for good; the chance of that is one figure, for used and for waiting proxies alike. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median, quantiles
from typing import NamedTuple

from pinpool.capacity import cycles
from pinpool.errors import UsageError
from pinpool.faults import CHARGES
from pinpool.model import Charge, Ending, Fault
from pinpool.stats import AttemptRow

__all__ = [
    "LEAST_ATTEMPTS",
    "Failing",
    "Forest",
    "Habit",
    "Machine",
    "World",
    "delays",
    "forest",
    "machine",
    "observe",
]

#: With fewer good attempts nothing can be said of latencies.
LEAST_ATTEMPTS = 30
#: A proxy's own rate of failure weighs against that of all as if all had been seen so often.
PRIOR = 10
#: A proxy with fewer latencies of its own borrows those of the others.
OWN_LATENCIES = 20
KEPT_LATENCIES = 500
#: A worker rests for 0.75 to 1.25 times the pace: so much in the shortest twentieth of its rests.
SHORTEST_PACE = 0.775
#: One that comes later was started in place of a lost one.
LONGEST_BOOT = 0.1
#: An hour without an attempt is a run that was stopped and resumed: nobody saw what the proxies did.
STOPPED_SECONDS = 3600.0

_TO_PROXY = (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)


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
    Seconds a page: `wait` is shared with nobody, `demand` is what the scarcest of cores and parent is busy for, and
    `mean` is a good attempt's latency as recorded, with `overhead` between it and the next. `boot` is by how much each
    worker starts later than the one before it.

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


class World(NamedTuple):
    """
    `again` is the chance to fail of a proxy that has just failed, `after_rest` of one that has rested since.
    `stillborn` is the share of proxies that never work, `hazard` the chance a second to die for good, and `deaths`
    how dead ones fail. `page_failure` is the chance that an attempt fails by no proxy's doing, as in `page_failings`.
    """

    habits: Sequence[Habit]
    again: float
    after_rest: float
    stillborn: float
    hazard: float
    deaths: Sequence[Sequence[Failing]]
    page_failure: float
    page_failings: Sequence[Failing]


class _Life(NamedTuple):
    """What was seen of one proxy. Times are seconds since the first attempt of the run; `died` None while it lives."""

    first: float
    last_good: float | None
    died: float | None
    weight: float  # how sure its death is, 0 to 1
    end: Sequence[Failing]


def observe(attempts: Iterable[AttemptRow], rests: Mapping[int, Sequence[float]]) -> World:
    """
    What the attempts of a run tell. `rests` are the epoch seconds at which each proxy (by id) was sent to rest, sorted.

    Raises UsageError if there are fewer than 30 good attempts.
    """
    rows = sorted((row for row in attempts if row.proxy is not None), key=lambda row: row.at)
    good = [row.seconds for row in rows if row.ending != Ending.FAILED]
    if len(good) < LEAST_ATTEMPTS:
        raise UsageError(
            f"only {len(good)} good attempts are recorded, and {LEAST_ATTEMPTS} are the least to learn from: "
            "crawl some more pages first, `pinpool crawl SPIDER -p PROXIES --limit 300` for instance"
        )
    clock = _working_time(rows)
    by_proxy: dict[int, list[AttemptRow]] = {}
    for row in rows:
        by_proxy.setdefault(row.proxy or 0, []).append(row)
    lives, counts = _lives(by_proxy, rests, clock), _Counts()
    for proxy, own in by_proxy.items():
        life = lives[proxy]
        counts.add(
            [row for row in own if not (life.weight >= 0.5 and _is_in(row, life, clock))],
            rests.get(proxy, ()),
        )
    stillborn, hazard = _mortality(list(lives.values()))
    blameless = [row for row in rows if _is_blameless(row)]
    return World(
        habits=_habits(by_proxy, counts, good),
        again=_rate(*counts.again),
        after_rest=_rate(*counts.after_rest),
        stillborn=stillborn,
        hazard=hazard,
        deaths=[life.end for life in lives.values() if life.weight and life.end],
        page_failure=len(blameless) / len(rows),
        page_failings=[_failing(row) for row in blameless],
    )


def machine(
    attempts: Iterable[AttemptRow],
    *,
    workers: int,
    pace: float = 0.0,
    cpu: float | None = None,
    own_cpu: float = 0.0,
    queued: float = 0.0,
    cores: float = 1,
    own_memory: float | None = None,
    worker_memory: float | None = None,
) -> Machine:
    """
    What a page costs on this machine, learnt from a run with so many `workers`. `cpu` and `own_cpu` are CPU seconds
    a page of all processes and of the parent alone, `queued` what they waited for a core. Of a run with a `pace`
    (seconds) only the shortest gaps are taken, less what the pace asks for at least: the others are rests.
    """
    by_worker: dict[int, list[AttemptRow]] = {}
    for row in sorted(attempts, key=lambda row: row.at):
        by_worker.setdefault(row.worker, []).append(row)
    good = [row.seconds for own in by_worker.values() for row in own if row.ending != Ending.FAILED]
    gaps = [
        max(0.0, after.at - before.at - max(before.seconds, SHORTEST_PACE * pace))
        for own in by_worker.values()
        for before, after in pairwise(own)
        if before.ending != Ending.FAILED
    ]
    if len(gaps) < 2:
        overhead = 0.0
    elif pace:
        overhead = quantiles(gaps, n=20)[0]
    else:
        # A gap far beyond the usual is a lack of tasks.
        usual = 10 * median(gaps)
        overhead = fmean(gap for gap in gaps if gap <= usual)
    mean = fmean(good)
    demand = 0.0 if cpu is None else max(cpu / cores, own_cpu)
    # What it waited for a core is no part of the wait that it shares with nobody.
    wait = max(0.0, mean + overhead - queued - demand)
    firsts = sorted(own[0].at for own in by_worker.values())[: max(1, workers)]
    boot = (firsts[-1] - firsts[0]) / (len(firsts) - 1) if len(firsts) > 1 else 0.0
    return Machine(
        wait, demand, mean, overhead, min(boot, LONGEST_BOOT), cpu, cores, own_memory, worker_memory
    )


def delays(known: Machine, workers: int, pace: float = 0.0) -> list[float]:
    """
    By how many seconds a page differs from the recorded ones, by the number of busy workers up to `workers`: entry 0 is
    that of one. With a `pace` (seconds) they are resting in between, and out of each other's way.
    """
    rest = max(0.0, pace - known.wait - known.demand)
    table = cycles(known.wait + rest, known.demand, workers)
    return [cycle - rest - known.mean - known.overhead for cycle in table]


def forest(tree: Iterable[tuple[int, int | None, bool]], pages: int | None = None) -> Forest:
    """
    The pages of a run, from (id, parent, is a list page) of each task; with `pages` those of a job of another size:
    the same pages as often as needed, of which so many are done.
    """
    rows = list(tree)
    wanted = pages or len(rows)
    number = {task: n for n, (task, _, _) in enumerate(rows)}
    roots: list[int] = []
    children: dict[int, list[int]] = {}
    lists: set[int] = set()
    for start in range(0, wanted, len(rows)):
        for n, (_, parent, is_list) in enumerate(rows, start):
            if parent is None or parent not in number:
                roots.append(n)
            else:
                children.setdefault(start + number[parent], []).append(n)
            if is_list:
                lists.add(n)
    return Forest(roots, children, frozenset(lists), wanted)


class _Counts:
    """How often a proxy that had done well, had failed, or had failed and rested, failed next: (failed, all)."""

    def __init__(self) -> None:
        self.after_good: dict[int, tuple[int, int]] = {}
        self.again = (0, 0)
        self.after_rest = (0, 0)
        self.failings: dict[int, list[Failing]] = {}

    def add(self, rows: Sequence[AttemptRow], rests: Sequence[float]) -> None:
        """Count the attempts of one proxy, those after its death left out."""
        before: AttemptRow | None = None
        for row in rows:
            if _is_blameless(row):
                continue
            proxy, failed = row.proxy or 0, row.ending == Ending.FAILED
            if failed:
                self.failings.setdefault(proxy, []).append(_failing(row))
            if before is None or before.ending != Ending.FAILED:
                fails, all_ = self.after_good.get(proxy, (0, 0))
                self.after_good[proxy] = (fails + failed, all_ + 1)
            elif _rested(before, row, rests):
                self.after_rest = (self.after_rest[0] + failed, self.after_rest[1] + 1)
            else:
                self.again = (self.again[0] + failed, self.again[1] + 1)
            before = row


def _habits(
    by_proxy: Mapping[int, Sequence[AttemptRow]], counts: _Counts, good: Sequence[float]
) -> list[Habit]:
    fails = sum(one for one, _ in counts.after_good.values())
    seen = sum(all_ for _, all_ in counts.after_good.values())
    overall = fails / seen if seen else 0.0
    every = [failing for own in counts.failings.values() for failing in own]
    common = _thinned(good)
    habits = []
    for proxy, rows in by_proxy.items():
        own = [row.seconds for row in rows if row.ending != Ending.FAILED]
        if not own:
            continue  # it says how proxies fail, not how they work
        failed, all_ = counts.after_good.get(proxy, (0, 0))
        latencies = _thinned(own) if len(own) >= OWN_LATENCIES else common
        rate = (failed + PRIOR * overall) / (all_ + PRIOR)
        habits.append(Habit(latencies, rate, counts.failings.get(proxy, every)))
    return habits


def _lives(
    by_proxy: Mapping[int, Sequence[AttemptRow]],
    rests: Mapping[int, Sequence[float]],
    clock: Mapping[float, float],
) -> dict[int, _Life]:
    """
    Who has died. A proxy whose last failures go on beyond a rest is dead; of those whose rest nobody has seen the end
    of, as many as of those whose end was seen.
    """
    verdicts: dict[int, str] = {}
    recovered = 0
    for proxy, rows in by_proxy.items():
        own = [row for row in rows if not _is_blameless(row)]
        last = [n for n, row in enumerate(own) if row.ending != Ending.FAILED]
        tail = own[last[-1] + 1 :] if last else own
        mine = rests.get(proxy, ())
        recovered += sum(
            before.ending == Ending.FAILED and after.ending != Ending.FAILED and _rested(before, after, mine)
            for before, after in pairwise(own)
        )
        if not tail:
            verdicts[proxy] = "alive"
        elif any(_rested(before, after, mine) for before, after in pairwise(tail)):
            verdicts[proxy] = "dead"
        elif mine and mine[-1] >= tail[-1].at:
            verdicts[proxy] = "retired" if tail[-1].fault == Fault.PROXY_AUTH else "resting"
        else:
            verdicts[proxy] = "alive"
    dead = sum(verdict == "dead" for verdict in verdicts.values())
    doubt = dead / (dead + recovered) if dead + recovered else 1.0
    weights = {"alive": 0.0, "dead": 1.0, "retired": 1.0, "resting": doubt}
    return {
        proxy: _life([row for row in rows if not _is_blameless(row)] or rows, weights[verdicts[proxy]], clock)
        for proxy, rows in by_proxy.items()
    }


def _life(rows: Sequence[AttemptRow], weight: float, clock: Mapping[float, float]) -> _Life:
    good = [n for n, row in enumerate(rows) if row.ending != Ending.FAILED]
    tail = rows[good[-1] + 1 :] if good else rows
    last = clock[rows[good[-1]].at] + rows[good[-1]].seconds if good else None
    died = None
    if weight and tail:
        # Between its last page and its first failure; nobody saw the moment.
        died = clock[tail[0].at] if last is None else (last + max(last, clock[tail[0].at])) / 2
    return _Life(clock[rows[0].at], last, died, weight, [_failing(row) for row in tail])


def _mortality(lives: Sequence[_Life]) -> tuple[float, float]:
    """
    The share that never worked, and the chance a second to die, by expectation and maximisation: of a proxy that failed
    at its first use, late in a run, nobody knows whether it had ever worked.
    """
    died = sum(life.weight for life in lives if life.last_good is not None and life.died is not None)
    lived = sum(
        (life.died if life.died is not None and life.weight >= 1 else life.last_good) or 0.0
        for life in lives
        if life.last_good is not None
    )
    unseen = [life for life in lives if life.last_good is None and life.weight]
    known = sum(life.last_good is not None for life in lives) + len(unseen)
    stillborn, hazard = len(unseen) / known if known else 0.0, died / lived if lived else 0.0
    for _ in range(100):
        born_dead = exposed = died_unseen = 0.0
        for life in unseen:
            by_then = 1.0 - math.exp(-hazard * life.first)
            total = stillborn + (1.0 - stillborn) * by_then
            share = stillborn / total if total else 1.0
            born_dead += life.weight * share
            died_unseen += life.weight * (1.0 - share)
            exposed += life.weight * (1.0 - share) * _mean_age(hazard, life.first)
        stillborn = born_dead / known if known else 0.0
        hazard = (died + died_unseen) / (lived + exposed) if lived + exposed else 0.0
    return stillborn, hazard


def _mean_age(hazard: float, by: float) -> float:
    """The mean age at death of those that die at this rate before the age `by`."""
    span = hazard * by
    return by / 2 if span < 1e-6 else (1.0 - span / math.expm1(span)) / hazard


def _working_time(rows: Sequence[AttemptRow]) -> dict[float, float]:
    """Seconds of the run by epoch seconds, the pauses between a stop and a resume left out."""
    clock, skipped = {}, rows[0].at
    for before, row in pairwise((rows[0], *rows)):
        if row.at - before.at - before.seconds > STOPPED_SECONDS:
            skipped += row.at - before.at - before.seconds
        clock[row.at] = row.at - skipped
    return clock


def _is_in(row: AttemptRow, life: _Life, clock: Mapping[float, float]) -> bool:
    """Whether the proxy had died by then."""
    return row.ending == Ending.FAILED and clock[row.at] >= (life.last_good or 0.0)


def _rested(before: AttemptRow, after: AttemptRow, rests: Sequence[float]) -> bool:
    place = bisect_left(rests, before.at)
    return place < len(rests) and rests[place] <= after.at


def _is_blameless(row: AttemptRow) -> bool:
    return row.ending == Ending.FAILED and CHARGES[_fault(row)] not in _TO_PROXY


def _failing(row: AttemptRow) -> Failing:
    return Failing(_fault(row), row.seconds)


def _fault(row: AttemptRow) -> Fault:
    try:
        return Fault(row.fault or "")
    except ValueError:
        return Fault.RESET  # of a newer pinpool, perhaps: an open question


def _rate(failed: int, seen: int) -> float:
    # Half a case of each kind, so that neither is impossible because it was not seen.
    return (failed + 0.5) / (seen + 1)


def _thinned(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    if len(ordered) <= KEPT_LATENCIES:
        return ordered
    step = len(ordered) / KEPT_LATENCIES
    return [ordered[int((n + 0.5) * step)] for n in range(KEPT_LATENCIES)]
