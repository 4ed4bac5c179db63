"""
One crawl that does not happen: discrete events over a recorded world, with the rules of the real one.

`reputation` and `blame` decide who rests, who retires, when a worker swaps and what becomes of a task, as in a crawl.
Only the world is made up: how long a page takes, which attempt fails, which proxy dies. Pure: the same seed gives the
same crawl.
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

from pinpool.model import Charge
from pinpool.policy.blame import Blame, Failure
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Reputation, Retire, must_swap
from pinpool.policy.retry import Resubmit
from pinpool.settings import Settings
from pinpool.tune.workload import Failing, Forest, Habit, Machine, Workload, delays, stretch

#: Pages of one event at most.
LONGEST_ROW = 32
#: Nobody waits longer than this for a crawl that goes on for ever: years of simulated time.
LAST_SECOND = 1e9
#: What it takes a worker to exchange its pin for one that has not tried a task: four refusals, see the crawl loop.
EXCHANGE_SECONDS = 0.6


class Figures(NamedTuple):
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
    habit: Habit
    dies: float
    death: Sequence[Failing]
    failing: bool = False
    rested: bool = False
    let_go: float = -math.inf


@dataclass(slots=True)
class _Worker:
    pin: int = 0
    strikes: int = 0
    probing: bool = False
    next_turn: float = 0.0
    parked_at: float = 0.0
    parked: float = 0.0


@dataclass(slots=True)
class _Work:
    """What waits: fresh pages by kind, and those that failed before, by the proxies that have tried them."""

    lists: deque[int] = field(default_factory=deque)
    details: deque[int] = field(default_factory=deque)
    again: dict[frozenset[int], deque[int]] = field(default_factory=dict)
    history: dict[int, list[Failure]] = field(default_factory=dict)


def simulate(
    world: Workload,
    machine: Machine,
    forest: Forest,
    settings: Settings,
    *,
    workers: int,
    proxies: int,
    seed: int,
) -> Figures:
    """One crawl of the forest by so many workers over so many proxies, drawn from the world's."""
    return _Crawl(world, machine, forest, settings, workers, proxies, Random(seed)).run()


class _Crawl:
    def __init__(
        self,
        world: Workload,
        machine: Machine,
        forest: Forest,
        settings: Settings,
        workers: int,
        proxies: int,
        random: Random,
    ) -> None:
        self._world, self._forest, self._settings, self._random = world, forest, settings, random
        self._overhead, self._boot = machine.overhead, machine.boot
        # How a latency as recorded changes with the number of busy workers: the others take the machine's time.
        self._stretch = [stretch(machine, delay) for delay in delays(machine, workers, settings.pace)]
        self._reputation = Reputation(settings.cooling)
        self._blame = Blame(self._reputation, settings, random)
        self._proxies = self._draw(proxies)
        for proxy in self._proxies:
            self._reputation.admit(proxy, "")
        self._living = set(self._proxies)
        self._rests: dict[int, int] = {}  # which of its rests a proxy is in
        self._fresh: deque[int] = deque(self._proxies)
        self._tired: deque[int] = deque()
        self._probing: set[int] = set()
        self._crew = [_Worker() for _ in range(workers)]
        self._waiting: deque[_Worker] = deque()  # parked
        self._idle: list[_Worker] = []  # with a proxy, and without a task for it
        self._work = _Work()
        for page in forest.roots:
            self._add(page)
        self._room = workers + max(2, workers // 4)
        self._next_request = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = self._last = 0.0
        self._ended = self._failed = self._attempts = self._faults = 0
        self._latency = 0.0

    def _draw(self, proxies: int) -> dict[int, _Proxy]:
        world, random = self._world, self._random
        habits: list[Habit] = []
        while len(habits) < proxies:
            # Each recorded one once before any comes a second time.
            habits += random.sample(world.habits, min(len(world.habits), proxies - len(habits)))
        drawn = {}
        for number, habit in enumerate(habits, 1):
            dies = random.expovariate(world.hazard) if world.hazard else math.inf
            if random.random() < world.stillborn:
                dies = 0.0
            drawn[number] = _Proxy(habit, dies, random.choice(world.deaths) if world.deaths else ())
        return drawn

    def run(self) -> Figures:
        for number, worker in enumerate(self._crew):
            self._at(number * self._boot, partial(self._lease, worker))
        while self._ended < self._forest.pages and self._living and self._events:
            self._now, _, act = heapq.heappop(self._events)
            if self._now > LAST_SECOND:
                break
            act()
        for worker in self._waiting:
            worker.parked += self._now - worker.parked_at
        total = self._now * len(self._crew)
        return Figures(
            lasted=self._ended >= self._forest.pages,
            seconds=self._last,
            pages=self._ended,
            failed=self._failed,
            attempts=self._attempts,
            faults=self._faults,
            parked=sum(worker.parked for worker in self._crew) / total if total else 0.0,
            latency=self._latency,
            retired=len(self._proxies) - len(self._living),
        )

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    # ------------------------------------------------------------------ proxies

    def _lease(self, worker: _Worker) -> None:
        """A spare for the worker, the unproven ones last, or it parks."""
        shelf = self._fresh or self._tired
        if shelf:
            self._pin(worker, shelf.popleft())
        else:
            worker.pin, worker.parked_at = 0, self._now
            self._waiting.append(worker)

    def _pin(self, worker: _Worker, proxy: int) -> None:
        worker.pin, worker.strikes, worker.probing = proxy, 0, proxy in self._probing
        idle = self._now - self._proxies[proxy].let_go
        worker.next_turn = self._now + max(0.0, self._settings.pace - idle)
        self._go(worker)

    def _rest(self, number: int, seconds: float) -> None:
        rest = self._rests[number] = next(self._order)
        self._at(self._now + seconds, lambda: self._rested(number, rest))

    def _rested(self, number: int, rest: int) -> None:
        if self._rests.get(number) != rest:
            return  # it was woken before
        del self._rests[number]
        proxy = self._proxies[number]
        proxy.rested = True
        self._probing.add(number)
        self._shelve(number)

    def _shelve(self, number: int) -> None:
        if self._waiting:
            worker = self._waiting.popleft()
            worker.parked += self._now - worker.parked_at
            self._pin(worker, number)
            return
        (self._tired if number in self._probing else self._fresh).append(number)
        self._wake()  # somebody may want it for a task that its own pin has tried

    # ------------------------------------------------------------------ tasks

    def _add(self, page: int) -> None:
        (self._work.lists if page in self._forest.lists else self._work.details).append(page)

    def _take(self, worker: _Worker) -> list[int]:
        """The worker's next pages: one that failed elsewhere, or a row of fresh ones, of the kind that is not short."""
        work = self._work
        for tried, pages in work.again.items():
            if worker.pin not in tried or self._living <= tried:
                page = pages.popleft()
                if not pages:
                    del work.again[tried]
                return [page]
        details, lists = work.details, work.lists
        shelf = details if details and (not lists or len(details) >= 2 * self._room) else lists
        row = 1 if self._settings.site_rate else len(shelf) // (2 * len(self._crew))
        return [shelf.popleft() for _ in range(min(max(1, row), LONGEST_ROW, len(shelf)))]

    def _exchange(self, worker: _Worker) -> bool:
        """Whether a spare that has not tried a waiting task could be had for this pin, which has."""
        for tried in self._work.again:
            for shelf in (self._fresh, self._tired):
                spare = next((proxy for proxy in shelf if proxy not in tried), None)
                if spare is not None:
                    shelf.remove(spare)
                    given = worker.pin
                    self._proxies[given].let_go = self._now
                    (self._tired if given in self._probing else self._fresh).append(given)
                    worker.pin = 0
                    self._at(self._now + EXCHANGE_SECONDS, partial(self._pin, worker, spare))
                    return True
        return False

    def _wake(self) -> None:
        idle, self._idle = self._idle, []
        for worker in idle:
            self._go(worker)

    # ------------------------------------------------------------------ attempts

    def _go(self, worker: _Worker) -> None:
        pages = self._take(worker)
        if not pages:
            if not self._exchange(worker):
                self._idle.append(worker)
            return
        done, failing, moment = self._attempt(worker, pages)
        self._at(moment, lambda: self._end(worker, pages, done, failing))

    def _attempt(self, worker: _Worker, pages: Sequence[int]) -> tuple[int, Failing | None, float]:
        """How many of the pages are done, what then failed, and when that was."""
        random, proxy = self._random.random, self._proxies[worker.pin]
        latencies, count = proxy.habit.latencies, len(proxy.habit.latencies)
        busy = min(len(self._crew) - len(self._waiting) - len(self._idle), len(self._living))
        factor, more = self._stretch[busy]
        overhead = self._overhead * factor
        moment, pace, rate = self._now, self._settings.pace, self._settings.site_rate
        for done in range(len(pages)):
            if rate:
                moment = self._next_request = max(moment, self._next_request)
                self._next_request += 1.0 / rate
            if pace:
                moment = max(moment, worker.next_turn)
                worker.next_turn = moment + pace * (0.75 + random() / 2)
            self._attempts += 1
            failing = self._failing(proxy, moment)
            if failing is not None:
                return done, failing, moment + failing.seconds + overhead
            proxy.failing = False
            seconds = latencies[int(random() * count)]
            seconds = seconds * factor + more
            self._latency += seconds
            moment += seconds + overhead
        return len(pages), None, moment

    def _failing(self, proxy: _Proxy, moment: float) -> Failing | None:
        """What the attempt fails with, None if it goes well."""
        random, world = self._random, self._world
        if moment >= proxy.dies and proxy.death:
            return random.choice(proxy.death)
        if world.page_failure and random.random() < world.page_failure:
            return random.choice(world.page_failings)
        chance = proxy.habit.failure
        if proxy.failing:
            chance = world.after_rest if proxy.rested else world.again
        if chance <= 0.0 or random.random() >= chance or not proxy.habit.failings:
            return None
        proxy.failing, proxy.rested = True, False
        return random.choice(proxy.habit.failings)

    def _end(self, worker: _Worker, pages: Sequence[int], done: int, failing: Failing | None) -> None:
        if done:
            self._credit(worker, pages[:done])
        swapped = failing is not None and self._fault(worker, pages[done], failing)
        # Those behind the failed one were not tried.
        for page in reversed(pages[done + 1 :]):
            (self._work.lists if page in self._forest.lists else self._work.details).appendleft(page)
        if self._ended >= self._forest.pages or not self._living:
            return
        if swapped:
            self._lease(worker)
        else:
            self._go(worker)
        if self._idle:
            self._wake()

    def _credit(self, worker: _Worker, pages: Sequence[int]) -> None:
        worker.strikes, worker.probing = 0, False
        self._probing.discard(worker.pin)
        for page in pages:
            self._blame.credit(worker.pin, page, self._work.history.get(page, ()))
            self._finish(page)

    def _finish(self, page: int) -> None:
        # Also of a page that was given up: the job is as large as it was.
        self._ended += 1
        self._last = self._now
        for child in self._forest.children.get(page, ()):
            self._add(child)

    def _fault(self, worker: _Worker, page: int, failing: Failing) -> bool:
        """Judge a failed attempt as the crawl does. True if the worker has swapped its pin."""
        self._faults += 1
        charge = FAULTS[failing.fault].charge
        worker.strikes += charge is not Charge.WORKER
        swapped = must_swap(
            charge, worker.strikes, probing=worker.probing, swap_after=self._settings.swap_after
        )
        past = self._work.history.setdefault(page, [])
        decision = self._blame.weigh(
            page, failing.fault, worker.pin, past, swapped=swapped, alive=self._living, is_index=False
        )
        past.append(Failure(worker.pin, failing.fault))
        for woken in decision.woken:
            if woken in self._rests:
                self._rested(woken, self._rests[woken])
        if decision.penalty is not None:
            pin = worker.pin
            self._proxies[pin].let_go = self._now
            if isinstance(decision.penalty, Retire):
                self._living.discard(pin)
            else:
                self._rest(pin, decision.penalty.seconds)
        if isinstance(decision.verdict, Resubmit):
            self._put_back(page, decision.verdict.after)
        else:
            self._failed += 1
            self._finish(page)
        return swapped

    def _put_back(self, page: int, after: float) -> None:
        def due() -> None:
            tried = frozenset(one.proxy for one in self._work.history[page] if one.proxy is not None)
            self._work.again.setdefault(tried, deque()).append(page)
            self._wake()

        if after <= 0.0:
            due()
        else:
            self._at(self._now + after, due)
