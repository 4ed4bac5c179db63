"""What is learnt from a journal, to simulate the same job with other numbers of workers and proxies, or other rules."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import SettingsError
from pinpool.journal.reader import Reader
from pinpool.journal.records import AttemptRow
from pinpool.model import Ending, EventKind
from pinpool.settings import RULES, Settings, settings_from
from pinpool.stats.resources import Usage
from pinpool.text import counted
from pinpool.tune.queueing import Machine, machine
from pinpool.tune.workload import Job, Workload, job_of, observe

#: The largest values that are believed, as anybody may have written the journal: seconds of an attempt, an epoch
#: second, workers.
LONGEST_ATTEMPT, LATEST, MOST_WORKERS = 86_400.0, 1e11, 10_000
#: With fewer lost proxies their rate is known to a quarter at best.
FEW_DEATHS = 15


class Recording(NamedTuple):
    """
    What was learnt from a run, and the `job` and `settings` to simulate: its own ones, or those that `changed` sets.
    `workers` and `proxies` are its numbers of them. `notes` are for people.
    """

    workload: Workload
    machine: Machine
    job: Job
    settings: Settings
    workers: int
    proxies: int
    notes: Sequence[str] = ()

    def changed(self, pages: int | None, settings: Mapping[str, object] | None = None) -> Recording:
        """The same with a job of `pages`, None for the run's own job, and with other settings."""
        job = self.job if pages is None else Job(pages, min(pages, self.job.depth))
        return self._replace(job=job, settings=settings_from(settings or {}, self.settings))


def _is_sound(row: AttemptRow) -> bool:
    known = row.ending in (Ending.OK, Ending.GONE, Ending.FAILED)
    return known and 0 <= row.seconds <= LONGEST_ATTEMPT and 0 < row.at < LATEST


def learn(journal: str | Path) -> Recording:
    """Read a journal. Raises JournalError, and UsageError if too little is recorded."""
    rests: dict[int, list[float]] = {}
    measured, rules, notes = [], "", []
    with Reader(journal) as reader:
        info = reader.run_info(time.time())
        attempts = [row for row in reader.attempts() if _is_sound(row)]
        job = job_of(reader.tree())
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
    if not measured:
        notes.append("the run did not record its CPU time: where this machine becomes the limit is not known")
    if 0 < (lost := sum(workload.survival.dead)) < FEW_DEATHS:
        were = counted(max(1, round(lost)), "proxy was", "proxies were")
        notes.append(f"only {were} lost in this run: the chance to lose more is only roughly known")
    workers = min(max(1, info.workers), MOST_WORKERS)
    most = min(max([workers, *(int(used.workers) for used in measured)]), MOST_WORKERS, listed)
    # A rate for the whole site spaces the requests of each worker, too.
    pace = max(settings.pace, 1e-9 if settings.site_rate else 0.0)
    known = machine(attempts, measured, workers=most, pace=pace)
    return Recording(workload, known, job, settings, workers, listed, notes)
