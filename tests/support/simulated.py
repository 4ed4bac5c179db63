"""
Whole crawls in simulated time: thousands of pages in a second, and every one judged as in a real run.

The loop, the journal, the lease queue and all that judges are the real ones. Simulated are the workers (they swap, park
and decline as the real ones do), the clock, and what proxies and the site answer.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from journals import ABOUT
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Charge, Ending, Evidence, Outcome, ProxyState, Sign, Step, Task
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.policy.reputation import Reputation, must_swap, until_judged
from pinpool.pool.engine import Answered, Census, Noted, Signal
from pinpool.pool.lease_types import Lease, Standing
from pinpool.pool.leases import LeaseQueue
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

__all__ = ["GOOD", "Crawl", "Manner", "Verdicts"]

TICK = 0.1
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
    now: float = 0.0

    def run(self) -> Verdicts:
        """Crawl to the end."""
        self.random = Random(self.seed)
        self.manners = self.random.sample(list(self.proxies), len(self.proxies))
        self.served: set[int] = set()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            for module in ("crawler.loop", "crawler.site_probe", "crawler.proxy_control", "pool.leases"):
                stack.enter_context(patch(f"pinpool.{module}.time", _Clock(self)))
            return self._run(Path(folder, "journal.db"))

    def _run(self, path: Path) -> Verdicts:
        settings, ids = Settings(**self.settings), range(1, len(self.proxies) + 1)
        workers = self.workers or len(ids)
        tasks = [
            Task("index" if 10 * number < self.pages else "detail", str(number), number.to_bytes(16, "big"))
            for number in range(self.pages)
        ]
        journal = Journal.create(path, ABOUT._replace(workers=workers), time.time(), tasks)
        reputation = Reputation(settings.cooling)
        for row in journal.enroll([(f"proxy {one}", str(one)) for one in ids]):
            reputation.admit(row.id, row.label)
        stop = Stop()

        def between() -> None:
            stop.asked = 2 if self.now > self.patience else 0

        engine = _Engine(self, workers, settings)
        random = Random(self.seed)
        loop = Loop(
            engine, journal, reputation, settings, workers=workers, stop=stop, between=between, random=random
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

    def answer(self, proxy: int, number: int) -> tuple[float, Evidence | None]:
        """What an attempt that begins now comes to, and after how many seconds."""
        sight = self._sight(self.manners[proxy - 1], number)
        if not sight:
            self.served.add(number)
            return self.latency * self.random.uniform(0.7, 1.3), None
        otherwise = Evidence(Step.PAGE, Sign.STATUS, status=int(sight)) if sight.isdecimal() else None
        evidence, seconds = SIGHTS[sight] if otherwise is None else (otherwise, 0.05)
        return seconds * self.random.uniform(0.9, 1.1), evidence

    def _sight(self, manner: Manner, number: int) -> str:
        if manner.sight and self.now >= manner.since and self.random.random() < manner.share:
            return manner.sight
        changed = self.again if number % 2 and number in self.served else ""
        return self.weather(self.now) or self.bad.get(number, "") or changed


class _Clock:
    """Stands in for the module `time`."""

    def __init__(self, crawl: Crawl) -> None:
        self._crawl = crawl

    def time(self) -> float:
        return 1_000_000.0 + self._crawl.now

    def monotonic(self) -> float:
        return 100.0 + self._crawl.now


@dataclass
class _Worker:
    token: int
    lease: Lease | None = None
    strikes: int = 0
    probing: bool = False

    def pin(self, lease: Lease) -> None:
        self.lease, self.probing, self.strikes = lease, lease.probing, 0


class _Engine:
    """Workers that do nothing but wait for what `Crawl.answer` says; a turn of `poll` ends at a tick, or with news."""

    name = "simulated"

    def __init__(self, crawl: Crawl, workers: int, settings: Settings) -> None:
        self._crawl, self._swap_after = crawl, settings.swap_after
        address = Proxy("http", "192.0.2.1", 8080)
        standings = [Standing(one, address, ProxyState.SPARE) for one in range(1, len(crawl.manners) + 1)]
        self._queue = LeaseQueue(standings, workers, until_judged(settings.cooling))
        self._queue.begin(1)
        self._workers = [_Worker(token) for token in range(1, workers + 1)]
        self._idle: deque[_Worker] = deque()
        self._parked = list(self._workers)
        for worker in self._workers:
            self._queue.check_in(worker.token, worker.token, 1)
        self._tasks: deque[tuple[int, Assignment]] = deque()
        self._flights: list[tuple[float, int, _Worker, Outcome]] = []
        self._order = itertools.count()
        self._news: list[Signal] = []
        self._unsaid: list[Outcome] = []  # of workers that have parked
        self._next_tick = 0.0
        self._census = Census(workers, states={one.proxy: one.state for one in standings})
        self.retired: set[int] = set()
        self.rested: list[int] = []
        self.attempts = 0

    def submit(self, serial: int, work: Assignment | bytes) -> None:
        assert isinstance(work, Assignment)
        self._tasks.append((serial, work))

    def poll(self, timeout: float) -> list[Signal]:
        self._go_on()
        step = min(timeout, self._next_tick - self._crawl.now)
        if (
            timeout >= TICK and not self._flights
        ):  # nothing happens: longer steps make the pauses of a run cheap
            step = 10 * TICK
        until = self._crawl.now + step
        if not self._news:
            landing = self._flights[0][0] if self._flights else until
            self._crawl.now = max(self._crawl.now, min(landing, until))
            while self._flights and self._flights[0][0] <= self._crawl.now:
                _, _, worker, outcome = heapq.heappop(self._flights)
                self._land(worker, outcome)
            self._go_on()
        if self._crawl.now >= self._next_tick:
            self._next_tick = self._crawl.now + TICK
            self._tell()
        news, self._news = self._news, []
        return news

    def _go_on(self) -> None:
        for worker in list(self._parked):
            if (lease := self._queue.get(worker.token, 0.0)) is None:
                break
            worker.pin(lease)
            self._parked.remove(worker)
            self._idle.append(worker)
        while self._tasks and self._idle:
            self._begin(self._idle.popleft(), *self._tasks.popleft())

    def _begin(self, worker: _Worker, serial: int, work: Assignment) -> None:
        assert worker.lease is not None
        barred = worker.lease.proxy in work.avoid
        if barred and work.exchange and (lease := self._queue.exchange(worker.token, work.avoid)) is not None:
            worker.pin(lease)
        outcome = Outcome(
            serial, worker.token, worker.lease.proxy, Ending.DECLINED, 1_000_000.0 + self._crawl.now, 0.0005
        )
        if worker.lease.proxy not in work.avoid:
            self.attempts += 1
            seconds, evidence = self._crawl.answer(worker.lease.proxy, int(work.task.url))
            outcome = outcome._replace(seconds=seconds, evidence=evidence, ending=Ending.FAILED)
            if evidence is None:
                outcome = outcome._replace(ending=Ending.OK, status=200, items=("{}",))
        landing = self._crawl.now + outcome.seconds
        heapq.heappush(self._flights, (landing, next(self._order), worker, outcome))

    def _land(self, worker: _Worker, outcome: Outcome) -> None:
        if outcome.evidence is None:
            if outcome.ending is Ending.OK:
                worker.strikes = 0
                worker.probing = False
                self._queue.proven(worker.token)
        else:
            charge = FAULTS[fault_of(outcome.evidence)].charge
            worker.strikes += charge is not Charge.WORKER
            if must_swap(charge, worker.strikes, probing=worker.probing, swap_after=self._swap_after):
                outcome = outcome._replace(swapped=True)
                lease = self._queue.swap(worker.token, b"")
                if lease is None:
                    self._unsaid.append(outcome)
                    self._parked.append(worker)
                    return
                worker.pin(lease)
        self._news.append(Answered(outcome))
        self._idle.append(worker)

    def _tell(self) -> None:
        """What the parent learns at each tick."""
        self._news += map(Answered, self._unsaid)
        self._unsaid.clear()
        report = self._queue.report()
        self._news += map(Noted, report.moves)
        running = len(self._workers) - len(self._idle) - len(self._parked)
        self._census = Census(len(self._workers), running, parked=len(self._parked), states=report.states)

    def cool(self, proxy: int, seconds: float) -> None:
        self.rested += [proxy] if seconds else []
        self._queue.cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self.retired.add(proxy)
        self._queue.retire(proxy, reason)

    def census(self) -> Census:
        return self._census

    def flush(self) -> list[Signal]:
        return [Noted(move) for move in self._queue.report().moves]

    def start(self) -> None:
        """They are there from the beginning."""

    def wake(self) -> None:
        """Nobody else's thread is there."""

    def join(self, standings: Collection[Standing]) -> None:
        self._queue.join(standings)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        self._queue.withdraw(proxies, reason)

    def kill(self, worker: int) -> None:
        """None of them hangs."""

    def close(self) -> None:
        """There is nothing to close."""
