"""
What a page costs when workers share a machine: mean value analysis of a closed queue with one station. Pure.

A page needs a wait that it shares with nobody (mostly the network), and a demand on whatever is scarcest: all cores
together, or the one parent process. With time-sharing the mean depends on these two figures alone, so that the
recursion is exact. Only the demand changes a little with the load, see `IDLE`.
"""

from __future__ import annotations

#: A page costs up to 40 % more CPU time on an idle core, in proportion to how idle it is: processes have to be woken,
#: and caches are cold. Pages of 20 ms on one core took 2.7 ms of it with the core 22 % busy, 2.4 with 40 %, 2.2 with
#: 68 % and 2.0 from 93 % on: crawls as in tests/benchmarks/model_check.py.
IDLE = 0.4
#: The load follows from the demand, and the demand from the load: after four rounds both are steady.
ROUNDS = 4
#: Halvings of an interval.
HALVINGS = 50


def cycles(wait: float, demand: float, workers: int) -> list[float]:
    """
    Seconds from one page of a worker to its next, by the number of busy workers: entry n is for n of them, entry 0 is
    that of one. `wait` and `demand` are seconds a page; `demand` is that of the whole station at full load.
    """
    found: list[float] = []
    queue = load = 0.0
    for busy in range(1, workers + 1):
        for _ in range(ROUNDS):
            service = demand * (1.0 + IDLE * (1.0 - load))
            response = service * (1.0 + queue)
            cycle = wait + response
            load = min(1.0, busy * service / cycle) if cycle else 0.0
        queue = busy * response / cycle if cycle else 0.0
        found.append(cycle)
    return [*found[:1], *found]


def demand_at_full_load(demand: float, load: float) -> float:
    """The demand of a page at full load, if it is `demand` at this `load`, from 0 to 1."""
    return demand / (1.0 + IDLE * (1.0 - load))


def wait_from(cycle: float, demand: float, busy: float, alone: float) -> float:
    """
    The wait that follows from a `cycle` with `busy` workers on average: the inverse of `cycles`.

    At a busy station the cycle is as long as the queue and hardly depends on the wait. The less it does, the more
    counts `alone`: what an attempt takes beyond its CPU time and its queueing.
    """
    low, high = 0.0, cycle
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _cycle(middle, demand, busy) > cycle else (middle, high)
    step = cycle / 100
    weight = (_cycle(low + step, demand, busy) - _cycle(low, demand, busy)) / step if step else 1.0
    weight = min(1.0, max(0.0, weight))
    return weight * low + (1.0 - weight) * max(0.0, alone)


def _cycle(wait: float, demand: float, busy: float) -> float:
    """The cycle of a number of workers that need not be whole."""
    below = max(1, int(busy))
    table = cycles(wait, demand, below + 1)
    return table[below] + max(0.0, busy - below) * (table[below + 1] - table[below])
