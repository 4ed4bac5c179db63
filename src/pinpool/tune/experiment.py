"""
Measured trials: the job itself, crawled for a while by each of several numbers of workers.

Each trial is a start of one run, whose journal keeps all it fetches, so that nothing is fetched in vain and the job can
be finished by `pinpool resume`. Who decides is `trial` (when one has told enough) and `growth` (which comes next).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pinpool.crawler.api import make_way, seeds_of
from pinpool.crawler.launch import Ended, Launch
from pinpool.crawler.signals import Stop, answering_signals
from pinpool.errors import SettingsError, UsageError
from pinpool.journal.reader import Reader
from pinpool.model import Ending, Task
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.engine import window
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import proxies_from, source_of
from pinpool.spider.spider import Spider
from pinpool.stats.histogram import Histogram
from pinpool.stats.resources import room, used_in
from pinpool.stats.snapshot import Snapshot
from pinpool.text import counted
from pinpool.tune.forecast import foretell, learn, spares_to_hold
from pinpool.tune.result import Advice, Row, with_survival
from pinpool.tune.search import REFINEMENTS, Tried, advice, doublings, halfway, hold, share, tally
from pinpool.tune.steady_state import Glance, Trial

#: Seconds that a trial measures at most; a proxy that is used every `pace` seconds needs more to say anything.
SECONDS, PACES = 20.0, 12
#: Pages of the budget for each worker of each trial, and the least budget.
PAGES_EACH, LEAST_BUDGET = 20, 2_000
#: A trial with fewer pages for each worker says nothing.
FEWEST_EACH = 4
MINUTES = 10.0
#: Seconds for which a trial waits for its proxies if all of them rest.
LONGEST_REST = 5.0
NOTHING = Advice(0, "no trial was long enough to tell anything")


@dataclass(frozen=True)
class Plan:
    """
    What will be done: `sizes` are numbers of workers in growing order, `fixed` if they were asked for. `seconds` is
    what one trial takes at most, about; `pages` and `minutes` are the budget of all.
    """

    launch: Launch
    seeds: Sequence[Task]
    sizes: Sequence[int]
    fixed: bool
    pages: int
    minutes: float
    seconds: float
    fresh: bool

    @property
    def words(self) -> str:
        """The plan in one sentence, for whoever pays for it."""
        listed = len(self.launch.proxies.proxies)
        trials = ", ".join(map(str, self.sizes))
        few = "1 trial" if len(self.sizes) == 1 else f"up to {len(self.sizes)} trials"
        return (
            f"{few} with {trials} workers through {listed} proxies, of about {self.seconds:.0f} s or less: "
            f"at most {self.pages:,} pages and {self.minutes:g} min in all; "
            f"what they fetch is kept in {self.launch.journal}"
        )


@dataclass
class Result:
    """
    What was measured, `rows` by number of workers. `ended` is how the last start ended, `complete` the whole job;
    `interrupted` is true if somebody pressed Ctrl-C. `pages` is how many the job has, by what is known so far, and
    `spares` how many to hold for the list to last. `notes` are for people.
    """

    rows: list[Row] = field(default_factory=list)
    advice: Advice = NOTHING
    ended: Ended | None = None
    interrupted: bool = False
    pages: int | None = None
    spares: int | None = None
    notes: list[str] = field(default_factory=list)


def plan(
    spider: Spider,
    proxies: str | Path | Sequence[str] | ProxyList | None = None,
    *,
    seeds: Iterable[str | Task] | None = None,
    sizes: Sequence[int] | None = None,
    pages: int | None = None,
    minutes: float | None = None,
    journal: str | Path | None = None,
    fresh: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    **settings: object,
) -> Plan:
    """
    Check everything and say what `run` would do; nothing is written. What is not given is chosen: 2, 4, 8 workers and
    so on up to one for each proxy, 20 pages for each worker of each trial, ten minutes. `tell` gets lines for people.

    Raises UsageError as `pinpool.crawl` does.
    """
    end_if_starting()
    spider.check(seeds=seeds is None)
    start = seeds_of(spider, seeds)
    chosen = proxies_from(proxies)
    for note in chosen.notes:
        tell(note)
    there = room()
    most = min(len(chosen.proxies), there.workers)
    wanted = sorted(set(sizes or doublings(most)))
    if refusal := there.refusal(wanted[-1]):
        raise SettingsError(f"sizes: {refusal.replace('so many are started', 'give smaller ones')}")
    budget = pages or max(LEAST_BUDGET, PAGES_EACH * sum(wanted))
    if budget < FEWEST_EACH * wanted[0]:
        raise SettingsError(
            f"pages: {budget} are too few for {wanted[0]} workers: give {FEWEST_EACH * wanted[0]} at least, "
            "or smaller sizes"
        )
    launch = Launch(
        spider=spider,
        ref=spider.ref(),
        overrides=settings,
        proxies=chosen,
        proxy_source=source_of(proxies),
        journal=Path(journal or f"{spider.name}.db"),
        workers=wanted[0],
        tell=tell,
    )
    seconds = max(SECONDS, PACES * launch.settings.pace)
    return Plan(launch, start, wanted, sizes is not None, budget, minutes or MINUTES, seconds, fresh)


def run(
    chosen: Plan,
    *,
    show: Callable[[int, Snapshot, Trial], None] = lambda workers, view, trial: None,
    told: Callable[[Row], None] = lambda row: None,
) -> Result:
    """
    Do the trials. `show` sees many times a second how the trial with so many workers stands, `told` gets each row when
    its trial is over.

    Raises UsageError before anything is written, and StorageError; the job can be resumed after whatever happens.
    """
    launch, stop = chosen.launch, Stop()
    if launch.journal.exists():
        kept = make_way(launch.journal, fresh=chosen.fresh)
        launch.tell(f"{launch.journal}: the earlier run is kept as {kept}")
    with answering_signals(stop):
        return _Trials(chosen, stop, show, told).run()


class _Trials:
    def __init__(
        self,
        chosen: Plan,
        stop: Stop,
        show: Callable[[int, Snapshot, Trial], None],
        told: Callable[[Row], None],
    ) -> None:
        self._plan, self._stop, self._show, self._told = chosen, stop, show, told
        self._path = chosen.launch.journal
        self._left = chosen.pages
        self._until = time.monotonic() + 60 * chosen.minutes
        self._tried: list[Tried] = []
        self._result = Result()

    def run(self) -> Result:
        held = self._grow()
        if not self._plan.fixed:
            self._refine()
        result = self._result
        if result.ended is not None:
            with Reader(self._path) as reader:
                result.pages = _expected(list(reader.tree()))
        if self._tried:
            self._compare()
            self._look_ahead(held)
            result.rows = sorted((one.row for one in self._tried), key=lambda row: row.workers)
        elif held:
            result.advice = Advice(0, held)
        return result

    def _grow(self) -> str:
        """Try the sizes in turn. Returns why one was the last, empty if all were tried."""
        sizes = list(self._plan.sizes)
        while sizes and self._goes_on:
            # Of what is left, the trials that look for the knee get as much as the largest of the others.
            if why := self._try(
                sizes[0], share([*sizes, *sizes[-1:]] if not self._plan.fixed else sizes, self._left)
            ):
                return why
            sizes.pop(0)
            if self._tried and (held := hold(self._tried, fixed=self._plan.fixed)):
                return held
        return "the job was done before a larger number could be tried" if sizes and self._complete else ""

    def _refine(self) -> None:
        for _ in range(REFINEMENTS):
            if self._goes_on and self._tried and (size := halfway(self._tried)) is not None:
                self._try(size, self._left // 2)

    @property
    def _complete(self) -> bool:
        ended = self._result.ended
        return ended is not None and ended.end == "complete"

    @property
    def _goes_on(self) -> bool:
        """There is a job left, and nobody has pressed Ctrl-C."""
        result = self._result
        result.interrupted = result.interrupted or bool(self._stop.asked)
        return not result.interrupted and (result.ended is None or result.ended.end == "interrupted")

    def _try(self, workers: int, pages: int) -> str:
        """One trial; returns why there was none, or what brought it to a stop; empty if it went well."""
        # What is in flight at the end of a trial is fetched too.
        pages = min(pages, self._left - window(workers))
        if pages < FEWEST_EACH * workers:
            return f"the budget of {self._plan.pages:,} pages allows no trial of {counted(workers, 'worker')}"
        if time.monotonic() >= self._until:
            return (
                f"the {self._plan.minutes:g} minutes were over before a trial of {counted(workers, 'worker')}"
            )
        trial, stop = Trial(workers, seconds=self._plan.seconds, pages=pages), Stop()
        launch = replace(self._plan.launch, workers=workers, stop=stop, limit=self._left)
        journal = launch.begin(self._plan.seeds) if self._result.ended is None else launch.go_on()
        with Reader(self._path) as reader:
            before = reader.place()
        fetched, over_at = 0, 0.0

        def watch(view: Snapshot) -> None:
            nonlocal fetched, over_at
            fetched = view.pages
            if over_at or view.stopping:
                return
            now = time.monotonic()
            over = trial.look(_glance(view, now))
            self._show(workers, view, trial)
            if over or now >= self._until:
                over_at = time.time()
                stop.asked += 1

        self._result.ended = launch.go(journal, watch)
        self._result.interrupted = stop.asked > bool(over_at)
        self._left -= fetched
        self._keep(trial, before.attempt, over_at or time.time())
        return f"with {counted(workers, 'worker')} {trial.stalled}" if trial.stalled else ""

    def _keep(self, trial: Trial, after: int, until: float) -> None:
        """Make a row of what the trial has told, if it has told anything; `until` is epoch seconds."""
        pace = trial.figures(to_the_last=not self._complete)
        if pace is None or trial.begun is None:
            return
        since = time.time() - (time.monotonic() - trial.begun)
        with Reader(self._path) as reader:
            rows = [row for row in reader.attempts(after) if since <= row.at + row.seconds <= until]
            measured = [used for event in reader.events() if event.at >= since and (used := used_in(event))]
        used = measured[-1] if measured else None
        latencies = Histogram()
        for attempt in rows:
            if attempt.ending != Ending.FAILED:
                latencies.add(attempt.seconds)
        row = Row(
            workers=trial.workers,
            pages_per_second=pace.speed,
            latency_p50=latencies.percentile(0.5),
            latency_p95=latencies.percentile(0.95),
            fault_rate=sum(one.ending == Ending.FAILED for one in rows) / len(rows) if rows else None,
            cpu=min(1.0, used.tree_cpu / (used.seconds * used.cores)) if used and used.seconds else None,
            rss_mb=used.tree_memory / 1e6 if used else None,
            spares=max(0, len(self._plan.launch.proxies.proxies) - trial.workers),
            parked=pace.parked,
            error=pace.error,
        )
        queued = used.queued / (used.seconds * trial.workers) if used and used.seconds else 0.0
        self._tried.append(Tried(row, tally(rows), pace.starved, queued, trial.stalled))
        self._told(row)

    def _compare(self) -> None:
        """With the best that a worker did in any trial: none does better than one that never waits."""
        best = max(one.row.pages_per_second / one.row.workers for one in self._tried)
        self._tried = [
            one._replace(row=one.row._replace(of_ideal=one.row.pages_per_second / one.row.workers / best))
            for one in self._tried
        ]

    def _look_ahead(self, held: str) -> None:
        """Which to take, and whether the list then lasts: no trial is long enough to see that, so the model tells."""
        launch, result = self._plan.launch, self._result
        result.advice = advice(self._tried, held)
        if result.interrupted:
            return
        launch.tell("the trials are over: simulating whether the list lasts to the end of the job")
        pressed = self._stop.asked

        def go_on(_: int) -> None:
            if self._stop.asked > pressed:
                raise _Interrupted

        try:
            recording = learn(self._path)
            job, proxies = recording.job(result.pages), len(launch.proxies.proxies)
            sizes, rules = [one.row.workers for one in self._tried], launch.settings
            foretold = foretell(
                recording, sizes, proxies=proxies, job=job, settings=rules, seed=1, tell=go_on
            )
            self._tried = [
                one._replace(row=with_survival(one.row, told))
                for one, told in zip(self._tried, foretold, strict=True)
            ]
            result.advice = advice(self._tried, held)
            result.notes += recording.notes
            result.spares = spares_to_hold(
                recording, result.advice.workers, job=job, settings=rules, seed=1, tell=go_on
            )
        except UsageError:
            result.notes.append("too little was fetched to tell whether the list lasts")
        except _Interrupted:
            result.interrupted = True


class _Interrupted(Exception):
    """Somebody pressed Ctrl-C while the model was asked."""


def _glance(view: Snapshot, now: float) -> Glance:
    census = view.census
    return Glance(
        now,
        view.pages,
        min(census.workers, census.usable),
        census.parked,
        view.known - view.ended - view.in_flight,
        view.in_flight,
        _stalled(view),
    )


def _stalled(view: Snapshot) -> str:
    if view.waiting:
        return "the site fell silent"
    wakes_in = view.census.wakes_in
    if not view.census.usable and wakes_in is not None and wakes_in > LONGEST_REST:
        return "all proxies had to rest for their faults"
    return ""


def _expected(tree: Sequence[tuple[int, int | None, bool]]) -> int:
    """How many pages the job has if list pages that were not read yet ask for as many as those that were."""
    lists = sum(is_list for _, _, is_list in tree)
    read = len({parent for _, parent, _ in tree if parent is not None})
    asked_for = sum(parent is not None for _, parent, _ in tree)
    return len(tree) + (max(0, lists - read) * asked_for // read if read else 0)
