"""
From a journal to a forecast: what the same job would do with other numbers of workers and proxies, or other rules.

It reads the journal, lets `simulate` crawl often enough, and counts. Nothing is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from pinpool.errors import SettingsError
from pinpool.journal.reader import Reader
from pinpool.model import EventKind
from pinpool.settings import RULES, Settings, settings_from
from pinpool.stats.histogram import wilson
from pinpool.stats.resources import used_in
from pinpool.text import counted
from pinpool.tune.result import ENOUGH, Row, advise
from pinpool.tune.simulator import Figures, simulate
from pinpool.tune.workload import Forest, Machine, Workload, delays, forest, machine, observe, stretch

#: Crawls simulated for a row where no proxy is ever lost; one in which all end alike; and any other. A share of 400 is
#: known to 5 points, one of 60 to 13.
CALM_CRAWLS, ALIKE_CRAWLS, MOST_CRAWLS = 4, 60, 400
#: But no more than take so long, by `_cost`, and never fewer than this; of a crawl that takes minutes a few only.
EFFORT, LEAST_CRAWLS = 1_000_000, 12
MOST_EFFORT, FEWEST_CRAWLS = 10_000_000, 3
#: Nor is a number of spares searched for any longer.
SEARCH = 15_000_000
#: What a journal may claim, whoever wrote it: seconds of an attempt, an epoch second, workers.
LONGEST_ATTEMPT, LATEST, MOST_WORKERS = 86_400.0, 1e11, 10_000
#: Crawls by which a number of spares is judged.
SPARE_CRAWLS = 60
#: Below this many lost proxies their rate is known to a quarter at best.
FEW_DEATHS = 15
#: Spares are not searched for beyond this many.
MOST_SPARES = 2_000


class Recording(NamedTuple):
    """What was learnt of a run. `tree` is that of its pages, see `Reader.tree`; `notes` are for the user."""

    world: Workload
    machine: Machine
    tree: Sequence[tuple[int, int | None, bool]]
    settings: Settings
    workers: int
    proxies: int
    notes: Sequence[str] = ()

    def job(self, pages: int | None = None) -> Forest:
        """The run's own job, or one of so many pages."""
        return forest(self.tree, pages)


def learn(journal: str | Path) -> Recording:
    """Read a journal. Raises JournalError, and UsageError if too little is recorded."""
    with Reader(journal) as reader:
        info = reader.run_info(time.time())
        # A journal may come from anywhere: what cannot be is passed over.
        attempts = [
            row for row in reader.attempts() if 0 <= row.seconds <= LONGEST_ATTEMPT and 0 < row.at < LATEST
        ]
        tree = list(reader.tree())
        listed = sum(row.listed for row in reader.proxies())
        rests: dict[int, list[float]] = {}
        measured, rules = [], ""
        for event in reader.events():
            if event.kind == EventKind.RULES:
                rules = event.detail
            if event.kind == EventKind.FAULTED and event.proxy is not None:
                rests.setdefault(event.proxy, []).append(event.at)
            if (used := used_in(event)) is not None:
                measured.append(used)
    settings, notes = _settings(rules)
    world = observe(attempts, {proxy: sorted(moments) for proxy, moments in rests.items()})
    pages = sum(used.pages for used in measured)
    last = measured[-1] if measured else None
    if not measured:
        notes.append("the run did not record its CPU time: where this machine becomes the limit is not known")
    workers = min(max([1, info.workers, *(used.workers for used in measured)]), MOST_WORKERS)
    learnt = machine(
        attempts,
        workers=max(1, min(workers, listed)),
        # A rate for the whole site spaces the requests of each worker too.
        pace=max(settings.pace, 1e-9 if settings.site_rate else 0.0),
        cpu=sum(used.tree_cpu for used in measured) / pages if pages else None,
        own_cpu=sum(used.own_cpu for used in measured) / pages if pages else 0.0,
        queued=sum(used.queued for used in measured) / pages if pages else 0.0,
        seconds=sum(used.seconds for used in measured) / pages if pages else None,
        cores=last.cores if last else 1,
        own_memory=last.own_memory if last else None,
        worker_memory=(last.tree_memory - last.own_memory) / max(1, last.workers) if last else None,
    )
    if 0 < world.lost < FEW_DEATHS:
        lost = max(1, round(world.lost))
        were = counted(lost, "proxy was", "proxies were")
        notes.append(f"only {were} lost in this run, so that the chance to lose more is known roughly")
    recorded = min(max(1, info.workers), MOST_WORKERS)
    return Recording(world, learnt, tree, settings, recorded, max(1, listed), notes)


def _settings(told: str) -> tuple[Settings, list[str]]:
    """The rules of the run as its journal tells them."""
    try:
        known = json.loads(told)
        return settings_from({name: known[name] for name in RULES}), []
    except (ValueError, TypeError, KeyError, SettingsError):
        return Settings(), [
            "the journal does not tell by which rules it was crawled: the defaults are assumed"
        ]


class Forecast(NamedTuple):
    """What `forecast` predicts: a row for each number of workers, for a list of `proxies` and a job of `pages`."""

    rows: list[Row]
    proxies: int
    pages: int
    spares: int | None


def forecast(
    journal: str | Path,
    *,
    sizes: Sequence[int] | None = None,
    proxies: int | None = None,
    pages: int | None = None,
    changed: Mapping[str, object],
    seed: int,
    note: Callable[[str], None],
    progress: Callable[[str], None],
) -> Forecast:
    """
    Simulate the job of a journal. What is None is as in the recorded run; `changed` holds settings that are not.
    `note` gets the notes of the recording, `progress` a few words at each step, and at the end none.

    Raises SettingsError before anything is read, JournalError, and UsageError if too little is recorded.
    """
    settings_from(changed)
    recording = learn(journal)
    for line in recording.notes:
        note(line)
    settings = settings_from(changed, recording.settings)
    listed, job = proxies or recording.proxies, recording.job(pages)
    rows = foretell(
        recording,
        sizes or default_sizes(listed, recording.workers if proxies is None else 1),
        proxies=listed,
        job=job,
        settings=settings,
        seed=seed,
        tell=lambda size: progress(f"simulating {size} workers"),
    )
    progress("looking for the number of spares")
    spares = spares_to_hold(recording, advise(rows).workers, job=job, settings=settings, seed=seed)
    progress("")
    return Forecast(rows, listed, job.pages, spares)


def default_sizes(proxies: int, recorded: int) -> list[int]:
    """Numbers of workers to look at: 1, 2, 3, 4, 6, 8, 12 and so on up to one for each proxy, and the recorded one."""
    sizes, step = {proxies, recorded}, 1
    while step < proxies:
        sizes |= {step, step * 3 // 2}
        step *= 2
    return sorted(size for size in sizes if 0 < size <= max(proxies, recorded))


def foretell(
    recording: Recording,
    sizes: Sequence[int],
    *,
    proxies: int,
    job: Forest,
    settings: Settings,
    seed: int,
    tell: Callable[[int], None] = lambda size: None,
) -> list[Row]:
    """One row for each number of workers; `tell` hears of each when it is begun."""
    rows = []
    for size in sizes:
        tell(size)
        crawls = list(_each(recording, size, proxies, job, settings, seed))
        rows.append(_row(recording, size, proxies, settings, crawls))
    return rows


def spares_to_hold(
    recording: Recording,
    workers: int,
    *,
    job: Forest,
    settings: Settings,
    seed: int,
    tell: Callable[[int], None] = lambda spares: None,
) -> int | None:
    """
    About the fewest spares beside one proxy for each worker with which the list lasts in 95 of 100 crawls; None if that
    takes long to find out, as for a list that dies away, or if not even 2,000 are enough. `tell` hears of each number
    that is tried.
    """
    spent = 0

    def lasts(spares: int) -> bool:
        nonlocal spent
        tell(spares)
        lost = number = 0
        for figures in _each(recording, workers, workers + spares, job, settings, seed, most=SPARE_CRAWLS):
            number += 1
            lost += not figures.lasted
            spent += _cost(figures, workers + spares)
            if lost > SPARE_CRAWLS * (1 - ENOUGH):
                return False
        return lost <= number * (1 - ENOUGH)

    if lasts(0):
        return 0
    few, many = 0, max(1, workers // 4)
    while not lasts(many):
        few, many = many, many * 2
        if few >= MOST_SPARES or spent > SEARCH:
            return None
    while many - few > max(1, many // 20):
        middle = (few + many) // 2
        few, many = (few, middle) if lasts(middle) else (middle, many)
    return many


def _each(
    recording: Recording,
    workers: int,
    proxies: int,
    job: Forest,
    settings: Settings,
    seed: int,
    most: int = MOST_CRAWLS,
) -> Iterator[Figures]:
    retired = lasted = cost = 0
    for number in range(1, most + 1):
        figures = simulate(
            recording.world,
            recording.machine,
            job,
            settings,
            workers=workers,
            proxies=proxies,
            # The same crawls for every row, so that rows differ by what they are and not by luck.
            seed=seed * 1_000_003 + number,
        )
        yield figures
        retired += figures.retired
        lasted += figures.lasted
        cost += _cost(figures, proxies)
        if (
            (number >= CALM_CRAWLS and not (retired or recording.world.mortal))
            or (number >= ALIKE_CRAWLS and lasted in (0, number))
            or (number >= LEAST_CRAWLS and cost >= EFFORT)
            or (number >= FEWEST_CRAWLS and cost >= MOST_EFFORT)
        ):
            return


def _cost(figures: Figures, proxies: int) -> int:
    """About how many microseconds it took to simulate that: at a failure every proxy is asked whether it works."""
    return 5 * figures.attempts + figures.faults * proxies


def _row(
    recording: Recording, workers: int, proxies: int, settings: Settings, crawls: Sequence[Figures]
) -> Row:
    known = recording.machine
    speed = fmean(one.pages / one.seconds if one.seconds else 0.0 for one in crawls)
    lasted = [one.seconds for one in crawls if one.lasted]
    # Where no proxy is ever lost there is nothing to be unsure of.
    sure = len(lasted) == len(crawls) and not (recording.world.mortal or any(one.retired for one in crawls))
    low, high = (1.0, 1.0) if sure else wilson(len(lasted), len(crawls))
    change = delays(known, workers, settings.pace)
    alone = max(known.mean + known.overhead + change[0], settings.pace, 1e-9)
    factor, more = stretch(known, change[min(workers, proxies)])
    latencies = sorted(seconds for habit in recording.world.habits for seconds in habit.latencies)
    attempts = sum(one.attempts for one in crawls)
    return Row(
        workers=workers,
        pages_per_second=speed,
        of_ideal=speed * alone / workers,
        seconds=median(lasted) if lasted else None,
        latency_p50=latencies[len(latencies) // 2] * factor + more,
        latency_p95=latencies[int(len(latencies) * 0.95)] * factor + more,
        fault_rate=sum(one.faults for one in crawls) / attempts if attempts else 0.0,
        cpu=None if known.cpu is None else min(1.0, speed * known.cpu / known.cores),
        rss_mb=_megabytes(known, workers),
        spares=max(0, proxies - workers),
        parked=fmean(one.parked for one in crawls),
        survival=len(lasted) / len(crawls),
        survival_from=low,
        survival_to=high,
    )


def _megabytes(known: Machine, workers: int) -> float | None:
    if known.own_memory is None or known.worker_memory is None:
        return None
    return (known.own_memory + workers * known.worker_memory) / 1e6
