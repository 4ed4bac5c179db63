"""
Whole crawls in simulated time: thousands of pages in a second, and every one judged as in a real run.

Loop, policies, journal and lease queue are the real ones. The engine is pinpool's `FakeEngine`. The answers of proxies
and site are simulated.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from journals import ABOUT
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Ending, Evidence, Sign, Step, Task
from pinpool.policy.reputation import Reputation
from pinpool.pool.clock import FakeClock
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings
from pinpool.stats.snapshot import Snapshot

__all__ = ["GOOD", "Crawl", "Behavior", "Result"]

#: What may be shown in place of a page, and after how many seconds. Any other word is a status, but ``drip``, which is
#: the page after 20 s.
SHOWN = {
    "refused": (Evidence(Step.CONNECT, Sign.REFUSED), 0.005),
    "login": (Evidence(Step.PROXY, Sign.AUTH), 0.05),
    "stuck": (Evidence(Step.CONNECT, Sign.TIMEOUT), 5.0),
    "silent": (Evidence(Step.HEAD, Sign.TIMEOUT), 15.0),
    "late": (Evidence(Step.BODY, Sign.DEADLINE), 45.0),
    "reset": (Evidence(Step.HEAD, Sign.RESET), 0.03),
    "banned": (Evidence(Step.PAGE, Sign.BAN, status=403), 0.05),
    "empty": (Evidence(Step.PAGE, Sign.EMPTY, status=200), 0.15),
    "broken": (Evidence(Step.EXTRACT, Sign.RAISED), 0.2),
}


class Behavior(NamedTuple):
    """What a proxy shows instead of a page, in which `share` of all attempts, and from which second on."""

    shown: str = ""
    share: float = 1.0
    since: float = 0.0


GOOD = Behavior()


class Result(NamedTuple):
    """The result of a crawl. Pages are numbers; `retired` counts the good and the bad proxies that were retired."""

    end: str
    seconds: float
    wrongly_failed: list[int]
    wrongly_believed: list[int]
    missed: list[int]
    waiting: int
    retired: tuple[int, int]
    rests_of_good: int
    pauses: int
    attempts: int

    def are_just(self) -> None:
        """Assert that every page has its right end, and that no good proxy was retired."""
        assert (self.end, self.waiting) == ("complete", 0), self
        assert (self.wrongly_failed, self.wrongly_believed, self.missed) == ([], [], []), self
        assert self.retired[0] == 0, self


@dataclass
class Crawl:
    """
    One crawl over `pages`, of which a tenth are index pages. `bad` pages show the same to everybody.

    `site_shows` is what the whole site shows at a second, `again` what it shows of every second page once served.
    No crawl goes on for more than `patience` seconds.
    """

    proxies: Sequence[Behavior]
    pages: int = 1000
    workers: int | None = None
    bad: Mapping[int, str] = field(default_factory=dict)
    site_shows: Callable[[float], str] = lambda now: ""
    again: str = ""
    latency: float = 0.2
    seed: int = 1
    patience: float = 3600.0
    watch: Callable[[Snapshot], None] = lambda view: None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Seconds since the crawl began."""
        return self.clock.now

    def run(self) -> Result:
        """Crawl to the end."""
        self.clock = FakeClock()
        self.random = Random(self.seed)
        self.behaviors = self.random.sample(list(self.proxies), len(self.proxies))
        self.served: set[int] = set()
        with tempfile.TemporaryDirectory() as folder:
            return self._run(Path(folder, "journal.db"))

    def _run(self, path: Path) -> Result:
        settings, ids = Settings(**self.settings), range(1, len(self.proxies) + 1)
        workers = self.workers or len(ids)
        tasks = [
            Task("index" if 10 * number < self.pages else "detail", str(number), number.to_bytes(16, "big"))
            for number in range(self.pages)
        ]
        journal = Journal.create(path, ABOUT._replace(workers=workers), self.clock.epoch(), tasks)
        reputation = Reputation(settings.cooling)
        for row in journal.enroll([(f"proxy {one}", str(one)) for one in ids]):
            reputation.admit(row.id, row.label)
        stop = Stop()

        def between() -> None:
            stop.asked = 2 if self.now > self.patience else 0

        engine = _Engine(self._attempt, len(ids), workers=workers, settings=settings, clock=self.clock)
        random = Random(self.seed)
        loop = Loop(
            engine,
            journal,
            reputation,
            settings,
            workers=workers,
            stop=stop,
            watch=self.watch,
            between=between,
            random=random,
            clock=self.clock,
        )
        end = loop.run()
        journal.commit()
        result = self._result(path, end, engine)
        journal.close()
        return result

    def _result(self, path: Path, end: str, engine: _Engine) -> Result:
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT url, state, items_n FROM tasks").fetchall()
            ((pauses,),) = db.execute("SELECT count(*) FROM events WHERE kind = 'paused'")
        db.close()
        state = {int(url): state for url, state, _ in rows}
        lists = {one for one, shown in self.bad.items() if shown == "empty" and 10 * one < self.pages}
        right = {one: "done" if one in lists else "failed" for one in self.bad}
        good = {one for one, behavior in enumerate(self.behaviors, 1) if not behavior.shown}
        return Result(
            end,
            self.now,
            [one for one in state if state[one] == "failed" and right.get(one) != "failed"],
            [int(url) for url, ended, items in rows if ended == "done" and not items and int(url) not in lists],
            [one for one in right if state[one] not in (right[one], "waiting")],
            list(state.values()).count("waiting"),
            (len(good & engine.retired), len(engine.retired - good)),
            sum(proxy in good for proxy in engine.rested),
            pauses,
            engine.attempts,
        )

    def _attempt(self, lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        number = int(work.task.url)
        shown = self._shown(self.behaviors[lease.proxy - 1], number)
        if shown in ("", "drip"):
            self.served.add(number)
            seconds = 20.0 if shown else self.latency
            return JobResult(Ending.OK, 200, items=("{}",)), seconds * self.random.uniform(0.7, 1.3)
        if shown.isdecimal():
            evidence, seconds = Evidence(Step.PAGE, Sign.STATUS, status=int(shown)), 0.05
        else:
            evidence, seconds = SHOWN[shown]
        return JobResult(Ending.FAILED, evidence=evidence), seconds * self.random.uniform(0.9, 1.1)

    def _shown(self, behavior: Behavior, number: int) -> str:
        if behavior.shown and self.now >= behavior.since and self.random.random() < behavior.share:
            return behavior.shown
        changed = self.again if number % 2 and number in self.served else ""
        return self.site_shows(self.now) or self.bad.get(number, "") or changed


class _Engine(FakeEngine):
    """Remembers which proxies were retired, and which rested."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.retired: set[int] = set()
        self.rested: list[int] = []

    def cool(self, proxy: int, seconds: float) -> None:
        self.rested += [proxy] if seconds else []
        super().cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self.retired.add(proxy)
        super().retire(proxy, reason)
