"""
Measured trials: the job itself, crawled for a while by each of several numbers of workers.

Each trial is a start of one run. Its journal keeps all that is fetched, so that `pinpool resume` can finish the job.
`steady_state` decides when a trial is over, and `search` which number of workers comes next.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pinpool.crawler.api import make_way
from pinpool.crawler.launch import Ended, Launch
from pinpool.crawler.signals import Stop, answering_signals
from pinpool.errors import SettingsError, UsageError
from pinpool.journal.reader import Reader
from pinpool.model import Ending, Task
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.engine import window
from pinpool.pool.ground import check_ground
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import proxies_from, source_of
from pinpool.settings import settings_from
from pinpool.spider.seeds import seeds_of
from pinpool.spider.spider import Spider
from pinpool.stats.capacity import free_capacity
from pinpool.stats.recommendation import memory_advice
from pinpool.stats.resources import Usage
from pinpool.stats.snapshot import Snapshot
from pinpool.text import counted
from pinpool.tune.forecast import predict, spares_needed
from pinpool.tune.recording import job_of, learn
from pinpool.tune.result import SURVIVAL, Recommendation, Result, Row, recommend, trial_line
from pinpool.tune.search import TrialResult, budget_share, doublings, harmless, tally, why_stop
from pinpool.tune.steady_state import Trial

#: A trial measures for so many seconds at most, or for so many paces if these are longer.
SECONDS, PACES = 20.0, 12
#: Pages of the budget for each worker of each trial, and the least budget. With fewer each a trial shows nothing.
PAGES_EACH, LEAST_BUDGET, FEWEST_EACH = 20, 2_000, 4


class Experiment:
    """
    The trials of a job. `sizes` are numbers of workers (2, 4, 8 and so on up to one a proxy), `pages` (20 for each
    worker of each trial) the budget of all. `tell` gets lines for people, `report` one for each trial, and
    `show` many times a second what makes such a line. `ended` is how the last start ended, if there was one, and
    `interrupted` whether after Ctrl-C.
    """

    ended: Ended | None = None
    interrupted = False

    def __init__(
        self,
        spider: Spider,
        proxies: str | Path | Sequence[str] | ProxyList | None = None,
        *,
        seeds: Iterable[str | Task] | None = None,
        sizes: Sequence[int] | None = None,
        pages: int | None = None,
        journal: str | Path | None = None,
        fresh: bool = False,
        tell: Callable[[str], None] = lambda line: None,
        show: Callable[[Callable[[], str]], None] = lambda text: None,
        report: Callable[[str], None] = lambda line: None,
        **settings: object,
    ) -> None:
        """Check everything. Nothing is written. Raises UsageError as `pinpool.crawl` does."""
        end_if_starting()
        check_ground()
        spider.check(seeds=seeds is None)
        self._seeds, chosen = seeds_of(spider, seeds), proxies_from(proxies)
        for note in chosen.notes:
            tell(note)
        capacity = free_capacity(settings_from(settings, spider.settings).threads)
        self._sizes = wanted = sorted(set(sizes or doublings(min(len(chosen.proxies), capacity.workers))))
        if not sizes and (shortage := capacity.shortage(len(chosen.proxies))):
            tell(f"{shortage}, so no more are tried")
        if shortage := capacity.shortage(wanted[-1]):
            raise SettingsError(f"sizes: {shortage}: give smaller ones")
        self._pages, least = pages or max(LEAST_BUDGET, PAGES_EACH * sum(wanted)), FEWEST_EACH * wanted[0]
        if self._pages < least:
            few = f"pages: {self._pages} are too few for {counted(wanted[0], 'worker')}"
            raise SettingsError(f"{few}: give {least} at least, or smaller sizes")
        self.path = Path(journal or f"{spider.name}.db")
        source = source_of(proxies)
        self._launch = Launch(spider, spider.ref(), settings, chosen, source, self.path, wanted[0], tell=tell)
        self._fixed, self._fresh, self._show, self._report = sizes is not None, fresh, show, report
        self._seconds, self._proxies = max(SECONDS, PACES * self._launch.settings.pace), len(chosen.proxies)
        self._pages_left, self._stop = self._pages, Stop()
        self._trials: list[TrialResult] = []

    @property
    def words(self) -> str:
        """The plan in one sentence, for the user who pays for it."""
        trials = ("" if len(self._sizes) == 1 else "up to ") + counted(len(self._sizes), "trial")
        workers = ", ".join([*map(str, self._sizes[:-1]), counted(self._sizes[-1], "worker")])
        return (
            f"{trials} with {workers} through {counted(self._proxies, 'proxy', 'proxies')}, of about "
            f"{self._seconds:.0f} s or less: at most {counted(self._pages, 'page')} in all; what they fetch is kept in "
            f"{self.path}"
        )

    @property
    def complete(self) -> bool:
        """Whether the whole job is done."""
        return self.ended is not None and self.ended.end == "complete"

    def run(self) -> Result:
        """Do the trials. Raises UsageError before anything is written, and StorageError. The job can be resumed."""
        if self.path.exists():
            kept = make_way(self.path, fresh=self._fresh)
            self._launch.tell(f"{self.path}: the earlier run is kept as {kept}")
        with answering_signals(self._stop):
            stopped, result = self._grow(), Result(self._proxies)
            if self.ended is not None:
                with Reader(self.path) as reader:
                    result.pages, _ = job_of(reader.tree(), complete=self.complete)
            if self._trials and not self.interrupted:
                self._predict(result)
        if self._trials:
            result.recommendation = recommend(harmless(self._trials), stopped, self._launch.settings.site_rate)
            workers = result.recommendation.workers
            rows = sorted(trial.row for trial in self._trials)
            # The ideal is the best that a worker did in any trial: none is better than one that never waits.
            best = max(row.pages_per_second / row.workers for row in rows)
            result.rows = [row._replace(of_ideal=row.pages_per_second / row.workers / best) for row in rows]
            memory = next((row.rss_mb for row in rows if row.workers == workers), None) or 0.0
            advice = memory_advice(round(memory * 1e6), workers, self._launch.settings.threads)
            result.notes += [advice] if advice else []
        elif stopped:
            result.recommendation = Recommendation(0, stopped)
        return result

    def _grow(self) -> str:
        """Try the sizes in turn. Returns why one was the last, empty if all were tried."""
        for place, size in enumerate(self._sizes):
            self.interrupted |= bool(self._stop.asked)
            if self.interrupted or (self.ended is not None and self.ended.end not in ("interrupted", "limited")):
                return "the job was done before a larger number could be tried" if self.complete else ""
            if why := self._try(size, budget_share(self._sizes[place:], self._pages_left)):
                return why
            if self._trials and (why := why_stop(self._trials, fixed=self._fixed)):
                return why
        return ""

    def _try(self, workers: int, pages: int) -> str:
        """Do one trial. Returns why it was not done, or what stopped it; empty if it went well."""
        words = counted(workers, "worker")
        # Pages in flight at the end of a trial are fetched, too.
        pages = min(pages, self._pages_left - window(workers))
        if pages < FEWEST_EACH * workers:
            return f"the budget of {counted(self._pages, 'page')} allows no trial of {words}"
        trial, stop = Trial(workers, seconds=self._seconds, pages=pages), Stop()
        launch = replace(self._launch, workers=workers, stop=stop, limit=self._pages_left)
        journal = launch.begin(self._seeds) if self.ended is None else launch.go_on()
        with Reader(self.path) as reader:
            before = reader.place()
        fetched, over_at = 0, 0.0

        def watch(view: Snapshot) -> None:
            nonlocal fetched, over_at
            fetched = view.pages
            if over_at or view.stopping:
                return
            if trial.add(time.monotonic(), view):
                over_at = time.time()
                stop.asked += 1
            self._show(lambda: f"trying {trial_line(trial, fetched)}")

        self.ended = launch.go(journal, watch)
        self.interrupted = stop.asked > bool(over_at)
        self._pages_left -= fetched
        self._report(trial_line(trial, fetched))
        self._record(trial, before.attempt, over_at or time.time())
        return f"with {words} {trial.stalled}" if trial.stalled else ""

    def _record(self, trial: Trial, after: int, until: float) -> None:
        """Keep the result of a trial, if it has one: of attempts `after` that one, until then (epoch seconds)."""
        measured = trial.throughput(with_end=not self.complete)
        if measured is None:
            return
        since = time.time() - (time.monotonic() - measured.since)
        with Reader(self.path) as reader:
            rows = (row for row in reader.attempts(after) if row.ending != Ending.OVERTAKEN)
            attempts = [row for row in rows if since <= row.at + row.seconds <= until]
            details = [event.detail for event in reader.events() if event.at >= since]
        used = next(filter(None, map(Usage.parse, reversed(details))), None)
        good = sorted(row.seconds for row in attempts if row.ending != Ending.FAILED)
        row = Row(
            workers=trial.workers,
            pages_per_second=measured.speed,
            latency_p50=good[len(good) // 2] if good else None,
            latency_p95=good[int(len(good) * 0.95)] if good else None,
            fault_rate=1 - len(good) / len(attempts) if attempts else None,
            cpu=min(1.0, used.load) if used else None,
            rss_mb=used.tree_memory / 1e6 if used else None,
            spares=max(0, self._proxies - trial.workers),
            parked=measured.parked,
            error=measured.error,
        )
        self._trials.append(TrialResult(row, tally(attempts), measured.starved, trial.stalled))

    def _predict(self, result: Result) -> None:
        """Predict with which numbers the list lasts: no trial is long enough to show it."""
        self._launch.tell("the trials are over: simulating whether the list lasts to the end of the job")
        try:
            recording = learn(self.path)._replace(settings=self._launch.settings)
        except UsageError:
            result.notes.append("too little was fetched to predict whether the list lasts")
            return
        for place, trial in enumerate(self._trials):
            model = predict(recording, trial.row.workers, proxies=self._proxies)
            row = trial.row._replace(**{name: getattr(model, name) for name in SURVIVAL})
            self._trials[place] = trial._replace(row=row)
        result.notes += recording.notes
        result.spares = spares_needed(recording, recommend(harmless(self._trials)).workers)
