"""What a recorded job would do with other numbers of workers and proxies, or other rules, by many simulated crawls."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

from pinpool.stats.histogram import wilson
from pinpool.tune.recording import Recording, learn
from pinpool.tune.result import ENOUGH, Result, Row, recommend
from pinpool.tune.simulator import Crawl, Crawled, Scenario

#: Simulated crawls for a row at most, and events after which three are enough, a fifth of a second. A share of 400 is
#: known to 5 points, one of 60 to 13.
MOST_CRAWLS, EFFORT = 400, 30_000
#: Crawls by which a number of spare proxies is judged, the events of the whole search, and the largest number tried.
SPARE_CRAWLS, SEARCH_EFFORT, MOST_SPARES = 60, 300_000, 2_000


def forecast(
    journal: str | Path,
    *,
    sizes: Sequence[int] | None = None,
    proxies: int | None = None,
    pages: int | None = None,
    changed: Mapping[str, object],
) -> Result:
    """
    Simulate the job of a journal. What is None is as in the recorded run; `changed` holds the settings that differ.
    Raises SettingsError, JournalError, and UsageError if too little is known.
    """
    recording = learn(journal).changed(pages, changed)
    listed = proxies or recording.proxies
    sizes = sizes or default_sizes(listed, recording.workers if proxies is None else 1)
    rows = [predict(recording, size, proxies=listed) for size in sizes]
    advice = recommend(rows, site_rate=recording.settings.site_rate)
    return Result(listed, rows, advice, recording.pages, spares_needed(recording, advice.workers), [*recording.notes])


def default_sizes(proxies: int, recorded: int) -> list[int]:
    """Numbers of workers to look at: 1, 2, 3, 4, 6, 8, 12 and so on up to one for each proxy, and the recorded one."""
    steps = {size for step in range(proxies.bit_length()) for size in (2**step, 3 * 2**step // 2) if size < proxies}
    return sorted(steps | {proxies, max(1, recorded)})


def predict(recording: Recording, workers: int, *, proxies: int) -> Row:
    """The figures for one number of workers."""
    crawls = list(_crawls(recording, workers, proxies))
    machine, used, pace = recording.machine, recording.machine.last, recording.settings.pace
    speed = fmean(crawled.pages / crawled.seconds if crawled.seconds else 0.0 for crawled in crawls)
    lasted = [crawled.seconds for crawled in crawls if crawled.lasted]
    # Where no proxy is lost in any crawl there is no doubt.
    certain = len(lasted) == len(crawls) and not any(crawled.retired for crawled in crawls)
    low, high = (1.0, 1.0) if certain else wilson(len(lasted), len(crawls))
    factors = machine.stretches(workers, pace)
    alone = max((machine.mean + machine.overhead) * factors[0], pace, 1e-9)
    latencies, factor = recording.workload.latencies, factors[min(workers, proxies)]
    faults, pages = (sum(getattr(crawled, name) for crawled in crawls) for name in ("faults", "pages"))
    return Row(
        workers=workers,
        pages_per_second=speed,
        of_ideal=speed * alone / workers,
        seconds=median(lasted) if lasted else None,
        latency_p50=latencies[len(latencies) // 2] * factor,
        latency_p95=latencies[int(len(latencies) * 0.95)] * factor,
        fault_rate=faults / (faults + pages) if faults else 0.0,
        cpu=min(1.0, speed * machine.cpu / used.cores) if used else None,
        rss_mb=(used.own_memory + workers * (used.tree_memory - used.own_memory) / max(1, used.workers)) / 1e6
        if used
        else None,
        spares=max(0, proxies - workers),
        parked=fmean(crawled.parked for crawled in crawls),
        survival=len(lasted) / len(crawls),
        survival_from=low,
        survival_to=high,
    )


def spares_needed(recording: Recording, workers: int) -> int | None:
    """About the fewest spare proxies with which the list lasts in 95 of 100 crawls, None if that takes long to find."""
    spares = spent = 0
    while spares <= MOST_SPARES and spent <= SEARCH_EFFORT:
        crawls = list(_crawls(recording, workers, workers + spares, SPARE_CRAWLS))
        if fmean(crawled.lasted for crawled in crawls) >= ENOUGH:
            return spares
        spent += sum(crawled.cost for crawled in crawls)
        spares = max(spares + 1, spares * 9 // 8)
    return None


def _crawls(recording: Recording, workers: int, proxies: int, most: int = MOST_CRAWLS) -> Iterator[Crawled]:
    scenario, cost = Scenario(recording, workers, proxies), 0
    for number in range(1, most + 1):
        # The same seeds for every row, so that rows do not differ by luck.
        yield (crawled := Crawl(scenario, number).run())
        cost += crawled.cost
        if number >= 3 and cost >= EFFORT:
            return
