"""
One simulated crawl: discrete events over a recorded workload, with the rules of the real one.

`policy/` decides as in a crawl who rests, who retires, when a worker swaps and what happens to a task, and the real
lease queue hands out proxies. Only the rest is made up: how long a page takes, which attempt fails, which proxy dies.
Pure: the same seed gives the same crawl.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from pinpool.model import FailedAttempt
from pinpool.policy.decision import Judge
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Patience, Reputation, Retire, until_judged
from pinpool.policy.retry import Resubmit
from pinpool.pool.engine import window
from pinpool.pool.fake import spare_proxies
from pinpool.pool.lease_types import Lease
from pinpool.pool.leases import LeaseQueue
from pinpool.tune.queueing import stretches
from pinpool.tune.recording import Recording
from pinpool.tune.survival import FailureSample
from pinpool.tune.workload import Behavior

#: A crawl that goes on for ever ends here: after years of simulated time.
LAST_SECOND = 1e9
#: The time a worker takes to exchange its pin for one that has not tried a task: four refusals, see the crawl loop.
EXCHANGE_SECONDS = 0.6


@dataclass(slots=True)
class Crawled:
    """
    How the crawl went. `seconds` is when its last page ended, `lasted` whether every page ended before all proxies
    were retired. `parked` is the share of the workers' time without a proxy.
    """

    lasted: bool = False
    seconds: float = 0.0
    pages: int = 0
    failed: int = 0
    attempts: int = 0
    faults: int = 0
    parked: float = 0.0
    retired: int = 0


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


class _Clock:
    """Simulated seconds, set to exact moments."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    epoch = monotonic


class Simulation:
    """A crawl of the recorded job by so many workers over so many proxies, drawn from the recorded ones."""

    def __init__(self, recording: Recording, *, workers: int, proxies: int, seed: int) -> None:
        self._workload, self._machine, self._tree = recording.workload, recording.machine, recording.job
        self._settings = settings = recording.settings
        self._random = Random(seed)
        # The other busy workers take the machine's time.
        self._stretch = stretches(recording.machine, workers, settings.pace)
        reputation = Reputation(settings.cooling)
        self._judge = Judge(reputation, settings, self._random)
        self._proxies = self._draw(proxies)
        for proxy in self._proxies:
            reputation.admit(proxy, "")
        self._alive = set(self._proxies)
        self._clock = _Clock()
        self._leases = LeaseQueue(spare_proxies(proxies), workers, until_judged(settings.cooling), self._clock)
        self._leases.begin(1)
        self._workers = [_Worker(token) for token in range(1, workers + 1)]
        self._parked: deque[_Worker] = deque()
        self._idle: list[_Worker] = []  # with a proxy, and without a task for it
        self._fresh = {True: deque[int](), False: deque[int]()}  # pages by whether they are list pages
        self._retries: dict[frozenset[int], deque[int]] = {}  # pages by the proxies that have failed them
        self._failures: dict[int, list[FailedAttempt]] = {}
        self._add(self._tree.roots)
        self._window = window(workers)
        self._next_request = self._parked_seconds = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._crawled = Crawled()

    def _draw(self, proxies: int) -> dict[int, _Proxy]:
        workload, random = self._workload, self._random
        behaviors: list[Behavior] = []
        while len(behaviors) < proxies:
            # Each recorded one once before any comes a second time.
            behaviors += random.sample(workload.behaviors, len(workload.behaviors))
        drawn = {}
        for number, behavior in enumerate(behaviors[:proxies], 1):
            works = random.random() >= workload.survival.dead_on_arrival
            dies = random.expovariate(workload.survival.hazard or 1e-99) if works else 0.0
            drawn[number] = _Proxy(behavior, dies, random.choice(workload.deaths or [()]))
        return drawn

    def run(self) -> Crawled:
        """Do the crawl. To be called once."""
        crawled = self._crawled
        for number, worker in enumerate(self._workers):
            _, worker.lease = self._leases.check_in(worker.token, worker.token, 1)
            self._at(number * self._machine.boot, partial(self._pin, worker))
        while crawled.pages < self._tree.pages and self._alive and self._events:
            self._clock.now, _, act = heapq.heappop(self._events)
            if self._clock.now > LAST_SECOND:
                break
            act()
        total = self._clock.now * len(self._workers)
        parked = self._parked_seconds + sum(self._clock.now - worker.parked_at for worker in self._parked)
        crawled.lasted = crawled.pages >= self._tree.pages
        crawled.parked = parked / total if total else 0.0
        crawled.retired = len(self._proxies) - len(self._alive)
        return crawled

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

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
            self._parked_seconds += self._clock.now - worker.parked_at
            worker.lease = lease
            self._pin(worker)
        self._wake()

    def _rest(self, proxy: int, seconds: float) -> None:
        self._leases.cool(proxy, seconds)
        self._at(self._clock.now + seconds, self._hand_out)

    def _add(self, pages: Iterable[int]) -> None:
        for page in pages:
            self._fresh[page in self._tree.lists].append(page)

    def _take(self, worker: _Worker) -> int | None:
        """The worker's next page: one that failed elsewhere, or a fresh one of the kind that has enough."""
        for tried, pages in self._retries.items():
            if worker.pin not in tried or self._alive <= tried:
                page = pages.popleft()
                if not pages:
                    del self._retries[tried]
                return page
        details, lists = self._fresh[False], self._fresh[True]
        shelf = details if details and (not lists or len(details) >= 2 * self._window) else lists
        return shelf.popleft() if shelf else None

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

    def _go(self, worker: _Worker) -> None:
        """Begin the next attempt. Without a page for the worker exchange its pin, or let it wait."""
        if (page := self._take(worker)) is None:
            if not self._exchange(worker):
                self._idle.append(worker)
            return
        random, settings, moment = self._random.random, self._settings, self._clock.now
        busy = len(self._workers) - len(self._parked) - len(self._idle)
        factor, more = self._stretch[min(busy, len(self._alive))]
        if settings.site_rate:
            moment = max(moment, self._next_request)
            self._next_request = moment + 1.0 / settings.site_rate
        if settings.pace:
            moment = max(moment, worker.next_turn)
            worker.next_turn = moment + settings.pace * (0.75 + random() / 2)
        if failure := self._failure(worker, moment):
            seconds = failure.seconds
        else:
            latencies = self._workload.latencies
            seconds = latencies[int(random() * len(latencies))] * factor + more
        moment += seconds + self._machine.overhead * factor
        self._at(moment, partial(self._end, worker, page, failure))

    def _failure(self, worker: _Worker, moment: float) -> FailureSample | None:
        """How the attempt fails, None if it does not."""
        random, workload, proxy = self._random, self._workload, self._proxies[worker.pin]
        if moment >= proxy.dies and proxy.death:
            return random.choice(proxy.death)
        if workload.page_failure and random.random() < workload.page_failure:
            return random.choice(workload.page_failures)
        chance, survival = proxy.behavior.failure, workload.survival
        if proxy.failing:
            chance = survival.after_rest if worker.patience.probing else survival.again
        proxy.failing = chance > 0.0 and random.random() < chance and bool(proxy.behavior.failures)
        return random.choice(proxy.behavior.failures) if proxy.failing else None

    def _end(self, worker: _Worker, page: int, failure: FailureSample | None) -> None:
        self._crawled.attempts += 1
        swapped = failure is not None and self._fails(worker, page, failure)
        if failure is None:
            if worker.patience.probing:
                self._leases.proven(worker.token)
            worker.patience.served()
            self._judge.fetched(worker.pin, page, self._failures.get(page, ()))
            self._finish(page)
        (self._pin if swapped else self._go)(worker)
        if self._idle:
            self._wake()

    def _finish(self, page: int) -> None:
        # Also a page that was given up: the job is as large as it was.
        self._crawled.pages += 1
        self._crawled.seconds = self._clock.now
        if page in self._tree.children:
            self._add(self._tree.children[page])

    def _fails(self, worker: _Worker, page: int, failure: FailureSample) -> bool:
        """Judge a failed attempt as the crawl does. True if the worker swaps its pin."""
        self._crawled.faults += 1
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
            self._crawled.failed += 1
            self._finish(page)
        return swapped

    def _put_back(self, page: int) -> None:
        tried = frozenset(failure.proxy for failure in self._failures[page] if failure.proxy is not None)
        self._retries.setdefault(tried, deque()).append(page)
        self._wake()
