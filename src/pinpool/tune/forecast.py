"""
What a recorded job would do with other numbers of workers and proxies, or other rules: simulated often enough, and
counted. Nothing is written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

from pinpool.settings import settings_from
from pinpool.stats.histogram import wilson
from pinpool.text import counted
from pinpool.tune.queueing import stretches
from pinpool.tune.recording import Recording, learn
from pinpool.tune.result import ENOUGH, Result, Row, recommend
from pinpool.tune.simulator import Crawled, Simulation

#: Crawls simulated for a row where no proxy is ever lost; one in which all end alike; and any other. A share of 400 is
#: known to 5 points, one of 60 to 13.
CALM_CRAWLS, ALIKE_CRAWLS, MOST_CRAWLS = 4, 60, 400
#: They end earlier if they take long, by `_cost`, but there are never fewer than this; even fewer if they take minutes.
EFFORT, LEAST_CRAWLS = 1_000_000, 12
MOST_EFFORT, FEWEST_CRAWLS = 10_000_000, 3
#: Crawls by which a number of spare proxies is judged, the effort for the whole search, and the largest number tried.
SPARE_CRAWLS, SEARCH_EFFORT, MOST_SPARES = 60, 15_000_000, 2_000


def forecast(
    journal: str | Path,
    *,
    sizes: Sequence[int] | None = None,
    proxies: int | None = None,
    pages: int | None = None,
    changed: Mapping[str, object],
    seed: int,
    progress: Callable[[str], None],
) -> Result:
    """
    Simulate the job of a journal. What is None is as in the recorded run; `changed` holds the settings that differ.
    `progress` gets a few words at each step, and an empty text at the end.

    Raises SettingsError before anything is read, JournalError, and UsageError if too little is recorded.
    """
    settings_from(changed)
    recording = learn(journal).changed(pages, changed)
    listed = proxies or recording.proxies
    rows = []
    for size in sizes or default_sizes(listed, recording.workers if proxies is None else 1):
        progress(f"simulating {counted(size, 'worker')}")
        rows.append(predict(recording, size, proxies=listed, seed=seed))
    progress("looking for the number of spare proxies")
    recommendation = recommend(rows)
    spares = spares_needed(recording, recommendation.workers, seed=seed)
    progress("")
    return Result(listed, rows, recommendation, recording.job.pages, spares, [*recording.notes])


def default_sizes(proxies: int, recorded: int) -> list[int]:
    """Numbers of workers to look at: 1, 2, 3, 4, 6, 8, 12 and so on up to one for each proxy, and the recorded one."""
    sizes, step = {proxies, recorded}, 1
    while step < proxies:
        sizes |= {step, step * 3 // 2}
        step *= 2
    return sorted(size for size in sizes if 0 < size <= max(proxies, recorded))


def predict(recording: Recording, workers: int, *, proxies: int, seed: int) -> Row:
    """The figures for one number of workers."""
    crawls = list(_crawls(recording, workers, proxies, seed))
    workload, machine, pace = recording.workload, recording.machine, recording.settings.pace
    speed = fmean(crawled.pages / crawled.seconds if crawled.seconds else 0.0 for crawled in crawls)
    lasted = [crawled.seconds for crawled in crawls if crawled.lasted]
    # Where no proxy is ever lost the chance is certain.
    certain = len(lasted) == len(crawls) and not (
        workload.survival.loses_proxies or any(crawled.retired for crawled in crawls)
    )
    low, high = (1.0, 1.0) if certain else wilson(len(lasted), len(crawls))
    table = stretches(machine, workers, pace)
    (alone_factor, alone_more), (factor, more) = table[0], table[min(workers, proxies)]
    alone = max((machine.mean + machine.overhead) * alone_factor + alone_more, pace, 1e-9)
    latencies = workload.latencies
    attempts = sum(crawled.attempts for crawled in crawls)
    used, cpu, memory = machine.last, None, None
    if used is not None:
        cpu = min(1.0, speed * machine.cpu / used.cores)
        each = (used.tree_memory - used.own_memory) / max(1, used.workers)
        memory = (used.own_memory + workers * each) / 1e6
    return Row(
        workers=workers,
        pages_per_second=speed,
        of_ideal=speed * alone / workers,
        seconds=median(lasted) if lasted else None,
        latency_p50=latencies[len(latencies) // 2] * factor + more,
        latency_p95=latencies[int(len(latencies) * 0.95)] * factor + more,
        fault_rate=sum(crawled.faults for crawled in crawls) / attempts if attempts else 0.0,
        cpu=cpu,
        rss_mb=memory,
        spares=max(0, proxies - workers),
        parked=fmean(crawled.parked for crawled in crawls),
        survival=len(lasted) / len(crawls),
        survival_from=low,
        survival_to=high,
    )


def spares_needed(
    recording: Recording,
    workers: int,
    *,
    seed: int,
    progress: Callable[[int], None] = lambda spares: None,
) -> int | None:
    """
    About the fewest spare proxies, besides one for each worker, with which the list lasts in 95 of 100 crawls. None if
    that takes long to find out, as for a list that dies away, or if not even 2,000 are enough. `progress` gets each
    number that is tried.
    """
    spent = 0

    def lasts(spares: int) -> bool:
        nonlocal spent
        progress(spares)
        lost = number = 0
        for crawled in _crawls(recording, workers, workers + spares, seed, most=SPARE_CRAWLS):
            number += 1
            lost += not crawled.lasted
            spent += _cost(crawled, workers + spares)
            if lost > SPARE_CRAWLS * (1 - ENOUGH):
                return False
        return lost <= number * (1 - ENOUGH)

    if lasts(0):
        return 0
    few, many = 0, max(1, workers // 4)
    while not lasts(many):
        few, many = many, many * 2
        if few >= MOST_SPARES or spent > SEARCH_EFFORT:
            return None
    while many - few > max(1, many // 20):
        middle = (few + many) // 2
        few, many = (few, middle) if lasts(middle) else (middle, many)
    return many


def _crawls(recording: Recording, workers: int, proxies: int, seed: int, most: int = MOST_CRAWLS) -> Iterator[Crawled]:
    retired = lasted = cost = 0
    for number in range(1, most + 1):
        # The same seeds for every row, so that rows do not differ by luck.
        seeded = seed * 1_000_003 + number
        crawled = Simulation(recording, workers=workers, proxies=proxies, seed=seeded).run()
        yield crawled
        retired += crawled.retired
        lasted += crawled.lasted
        cost += _cost(crawled, proxies)
        if (
            (number >= CALM_CRAWLS and not (retired or recording.workload.survival.loses_proxies))
            or (number >= ALIKE_CRAWLS and lasted in (0, number))
            or (number >= LEAST_CRAWLS and cost >= EFFORT)
            or (number >= FEWEST_CRAWLS and cost >= MOST_EFFORT)
        ):
            return


def _cost(crawled: Crawled, proxies: int) -> int:
    """About how many microseconds the simulation took: at each failure every proxy is asked whether it works."""
    return 5 * crawled.attempts + crawled.faults * proxies
