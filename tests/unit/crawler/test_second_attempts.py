"""A page that hangs is also asked for through an idle proxy: whole crawls in simulated time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from journals import ABOUT, rows
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.reader import Reader
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Ending, Evidence, Sign, Step, Task
from pinpool.policy.reputation import Reputation
from pinpool.pool.clock import FakeClock
from pinpool.pool.engine import Lost, Signal
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings

TIMEOUT = JobResult(Ending.FAILED, evidence=Evidence(Step.HEAD, Sign.TIMEOUT))
SERVER_ERROR = JobResult(Ending.FAILED, 503, evidence=Evidence(Step.PAGE, Sign.STATUS, status=503))
REFUSED = JobResult(Ending.FAILED, evidence=Evidence(Step.CONNECT, Sign.REFUSED))


def page(name: str, method: str = "GET") -> Task:
    return Task("index" if name.startswith("list") else "detail", name, name.encode().ljust(16), method)


@dataclass
class Site:
    """
    A site whose pages link to others. Each answer takes 0.2 s, or as long as `slow` says of the proxy. `shown` has what
    the first attempts of a page come to instead, and after how many seconds; None is the page.
    """

    links: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shown: Mapping[str, Sequence[tuple[JobResult | None, float]]] = field(default_factory=dict)
    slow: Mapping[int, float] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def first(self, name: str) -> int:
        """The place of the first request for a page in `asked`."""
        return [asked for asked, _ in self.asked].index(name)

    def __call__(self, lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        name = work.task.url
        shown, before = self.shown.get(name, ()), [asked for asked, _ in self.asked].count(name)
        self.asked.append((name, lease.proxy))
        self.asked_at.append(self.clock.now)
        tasks = tuple(map(page, self.links.get(name, ())))
        good = JobResult(Ending.OK, 200, items=() if tasks else (json.dumps({"name": name}),), tasks=tasks)
        result, seconds = shown[before] if before < len(shown) else (None, self.slow.get(lease.proxy, 0.2))
        return result or good, seconds


class Rebuilt(FakeEngine):
    """Loses what it has in hand, the oldest first and `most` at most, once, after three seconds."""

    most = 99
    lost: list[int]

    def poll(self, timeout: float) -> list[Signal]:
        if self.clock.now < 3.0 or hasattr(self, "lost"):
            return super().poll(timeout)
        lost = sorted(self._flights, key=lambda flight: flight[3].serial)[: self.most]
        self.lost = [outcome.serial for _, _, _, outcome in lost]
        for _, _, worker, _ in lost:
            self._dispatch.lost(worker)
            self._dispatch.add(worker.token, number=worker.number, pid=worker.pid)
        self._flights = sorted(flight for flight in self._flights if flight not in lost)
        return [Lost(serial, None, "the pool was rebuilt") for serial in self.lost]


class Dying(Rebuilt):
    most = 1


@dataclass
class Crawl:
    """A crawl of a site through proxies 1 to `proxies`, with a worker each."""

    path: Path
    site: Site
    proxies: int = 10
    settings: Mapping[str, Any] = field(default_factory=dict)
    between: Callable[[Crawl], None] = lambda crawl: None
    stop: Stop = field(default_factory=Stop)
    engine: type[FakeEngine] = FakeEngine

    @property
    def clock(self) -> FakeClock:
        return self.site.clock

    def run(self, *seeds: str | Task) -> str:
        settings, ids = Settings(**self.settings), range(1, self.proxies + 1)
        tasks = [page(seed) if isinstance(seed, str) else seed for seed in seeds]
        self.made = self.engine(self.site, self.proxies, settings=settings, clock=self.clock)
        self.reputation = Reputation(settings.cooling)
        with Journal.create(self.path, ABOUT, self.clock.epoch(), tasks) as journal:
            for row in journal.enroll([(f"proxy {one}", str(one)) for one in ids]):
                self.reputation.admit(row.id, row.label)
            loop = Loop(
                self.made,
                journal,
                self.reputation,
                settings,
                workers=self.proxies,
                stop=self.stop,
                between=lambda: self.between(self),
                random=Random(1),
                clock=self.clock,
            )
            return loop.run()

    def attempts(self, name: str) -> list[tuple[object, ...]]:
        """(proxy, ending, fault, charged) of each attempt of a page, in order."""
        query = (
            "SELECT proxy, ending, fault, attempts.charged FROM attempts JOIN tasks ON tasks.id = task"
            f" WHERE url = '{name}' ORDER BY n"
        )
        return rows(self.path, query)

    def is_complete(self) -> bool:
        with Reader(self.path) as reader:
            return coverage(reader).complete


FILMS = [f"film {number}" for number in range(60)]
CRASH = (JobResult(Ending.FAILED, evidence=Evidence(Step.WORKER, Sign.CRASH)), 0.5)
HANGS = (TIMEOUT, 15.0)


def test_a_first_page_that_hangs_is_given_by_another_proxy(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"list 1": [HANGS]}))

    end = crawl.run("list 1")

    assert (end, crawl.is_complete()) == ("complete", True)
    assert crawl.site.asked[0] == ("list 1", 1)
    assert crawl.attempts("list 1")[0] == (1, "overtaken", None, 0)
    assert crawl.clock.now < 6


def test_a_list_page_that_hangs_in_the_middle_holds_nothing_up(path: Path) -> None:
    links = {f"list {number}": [*FILMS[6 * number : 6 * number + 6], f"list {number + 1}"] for number in range(9)}
    site = Site(links, slow={3: 20.0})
    crawl = Crawl(path, site)

    end = crawl.run("list 0")

    assert (end, crawl.is_complete()) == ("complete", True)
    assert crawl.clock.now < 20


def test_the_last_page_does_not_wait_for_its_proxy(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"film 59": [HANGS]}))

    end = crawl.run("list 1")

    assert (end, crawl.is_complete()) == ("complete", True)
    assert crawl.clock.now < 6


def test_of_two_attempts_the_one_that_fails_decides_nothing(path: Path) -> None:
    """The first takes long, but gives the page. The second ones fail meanwhile."""
    crawl = Crawl(
        path, Site({"list 1": FILMS}, {"film 59": [(None, 8.0), *[(SERVER_ERROR, 0.5)] * 9]}), settings={"attempts": 2}
    )

    crawl.run("list 1")

    (good, *_), *failed = reversed(crawl.attempts("film 59"))
    assert crawl.is_complete()
    assert good == crawl.site.asked[crawl.site.first("film 59")][1]
    assert len(failed) > 2
    assert {attempt[1:3] for attempt in failed} == {("failed", "server_error")}
    assert len({attempt[0] for attempt in failed}) == len(failed)


def test_a_page_that_fails_in_every_attempt_is_given_up_once(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"film 59": [HANGS] * 99}))

    assert crawl.run("list 1") == "complete"

    assert rows(path, "SELECT state, reason FROM tasks WHERE url = 'film 59'") == [
        ("failed", f"timeout on {len(crawl.attempts('film 59'))} proxies")
    ]
    assert 4 <= len(crawl.attempts("film 59")) <= 5


def test_a_page_with_which_a_worker_was_lost_gets_one_worker_at_a_time(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"film 59": [CRASH, *[(None, 8.0)] * 9]}))

    crawl.run("list 1")

    assert [attempt[1:3] for attempt in crawl.attempts("film 59")] == [("failed", "crash"), ("ok", None)]


def test_a_page_whose_two_attempts_are_both_lost_is_asked_for_once_more(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"film 59": [HANGS, HANGS]}), engine=Rebuilt)

    assert crawl.run("list 1") == "complete"

    assert isinstance(crawl.made, Rebuilt)
    assert len(crawl.made.lost) == 2
    assert [asked for asked, _ in crawl.site.asked].count("film 59") == 3
    assert [attempt[1] for attempt in crawl.attempts("film 59")] == ["ok"]
    assert crawl.is_complete()
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'late'") == [(0,)]


def test_a_page_that_loses_one_of_two_attempts_is_left_to_the_other(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": FILMS}, {"film 59": [HANGS, (None, 0.9)]}), engine=Dying)

    assert crawl.run("list 1") == "complete"

    assert [asked for asked, _ in crawl.site.asked].count("film 59") == 2
    assert [attempt[1] for attempt in crawl.attempts("film 59")] == ["ok"]
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'late'") == [(0,)]


def test_a_page_that_nobody_takes_twice_waits_for_the_only_proxy(path: Path) -> None:
    crawl = Crawl(path, Site({"list 1": ["film 1"]}, {"film 1": [(None, 8.0)]}), proxies=1)

    crawl.run("list 1")

    assert crawl.attempts("film 1") == [(1, "ok", None, 0)]


def test_a_task_with_a_body_is_never_sent_twice(path: Path) -> None:
    crawl = Crawl(path, Site(shown={"film 1": [(None, 14.0)]}))

    crawl.run(page("film 1", "POST"))

    assert crawl.site.asked == [("film 1", 1)]


def test_nothing_is_asked_for_twice_once_the_run_is_to_stop(path: Path) -> None:
    def interrupt(crawl: Crawl) -> None:
        crawl.stop.asked = int(crawl.clock.now > 0.1)

    crawl = Crawl(path, Site(shown={"film 1": [(None, 9.0)]}), between=interrupt)

    assert crawl.run("film 1") == "complete"

    assert crawl.site.asked == [("film 1", 1)]


def test_second_attempts_keep_to_the_rate_of_the_site(path: Path) -> None:
    site = Site(shown={name: [HANGS] for name in FILMS[:5]})
    crawl = Crawl(path, site, settings={"site_rate": 2.0})

    crawl.run(*FILMS[:5])

    gaps = [later - earlier for earlier, later in pairwise(site.asked_at)]
    assert len(gaps) > 5
    assert min(gaps) > 0.49


def test_the_late_failure_of_an_overtaken_attempt_is_not_recorded_but_its_proxy_is_judged(path: Path) -> None:
    films = [f"film {number}" for number in range(2500)]
    chain = {f"list {number}": [f"list {number + 1}"] for number in range(1, 20)}
    site = Site({"list 0": ["list 1", "film 0"], **chain, "list 20": films}, {"film 0": [(REFUSED, 2.0)]})
    crawl = Crawl(path, site, settings={"cooling": 300.0})

    crawl.run("list 0")

    bad = crawl.site.asked[crawl.site.first("film 0")][1]
    assert (bad, "overtaken", None, 0) in crawl.attempts("film 0")
    assert rows(path, f"SELECT count(*) FROM attempts WHERE proxy = {bad} AND ending = 'failed'") == [(0,)]
    assert rows(path, f"SELECT state, reason FROM proxies WHERE id = {bad}") == [("cooling", "refused")]


def test_proxies_that_drip_cost_a_crawl_next_to_nothing(path: Path) -> None:
    links = {f"list {number}": [f"{number}: {film}" for film in FILMS[:10]] for number in range(20)}
    good, bad = (
        Crawl(path.with_name("good.db"), Site(links)),
        Crawl(path, Site(links, slow=dict.fromkeys((2, 5, 8), 20.0))),
    )

    for crawl in (good, bad):
        assert crawl.run(*links) == "complete"

    assert bad.is_complete()
    assert bad.clock.now < 1.5 * good.clock.now
