"""
How many workers: the thresholds and words that the advice after a run and `pinpool tune` share, and that advice. Pure.
"""

import math
from collections.abc import Mapping
from typing import Any

from pinpool.pool.registry import where_it_runs
from pinpool.stats.capacity import ADVISED, with_threads
from pinpool.stats.resources import Usage, Utilization
from pinpool.text import byte_size, counted

#: Share of the machine's cores from which on they are the limit. The rest is lost in switching.
BUSY = 0.85
#: Workers that wait for more than this share of their time are too many, or something holds them back.
WAITING = 0.15
#: Two speeds this close are the same: two runs alike differ as much.
NOISE = 0.03
#: Bytes of a run from which on less would be welcome.
MUCH_MEMORY = 400_000_000
#: A shorter run shows nothing.
LEAST_PAGES, LEAST_SECONDS = 50, 3.0


def cores_text(load: float) -> str:
    """That the cores are the limit, in words. `load` is the share of them that is used."""
    return f"this machine's cores are {load:.0%} busy"


def advice_after(
    document: Mapping[str, Any], utilization: Utilization | None, used: Usage | None, address: str | None = None
) -> str:
    """
    What a run teaches about its workers, in a line: their engine, number and memory. Empty if it was too short.
    `address` is that of its cluster, if it had one.
    """
    where = where_it_runs(document["run"]["engine"])
    if where == "caller":  # one page at a time says nothing about any number
        return inline_advice(document)
    if utilization is None:
        return ""
    if where == "hosts":  # what was used here says nothing about them
        sentence = advise(document, utilization, None)
        alone = "all hosts were this machine: --engine processes does the same" if sentence and not address else ""
        return "; ".join(filter(None, (sentence, alone)))
    sentence = advise(document, utilization, used.load if used else None)
    memory = memory_advice(used.tree_memory, used.workers, used.threads) if used else ""
    return "; ".join(filter(None, (sentence, memory)))


def inline_advice(document: Mapping[str, Any]) -> str:
    """That a run which was long enough should not be inline; empty if it was short, or has no use for more."""
    run, rows = document["run"], document["proxies"]
    at_once = min(run["workers"], sum(row["state"] != "retired" for row in rows))
    if run["pages"] < LEAST_PAGES or run["seconds"] < LEAST_SECONDS or at_once < 2:
        return ""
    return f"inline reads one page at a time: --engine processes would read {at_once} at a time"


def memory_advice(memory: int, workers: int, threads: int) -> str:
    """That workers should share processes, with the figures; empty if they do already, or take little. Bytes."""
    if threads > 1 or memory < MUCH_MEMORY:
        return ""
    took, would = byte_size(memory), byte_size(with_threads(memory, workers))
    return f"{counted(workers, 'worker')} took {took} of memory: with --threads {ADVISED} it would be about {would}"


def advise(document: Mapping[str, Any], utilization: Utilization, load: float | None) -> str:
    """
    One sentence on the number of workers, empty if the run was too short for any.

    `document` is that of `pinpool stats --json`, `utilization` that of the last start, and `load` the share of the
    cores that it used, None if that is not known.
    """
    rows = document["proxies"]
    seconds, present = utilization.seconds, utilization.present
    if document["run"]["pages"] < LEAST_PAGES or seconds < LEAST_SECONDS or not present:
        return ""
    workers = round(present / seconds)
    running, pacing, parked = (
        share / present for share in (utilization.running, utilization.pacing, utilization.parked)
    )
    if load is not None and load >= BUSY:
        at_work = max(1, math.ceil(utilization.running / seconds))
        return f"{cores_text(load)} at {counted(at_work, 'worker')}: more would not be faster"
    used = f"{counted(workers, 'worker')} on {counted(len(rows), 'proxy', 'proxies')}"
    if parked >= WAITING:
        enough = max(1, workers - math.floor(utilization.parked / seconds))
        return (
            f"{used}: they waited for a proxy {parked:.0%} of the time; "
            f"{counted(enough, 'worker')} would have been as fast, or a longer list faster"
        )
    unused = sum(not row["attempts"] for row in rows)
    usable = sum(row["state"] != "retired" for row in rows)
    # One proxy in ten stays in reserve for those that will fail.
    better = max(workers, min(usable - math.ceil(usable / 10), workers + unused))
    gain = 1 - workers / better if better else 0.0
    if pacing >= WAITING and gain <= NOISE:
        return (
            f"{used}: they waited for their turn {pacing:.0%} of the time; "
            "the pace sets the speed: only a shorter one, or more proxies, make it faster"
        )
    idle = 1.0 - running - pacing - parked
    if idle > 2 * WAITING:
        enough = max(1, math.ceil((utilization.running + utilization.pacing) / seconds * 1.1))
        if enough < workers:
            return (
                f"{used}: they had nothing to do {idle:.0%} of the time; "
                f"{counted(enough, 'worker')} would have been as fast"
            )
    did = "worked or waited for their turn" if pacing >= WAITING else "were at work"
    worked = f"{used} {did} {running + pacing:.0%} of the time"
    if gain > NOISE:
        spares = counted(unused, "spare proxy was", "spare proxies were")
        return f"{worked}; {spares} never used: {counted(better, 'worker')} would finish {gain:.0%} sooner"
    return f"{worked}: as many as this list feeds"
