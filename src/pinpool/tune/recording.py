"""
What is learnt from a journal, to simulate the same job with other numbers of workers and proxies, or other rules.

Each proxy has the rate of failure that was seen, and the pages after which it was banned, if it was. Latencies, how
failures follow each other, and the chance to die are those of all, used and waiting.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import SettingsError, UsageError
from pinpool.journal.reader import Reader
from pinpool.journal.records import AttemptRow
from pinpool.model import Ending, EventKind, Fault
from pinpool.policy.faults import FAULTS
from pinpool.pool.registry import where_it_runs
from pinpool.settings import RULES, Settings, settings_from
from pinpool.stats.resources import Usage
from pinpool.text import counted
from pinpool.tune.queueing import SHORTEST_PACE, Machine, machine
from pinpool.tune.survival import FAILED, GOOD, RESTED, Attempt, FailureSample, History, Survival, estimate

#: The largest seconds of an attempt, epoch seconds and workers that are believed: anybody may have written the journal.
LONGEST_ATTEMPT, LATEST, MOST_WORKERS = 86_400.0, 1e11, 10_000
#: With fewer good attempts latencies are not known; with fewer lost proxies their rate is known to a quarter at best.
LEAST_ATTEMPTS, FEW_DEATHS = 30, 15
#: An hour without an attempt means that the run was stopped and resumed: what the proxies did then is unknown.
STOPPED_SECONDS = 3600.0


class Workload(NamedTuple):
    """
    `latencies` are the sorted seconds of good attempts. `page_failure` is the chance that an attempt fails for another
    reason than the proxy, as in `page_failures`.
    """

    latencies: Sequence[float]
    survival: Survival
    page_failure: float = 0.0
    page_failures: Sequence[FailureSample] = ()


class Recording(NamedTuple):
    """
    What was learnt from a run, and the job and settings to simulate: its own, or others. `depth` of its `pages` can
    only be fetched one after another, as each is found on the last. `notes` are for people.
    """

    workload: Workload
    machine: Machine
    pages: int
    depth: int
    settings: Settings
    workers: int
    proxies: int
    notes: Sequence[str] = ()

    def changed(self, pages: int | None, settings: Mapping[str, object]) -> Recording:
        """The same with a job of `pages`, None for the run's own job, and with other settings."""
        pages = pages or self.pages
        return self._replace(pages=pages, depth=min(pages, self.depth), settings=settings_from(settings, self.settings))


def learn(journal: str | Path) -> Recording:
    """Read a journal. Raises JournalError, and UsageError if too little is recorded."""
    rests: dict[int, list[float]] = {}
    measured, rules, notes = [], "", []
    with Reader(journal) as reader:
        info = reader.run_info()
        rows = (row for row in reader.attempts() if row.ending in (Ending.OK, Ending.GONE, Ending.FAILED))
        attempts = [row for row in rows if 0 <= row.seconds <= LONGEST_ATTEMPT and 0 < row.at < LATEST]
        pages, depth = job_of(reader.tree(), complete=info.state == "complete")
        listed = max(1, sum(row.listed for row in reader.proxies()))
        for event in reader.events():
            if event.kind == EventKind.RULES:
                rules = event.detail
            if event.kind == EventKind.FAULTED and event.proxy is not None:
                rests.setdefault(event.proxy, []).append(event.at)
            if event.kind == EventKind.MEASURED and (used := Usage.parse(event.detail)):
                measured.append(used)
    try:
        recorded = json.loads(rules)
        settings = settings_from({name: recorded[name] for name in RULES})
    except (ValueError, TypeError, KeyError, SettingsError):
        settings = Settings()
        notes.append("the journal does not hold the rules of its crawl: the defaults are assumed")
    workload = observe(attempts, {proxy: sorted(moments) for proxy, moments in rests.items()})
    # Its workers have waited for each other, so that all of them were as one.
    was_inline = where_it_runs(info.engine) == "caller" and not measured
    if was_inline:
        attempts = [row._replace(worker=1) for row in attempts]
        notes.append("the run was inline, one page at a time: where this machine becomes the limit is not known")
    elif not measured:
        notes.append("the run did not record its CPU time: where this machine becomes the limit is not known")
    if 0 < workload.survival.lost < FEW_DEATHS:
        were = counted(workload.survival.lost, "proxy was", "proxies were")
        notes.append(f"only {were} lost in this run: the chance to lose more is only roughly known")
    workers = min(max(1, info.workers), MOST_WORKERS)
    most = min(max([workers, *(int(used.workers) for used in measured)]), MOST_WORKERS, listed)
    # A rate for the whole site spaces the requests of each worker, too: where it is the limit, evenly.
    spaced = most / settings.site_rate / SHORTEST_PACE if settings.site_rate else 0.0
    pace = 0.0 if was_inline else max(settings.pace, spaced)
    known = machine(attempts, measured, workers=1 if was_inline else most, pace=pace)
    return Recording(workload, known, pages, depth, settings, workers, listed, notes)


def observe(attempts: Iterable[AttemptRow], rests: Mapping[int, Sequence[float]]) -> Workload:
    """What they show. `rests` are when each proxy (by id) went to rest. Raises UsageError if fewer than 30 are good."""
    rows = sorted((row for row in attempts if row.proxy is not None), key=lambda row: row.at)
    latencies = sorted(row.seconds for row in rows if row.ending != Ending.FAILED)
    if len(latencies) < LEAST_ATTEMPTS:
        few = f"only {len(latencies)} good attempts are recorded, and {LEAST_ATTEMPTS} are the least to learn from"
        raise UsageError(f"{few}: crawl some more, `pinpool crawl SPIDER -p PROXIES --limit 300` for instance")
    by_proxy: dict[int, list[Attempt]] = {}
    by_pages: list[FailureSample] = []
    latest: dict[int, float] = {}
    stopped = rows[0].at
    for earlier, row in pairwise([rows[0], *rows]):
        # What the proxies did while the run was stopped is unknown.
        pause = row.at - earlier.at - earlier.seconds
        stopped += pause if pause > STOPPED_SECONDS else 0.0
        # An unknown fault, perhaps of a newer pinpool, is an open question.
        fault = Fault(row.fault) if row.fault and row.fault in FAULTS else Fault.RESET
        failure = FailureSample(fault, row.seconds) if row.ending == Ending.FAILED else None
        if failure is not None and (not row.charged or row.forgiven):
            by_pages.append(failure)
            continue
        proxy = row.proxy or 0
        own, resting = by_proxy.setdefault(proxy, []), rests.get(proxy, ())
        rested = bisect_left(resting, latest.get(proxy, 0.0)) < bisect_right(resting, row.at)
        before = GOOD if not own or own[-1].failure is None else RESTED if rested else FAILED
        own.append(Attempt(row.at - stopped, before, failure))
        latest[proxy] = row.at
    histories = []
    for own in by_proxy.values():
        good = max((n for n, attempt in enumerate(own, 1) if attempt.failure is None), default=0)
        histories.append(History(own[:good], own[good:]))
    return Workload(latencies, estimate(histories), len(by_pages) / len(rows), by_pages)


def job_of(tasks: Iterable[tuple[int, int | None, bool]], *, complete: bool = True) -> tuple[int, int]:
    """
    `pages` and `depth` of a run, from (id, parent, is a list page) of each task. If it is not complete, its unread list
    pages are taken to ask for as many as the read ones.
    """
    depths: dict[int | None, int] = {}
    found, lists = Counter[int](), 0
    for task, parent, is_list in tasks:
        # Only an earlier page leads to a later one, so that a wrong journal cannot make circles.
        depths[task] = depths.get(parent, 0) + 1
        lists += is_list
        found.update([] if parent is None else [parent])
    unread = 0 if complete or not found else max(0, lists - len(found)) * found.total() // len(found)
    return len(depths) + unread, max(depths.values(), default=1)
