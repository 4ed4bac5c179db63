"""
What a page costs when workers share a machine: mean value analysis of a closed queue with one station. Pure.

A worker's page is a wait that it shares with nobody (the network, mostly) and a demand on whatever is scarcest: the
cores together, or the one parent process. Time-sharing makes the mean depend on nothing but these two figures, so that
the recursion is exact for it; no simulated event is needed for a figure that has a formula.
"""

from __future__ import annotations

__all__ = ["cycles"]


def cycles(wait: float, demand: float, workers: int) -> list[float]:
    """
    Seconds from one page of a worker to its next, by the number of workers that are busy: entry n is for n of them,
    entry 0 is that of one. `wait` and `demand` are seconds a page; `demand` is for the station as a whole.
    """
    found, queue = [wait + demand], 0.0
    for busy in range(1, workers + 1):
        response = demand * (1.0 + queue)
        cycle = wait + response
        queue = busy * response / cycle if cycle else 0.0
        found.append(cycle)
    return found
