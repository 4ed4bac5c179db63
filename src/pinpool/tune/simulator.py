"""
One simulated crawl: discrete events over a recorded workload, with the rules of the real one.

`policy/` decides as in a crawl who rests, who retires, when a worker swaps and what happens to a task, and the real
lease queue hands out proxies. Only the rest is made up: how long a page takes, which attempt fails, which proxy dies.
Pure: the same seed gives the same crawl.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from pinpool.model import FailedAttempt
from pinpool.policy.decision import Judge
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Patience, Reputation, Retire, until_judged
from pinpool.policy.retry import Resubmit
from pinpool.pool.engine import window
from pinpool.pool.fake import spare_proxies
from pinpool.pool.lease_types import Lease
from pinpool.pool.leases import LeaseQueue
from pinpool.settings import Settings
from pinpool.tune.queueing import Machine, delays, stretch
from pinpool.tune.workload import Behavior, FailureSample, PageTree, Workload

#: Most pages of one event.
LONGEST_ROW = 32
#: A crawl that goes on for ever ends here: after years of simulated time.
LAST_SECOND = 1e9
#: The time a worker takes to exchange its pin for one that has not tried a task: four refusals, see the crawl loop.
EXCHANGE_SECONDS = 0.6


class Crawled(NamedTuple):
    """
    How the crawl went. `seconds` is when its last page ended, `lasted` whether every page ended before all proxies
    were retired. `parked` is the share of the workers' time without a proxy, `latency` the sum over good attempts.
    """

    lasted: bool
    seconds: float
    pages: int
    failed: int
    attempts: int
    faults: int
    parked: float
    latency: float
    retired: int


@dataclass(slots=True)
class _Proxy:
    behavior: Behavior
    dies: float
    death: Sequence[FailureSample]
    failing: bool = False


@dataclass(slots=True)
class _Worker:
    token: int
    lease: Lease | None = None
    pin: int = 0
    patience: Patience = field(default_factory=Patience)
    next_turn: float = 0.0
    parked_at: float = 0.0
    parked: float = 0.0


class _Clock:
    """Simulated seconds, set to exact moments."""

    now = 0.0

    def epoch(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Simulation:
    """A crawl of the pages of a tree by so many workers over so many proxies, drawn from those of the workload."""

    def __init__(
        self,
        workload: Workload,
        machine: Machine,
        tree: PageTree,
        settings: Settings,
        *,
        workers: int,
        proxies: int,
        seed: int,
    ) -> None:
        self._workload, self._tree, self._settings = workload, tree, settings
        self._random = random = Random(seed)
        self._overhead, self._boot = machine.overhead, machine.boot
        # How a recorded latency changes with the number of busy workers: the others take the machine's time.
        self._stretch = [stretch(machine, delay) for delay in delays(machine, workers, settings.pace)]
        reputation = Reputation(settings.cooling)
        self._judge = Judge(reputation, settings, random)
        self._proxies = self._draw(proxies)
        for proxy in self._proxies:
            reputation.admit(proxy, "")
        self._alive = set(self._proxies)
        self._clock = _Clock()
        self._leases = LeaseQueue(
            spare_proxies(proxies), workers, until_judged(settings.cooling), self._clock
        )
        self._leases.begin(1)
        self._workers = [_Worker(token) for token in range(1, workers + 1)]
        self._parked: deque[_Worker] = deque()
        self._idle: list[_Worker] = []  # with a proxy, and without a task for it
        self._fresh = {True: deque[int](), False: deque[int]()}  # pages by whether they are list pages
        self._retries: dict[frozenset[int], deque[int]] = {}  # pages by the proxies that have failed them
        self._failures: dict[int, list[FailedAttempt]] = {}
        for page in tree.roots:
            self._fresh[page in tree.lists].append(page)
        self._window = window(workers)
        self._next_request = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._last = 0.0
        self._ended = self._failed = self._attempts = self._faults = 0
        self._latency = 0.0

    def _draw(self, proxies: int) -> dict[int, _Proxy]:
        workload, random = self._workload, self._random
        behaviors: list[Behavior] = []
        while len(behaviors) < proxies:
            # Each recorded one once before any comes a second time.
            behaviors += random.sample(workload.behaviors, len(workload.behaviors))
        drawn = {}
        for number, behavior in enumerate(behaviors[:proxies], 1):
            dies = random.expovariate(workload.hazard) if workload.hazard else math.inf
            if random.random() < workload.dead_on_arrival:
                dies = 0.0
            drawn[number] = _Proxy(behavior, dies, random.choice(workload.deaths) if workload.deaths else ())
        return drawn

    def run(self) -> Crawled:
        """Do the crawl. To be called once."""
        for number, worker in enumerate(self._workers):
            _, worker.lease = self._leases.check_in(worker.token, worker.token, 1)
            self._at(number * self._boot, partial(self._pin, worker))
        while self._ended < self._tree.pages and self._alive and self._events:
            self._clock.now, _, act = heapq.heappop(self._events)
            if self._clock.now > LAST_SECOND:
                break
            act()
        for worker in self._parked:
            worker.parked += self._clock.now - worker.parked_at
        total = self._clock.now * len(self._workers)
        return Crawled(
            lasted=self._ended >= self._tree.pages,
            seconds=self._last,
            pages=self._ended,
            failed=self._failed,
            attempts=self._attempts,
            faults=self._faults,
            parked=sum(worker.parked for worker in self._workers) / total if total else 0.0,
            latency=self._latency,
            retired=len(self._proxies) - len(self._alive),
        )

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    # ------------------------------------------------------------------ proxies

    def _pin(self, worker: _Worker) -> None:
        """Go on with the leased proxy, or park."""
        if (lease := worker.lease) is None:
            worker.parked_at = self._clock.now
            self._parked.append(worker)
        else:
            worker.pin, worker.patience = lease.proxy, Patience(lease.probing)
            worker.next_turn = self._clock.now + max(0.0, self._settings.pace - lease.idle)
            self._go(worker)

    def _hand_out(self) -> None:
        """A rest may be over: give spare proxies to parked workers. Idle ones may exchange their pins."""
        while self._parked and (lease := self._leases.get(self._parked[0].token, 0.0)) is not None:
            worker = self._parked.popleft()
            worker.parked += self._clock.now - worker.parked_at
            worker.lease = lease
            self._pin(worker)
        self._wake()

    def _rest(self, proxy: int, seconds: float) -> None:
        self._leases.cool(proxy, seconds)
        self._at(self._clock.now + seconds, self._hand_out)

    # ------------------------------------------------------------------ tasks

    def _take(self, worker: _Worker) -> list[int]:
        """The worker's next pages: one that failed elsewhere, or a row of fresh ones of the kind that has enough."""
        for tried, pages in self._retries.items():
            if worker.pin not in tried or self._alive <= tried:
                page = pages.popleft()
                if not pages:
                    del self._retries[tried]
                return [page]
        details, lists = self._fresh[False], self._fresh[True]
        shelf = details if details and (not lists or len(details) >= 2 * self._window) else lists
        row = 1 if self._settings.site_rate else len(shelf) // (2 * len(self._workers))
        return [shelf.popleft() for _ in range(min(max(1, row), LONGEST_ROW, len(shelf)))]

    def _exchange(self, worker: _Worker) -> bool:
        """Exchange the pin for a spare proxy that has not tried a waiting task. False if there is none."""
        for tried in self._retries:
            if (lease := self._leases.exchange(worker.token, tried)) is not None:
                worker.lease = lease
                self._at(self._clock.now + EXCHANGE_SECONDS, partial(self._pin, worker))
                return True
        return False

    def _wake(self) -> None:
        idle, self._idle = self._idle, []
        for worker in idle:
            self._go(worker)

    # ------------------------------------------------------------------ attempts

    def _go(self, worker: _Worker) -> None:
        if pages := self._take(worker):
            done, failure, moment = self._attempt(worker, pages)
            self._at(moment, lambda: self._end(worker, pages, done, failure))
        elif not self._exchange(worker):
            self._idle.append(worker)

    def _attempt(self, worker: _Worker, pages: Sequence[int]) -> tuple[int, FailureSample | None, float]:
        """How many of the pages are done, how the next one failed, and when that was."""
        random, proxy = self._random.random, self._proxies[worker.pin]
        latencies, count = proxy.behavior.latencies, len(proxy.behavior.latencies)
        busy = min(len(self._workers) - len(self._parked) - len(self._idle), len(self._alive))
        factor, more = self._stretch[busy]
        overhead = self._overhead * factor
        moment, pace, rate = self._clock.now, self._settings.pace, self._settings.site_rate
        for done in range(len(pages)):
            if rate:
                moment = self._next_request = max(moment, self._next_request)
                self._next_request += 1.0 / rate
            if pace:
                moment = max(moment, worker.next_turn)
                worker.next_turn = moment + pace * (0.75 + random() / 2)
            self._attempts += 1
            failure = self._failure(worker, moment)
            if failure is not None:
                return done, failure, moment + failure.seconds + overhead
            proxy.failing = False
            seconds = latencies[int(random() * count)] * factor + more
            self._latency += seconds
            moment += seconds + overhead
        return len(pages), None, moment

    def _failure(self, worker: _Worker, moment: float) -> FailureSample | None:
        """How the attempt fails, None if it does not."""
        random, workload, proxy = self._random, self._workload, self._proxies[worker.pin]
        if moment >= proxy.dies and proxy.death:
            return random.choice(proxy.death)
        if workload.page_failure and random.random() < workload.page_failure:
            return random.choice(workload.page_failures)
        chance = proxy.behavior.failure
        if proxy.failing:
            chance = workload.after_rest if worker.patience.probing else workload.again
        if chance <= 0.0 or random.random() >= chance or not proxy.behavior.failures:
            return None
        proxy.failing = True
        return random.choice(proxy.behavior.failures)

    def _end(self, worker: _Worker, pages: Sequence[int], done: int, failure: FailureSample | None) -> None:
        if done:
            worker.patience.served()
            self._leases.proven(worker.token)
        for page in pages[:done]:
            self._judge.fetched(worker.pin, page, self._failures.get(page, ()))
            self._finish(page)
        # The pages behind a failed one were not tried.
        for page in reversed(pages[done + 1 :]):
            self._fresh[page in self._tree.lists].appendleft(page)
        swapped = failure is not None and self._fails(worker, pages[done], failure)
        if self._ended >= self._tree.pages or not self._alive:
            return
        (self._pin if swapped else self._go)(worker)
        self._wake()

    def _finish(self, page: int) -> None:
        # Also a page that was given up: the job is as large as it was.
        self._ended += 1
        self._last = self._clock.now
        for child in self._tree.children.get(page, ()):
            self._fresh[child in self._tree.lists].append(child)

    def _fails(self, worker: _Worker, page: int, failure: FailureSample) -> bool:
        """Judge a failed attempt as the crawl does. True if the worker swaps its pin."""
        self._faults += 1
        proxy = worker.pin
        swapped = worker.patience.ends(FAULTS[failure.fault].charge, self._settings.swap_after)
        past = self._failures.setdefault(page, [])
        attempt = FailedAttempt(proxy, failure.fault)
        decision = self._judge.failed(page, attempt, past, swapped=swapped, alive=self._alive)
        past.append(attempt)
        for released in decision.released:
            self._rest(released, 0.0)
        if swapped:
            worker.lease = self._leases.swap(worker.token, b"")
            if isinstance(decision.penalty, Retire):
                self._alive.discard(proxy)
                self._leases.retire(proxy, decision.penalty.reason)
            elif decision.penalty is not None:
                self._rest(proxy, decision.penalty.seconds)
        if isinstance(decision.verdict, Resubmit):
            self._at(self._clock.now + decision.verdict.after, partial(self._put_back, page))
        else:
            self._failed += 1
            self._finish(page)
        return swapped

    def _put_back(self, page: int) -> None:
        tried = frozenset(failure.proxy for failure in self._failures[page] if failure.proxy is not None)
        self._retries.setdefault(tried, deque()).append(page)
        self._wake()
