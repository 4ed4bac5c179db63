"""
What a page costs when workers share a machine: learnt from a run, and predicted for other numbers of workers. Pure.

It is mean value analysis of a closed queue with one station. A page needs a wait that it shares with nobody (mostly the
network), and a demand on whatever is scarcest: all cores together, or the one parent process. With time-sharing the
mean depends on these two figures alone. Only the demand changes a little with the load, see `IDLE`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean, quantiles
from typing import NamedTuple

from pinpool.journal.records import AttemptRow
from pinpool.model import Ending
from pinpool.stats.resources import Usage

#: A worker rests for 0.75 to 1.25 times the pace. The shortest twentieth of its rests is this share of it on average.
SHORTEST_PACE = 0.7625
#: A page costs up to 40 % more CPU time on an idle core, in proportion to how idle it is: processes have to be woken,
#: and caches are cold. Pages of 20 ms on one core took 2.7 ms of it with the core 22 % busy, 2.4 with 40 %, 2.2 with
#: 68 % and 2.0 from 93 % on: crawls as in tests/benchmarks/model_check.py.
IDLE = 0.4


class Machine(NamedTuple):
    """
    Seconds a page: `wait` is shared with nobody, `demand` is what the scarcest of cores and parent is busy for at full
    load, `mean` a good attempt's latency as recorded, `overhead` what follows it, `boot` between the starts of two
    workers, `cpu` the CPU time of all processes. `last` is what the last start used.
    """

    wait: float
    demand: float
    mean: float
    overhead: float
    boot: float = 0.0
    cpu: float = 0.0
    last: Usage | None = None

    def stretches(self, workers: int, pace: float = 0.0) -> list[float]:
        """
        What becomes of all recorded times, as factors by the number of busy workers up to `workers`; entry 0 is that of
        one. With a `pace` (seconds) they rest in between, and are out of each other's way.
        """
        rest = max(0.0, pace - self.wait - self.demand)
        recorded = (self.mean + self.overhead) or 1e-9
        return [(cycle - rest) / recorded for cycle in cycles(self.wait + rest, self.demand, workers)]


def machine(
    attempts: Iterable[AttemptRow], measured: Sequence[Usage] = (), *, workers: int, pace: float = 0.0
) -> Machine:
    """
    What a page costs, learnt from a run with at most `workers` workers. `measured` is what its starts have used. Of a
    run with a `pace` (seconds) only the shortest gaps count, less what the pace asks for: the others are rests.
    """
    by_worker: dict[int, list[AttemptRow]] = {}
    for row in sorted(attempts, key=lambda row: row.at):
        by_worker.setdefault(row.worker, []).append(row)
    good = [row.seconds for own in by_worker.values() for row in own if row.ending != Ending.FAILED]
    mean, overhead = fmean(good), _overhead(by_worker.values(), pace)
    cycle = mean + overhead
    last = measured[-1] if measured else None
    pages = sum(used.pages for used in measured) or 1
    seconds, cpu, own_cpu, queued = (
        sum(getattr(used, name) for used in measured) / pages for name in ("seconds", "tree_cpu", "own_cpu", "queued")
    )
    asked = max(cpu / last.cores, own_cpu) if last else 0.0
    load = min(1.0, asked / seconds) if seconds else 1.0
    demand = asked / (1.0 + IDLE * (1.0 - load))
    if pace or not seconds:
        # Workers do more than fetch pages, they decline tasks for instance, so that the CPU time of a page looks larger
        # than it is. But the quicker attempts have met hardly any other.
        quick = quantiles(good, n=4)[0]
        wait = max(quick - min(quick / 2, max(0.0, cpu - own_cpu)), cycle - queued - asked)
    else:
        # Workers that start hold each other up; the CPU time was measured after that.
        cycle = min(cycle, workers * seconds)
        # By Little's law. The other workers were parked, or had no task.
        busy = max(1.0, cycle / seconds)
        # What an attempt takes beyond its CPU time and its queueing, corrected by how far the cycle that follows is
        # from the recorded one. At a busy station the cycle hardly depends on the wait: two steps correct it little.
        wait = max(0.0, mean - (cpu - own_cpu) - queued)
        for _ in range(2):
            *_, below, above = cycles(wait, demand, int(busy) + 1)
            wait = max(0.0, wait + cycle - below - (busy - int(busy)) * (above - below))
    firsts = sorted(own[0].at for own in by_worker.values())[: max(1, workers)]
    boot = (firsts[-1] - firsts[0]) / max(1, len(firsts) - 1)
    # A worker that starts later replaces a lost one.
    return Machine(wait, demand, mean, overhead, min(boot, 0.1), cpu, last)


def _overhead(by_worker: Iterable[Sequence[AttemptRow]], pace: float) -> float:
    """Seconds between a good attempt of a worker and its next one, without its rests and without a lack of tasks."""
    pairs = (pair for own in by_worker for pair in pairwise(own) if pair[0].ending != Ending.FAILED)
    gaps = sorted(max(0.0, row.at - before.at - max(before.seconds, SHORTEST_PACE * pace)) for before, row in pairs)
    if not gaps:
        return 0.0
    # Far longer gaps than usual are a lack of tasks, and with a pace all but the shortest are rests.
    longest = gaps[len(gaps) // 20] if pace else 10 * gaps[len(gaps) // 2]
    return fmean(gap for gap in gaps if gap <= longest)


def cycles(wait: float, demand: float, workers: int) -> list[float]:
    """
    Seconds from one page of a worker to its next, by the number of busy workers; entry 0 is that of one. `wait` and
    `demand` are seconds a page; `demand` is that of the whole station at full load.
    """
    found: list[float] = []
    queue = load = 0.0
    for busy in range(1, workers + 1):
        # The load follows from the demand, and the demand from the load: soon both are steady.
        for _ in range(4):
            response = demand * (1.0 + IDLE * (1.0 - load)) * (1.0 + queue)
            cycle = wait + response
            load = min(1.0, busy * response / (1.0 + queue) / cycle) if cycle else 0.0
        queue = busy * response / cycle if cycle else 0.0
        found.append(cycle)
    return [*found[:1], *found]
