"""
Whole crawls in simulated time: thousands of pages in a second, and every one judged as in a real run.

The loop, the journal, the lease queue and all that judges are the real ones. The engine is pinpool's `FakeEngine`, and
the answers of proxies and site are simulated.
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
from pinpool.clock import FakeClock
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Ending, Evidence, Sign, Step, Task
from pinpool.policy.reputation import Reputation
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings

__all__ = ["GOOD", "Crawl", "Manner", "Verdicts"]

#: What can be seen in place of a page, and after how many seconds. Any other word is a status.
SIGHTS = {
    "refused": (Evidence(Step.CONNECT, Sign.REFUSED), 0.005),
    "login": (Evidence(Step.PROXY, Sign.AUTH), 0.05),
    "stuck": (Evidence(Step.CONNECT, Sign.TIMEOUT), 5.0),
    "silent": (Evidence(Step.HEAD, Sign.TIMEOUT), 15.0),
    "reset": (Evidence(Step.HEAD, Sign.RESET), 0.03),
    "banned": (Evidence(Step.PAGE, Sign.BAN, status=403), 0.05),
    "empty": (Evidence(Step.PAGE, Sign.EMPTY, status=200), 0.15),
    "broken": (Evidence(Step.EXTRACT, Sign.RAISED), 0.2),
}


class Manner(NamedTuple):
    """What a proxy shows instead of a page, in which `share` of all attempts, and from which second on."""

    sight: str = ""
    share: float = 1.0
    since: float = 0.0


GOOD = Manner()


class Verdicts(NamedTuple):
    """What came of a crawl; pages by number, `retired` the good and the bad proxies that were."""

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
        """Every page came to its right end, and no good proxy was retired."""
        assert (self.end, self.waiting) == ("complete", 0), self
        assert (self.wrongly_failed, self.wrongly_believed, self.missed) == ([], [], []), self
        assert self.retired[0] == 0, self


@dataclass
class Crawl:
    """
    One crawl over `pages`, of which a tenth are index pages. `bad` pages show the same to everybody.

    `weather` is what the whole site shows at a second, `again` what it shows for every other page once it was served.
    No crawl goes on for more than `patience` seconds.
    """

    proxies: Sequence[Manner]
    pages: int = 1000
    workers: int | None = None
    bad: Mapping[int, str] = field(default_factory=dict)
    weather: Callable[[float], str] = lambda now: ""
    again: str = ""
    latency: float = 0.2
    seed: int = 1
    patience: float = 3600.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Seconds since the crawl began."""
        return self.clock.now

    def run(self) -> Verdicts:
        """Crawl to the end."""
        self.clock = FakeClock()
        self.random = Random(self.seed)
        self.manners = self.random.sample(list(self.proxies), len(self.proxies))
        self.served: set[int] = set()
        with tempfile.TemporaryDirectory() as folder:
            return self._run(Path(folder, "journal.db"))

    def _run(self, path: Path) -> Verdicts:
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
            between=between,
            random=random,
            clock=self.clock,
        )
        end = loop.run()
        journal.commit()
        verdicts = self._verdicts(path, end, engine)
        journal.close()
        return verdicts

    def _verdicts(self, path: Path, end: str, engine: _Engine) -> Verdicts:
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT url, state, items_n FROM tasks").fetchall()
            ((pauses,),) = db.execute("SELECT count(*) FROM events WHERE kind = 'paused'")
        db.close()
        state = {int(url): state for url, state, _ in rows}
        lists = {one for one, sight in self.bad.items() if sight == "empty" and 10 * one < self.pages}
        right = {one: "done" if one in lists else "failed" for one in self.bad}
        good = {one for one, manner in enumerate(self.manners, 1) if not manner.sight}
        return Verdicts(
            end,
            self.now,
            [one for one in state if state[one] == "failed" and right.get(one) != "failed"],
            [
                int(url)
                for url, ended, items in rows
                if ended == "done" and not items and int(url) not in lists
            ],
            [one for one in right if state[one] not in (right[one], "waiting")],
            list(state.values()).count("waiting"),
            (len(good & engine.retired), len(engine.retired - good)),
            sum(proxy in good for proxy in engine.rested),
            pauses,
            engine.attempts,
        )

    def _attempt(self, lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        number = int(work.task.url)
        sight = self._sight(self.manners[lease.proxy - 1], number)
        if not sight:
            self.served.add(number)
            return JobResult(Ending.OK, 200, items=("{}",)), self.latency * self.random.uniform(0.7, 1.3)
        otherwise = Evidence(Step.PAGE, Sign.STATUS, status=int(sight)) if sight.isdecimal() else None
        evidence, seconds = SIGHTS[sight] if otherwise is None else (otherwise, 0.05)
        return JobResult(Ending.FAILED, evidence=evidence), seconds * self.random.uniform(0.9, 1.1)

    def _sight(self, manner: Manner, number: int) -> str:
        if manner.sight and self.now >= manner.since and self.random.random() < manner.share:
            return manner.sight
        changed = self.again if number % 2 and number in self.served else ""
        return self.weather(self.now) or self.bad.get(number, "") or changed


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
