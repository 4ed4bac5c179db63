"""An engine in memory: the real lease queue and simulated time, but no processes and no network."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pinpool.model import Assignment, Call, Ending, Outcome, ProxyState
from pinpool.policy.reputation import until_judged
from pinpool.pool.clock import FakeClock
from pinpool.pool.engine import Answered, Census, Noted, Signal
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease, Standing
from pinpool.pool.leases import LeaseQueue
from pinpool.pool.pin import PinHealth
from pinpool.pool.status_board import Activity, Line
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

TICK_SECONDS = 0.1
#: How long a worker keeps a task that it cannot have.
DECLINE_SECONDS = 0.0005

#: Does an assignment through a leased proxy. Returns its result, and how many seconds it takes.
Perform = Callable[[Lease, Assignment], tuple[JobResult, float]]


@dataclass
class _Worker:
    token: int
    pin: PinHealth | None = None


class FakeEngine:
    """
    Runs assignments as `ProcessEngine` does, with workers that swap, park and decline, in simulated time.

    `poll` moves `clock` to the next answer, or as far as its timeout allows: a crawl of an hour takes as long as its
    code needs. `perform` decides what each attempt comes to. It runs in the caller's thread, and what it raises goes
    to the caller of `poll`. Nothing hangs here, no worker dies, and no pace is kept.
    """

    name = "fake"

    def __init__(
        self,
        perform: Perform,
        proxies: int | Sequence[Standing],
        *,
        workers: int | None = None,
        settings: Settings | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        """`proxies` may be a number of spare ones. One worker for each by default."""
        standings = spare_proxies(proxies) if isinstance(proxies, int) else list(proxies)
        settings, workers = settings or Settings(), workers or len(standings)
        self.clock = clock or FakeClock()
        #: How many attempts have begun; declined ones do not count.
        self.attempts = 0
        self._perform = perform
        self._swap_after = settings.swap_after
        self._queue = LeaseQueue(standings, workers, until_judged(settings.cooling), self.clock)
        self._queue.begin(1)
        self._workers = [_Worker(token) for token in range(1, workers + 1)]
        self._idle: deque[_Worker] = deque()
        self._parked = list(self._workers)
        for worker in self._workers:
            self._queue.check_in(worker.token, worker.token, 1)
        self._tasks: deque[tuple[int, Assignment]] = deque()
        self._flights: list[tuple[float, int, _Worker, Outcome]] = []  # by the moment of their answer
        self._order = itertools.count()
        self._signals: list[Signal] = []
        self._of_parked: list[Outcome] = []
        self._next_tick = 0.0
        self._leaving: set[int] = set()
        self._census = Census(workers, states={one.proxy: one.state for one in standings})

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        if not isinstance(work, Assignment):
            raise TypeError("a FakeEngine runs assignments, not pickled calls")
        self._tasks.append((serial, work))

    def poll(self, timeout: float) -> list[Signal]:
        self._start_attempts()
        now = self.clock.monotonic()
        until = min(now + timeout, self._next_tick)
        if timeout >= TICK_SECONDS and not self._flights:
            until = now + 10 * TICK_SECONDS  # nothing can happen: longer steps make the pauses of a run cheap
        if not self._signals:
            landing = self._flights[0][0] if self._flights else until
            self.clock.advance(min(landing, until) - now)
            while self._flights and self._flights[0][0] <= self.clock.monotonic():
                _, _, worker, outcome = heapq.heappop(self._flights)
                self._end_attempt(worker, outcome)
            self._start_attempts()
        if self.clock.monotonic() >= self._next_tick:
            self._next_tick = self.clock.monotonic() + TICK_SECONDS
            self._tick()
        signals, self._signals = self._signals, []
        return signals

    def census(self) -> Census:
        return self._census

    def cool(self, proxy: int, seconds: float) -> None:
        self._queue.cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self._queue.retire(proxy, reason)

    def join(self, standings: Collection[Standing]) -> None:
        self._queue.join(standings)
        self._tick()

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        self._queue.withdraw(proxies, reason)
        self._tick()

    def ask_to_swap(self, proxy: int) -> None:
        self._queue.ask_to_swap(proxy)

    def flush(self) -> list[Signal]:
        return [Noted(move) for move in self._queue.report().moves]

    def start(self) -> None:
        """No effect, like `wake`, `kill` and `close`: there is nothing to start, to wake, to kill or to close."""

    def wake(self) -> None:
        """No effect."""

    def kill(self, worker: int) -> None:
        """No effect."""

    def close(self) -> None:
        """No effect."""

    def _start_attempts(self) -> None:
        for worker in list(self._parked):
            if (lease := self._queue.get(worker.token, 0.0)) is None:
                break
            worker.pin = PinHealth(lease)
            self._parked.remove(worker)
            self._idle.append(worker)
        while self._tasks and self._idle:
            self._start_attempt(self._idle.popleft(), *self._tasks.popleft())

    def _start_attempt(self, worker: _Worker, serial: int, work: Assignment) -> None:
        assert worker.pin is not None
        at, proxy = self.clock.epoch(), worker.pin.lease.proxy
        outcome = Outcome(serial, worker.token, proxy, Ending.DECLINED, at, DECLINE_SECONDS)
        if proxy in self._leaving and not self._replace(worker, outcome, self._queue.leave):
            return
        declines = worker.pin.lease.proxy in work.avoid or worker.pin.hesitates
        worker.pin.hesitates = False
        if declines and work.exchange:
            lease = self._queue.exchange(worker.token, work.avoid)
            if lease is not None:
                worker.pin, declines = PinHealth(lease), False
        proxy = worker.pin.lease.proxy
        outcome = outcome._replace(proxy=proxy)
        if not declines:
            self.attempts += 1
            result, seconds = self._perform(worker.pin.lease, work)
            proxy = -1 if result.unasked else proxy
            outcome = outcome._replace(proxy=proxy, seconds=seconds, **result._asdict())
        landing = self.clock.monotonic() + outcome.seconds
        heapq.heappush(self._flights, (landing, next(self._order), worker, outcome))

    def _end_attempt(self, worker: _Worker, outcome: Outcome) -> None:
        assert worker.pin is not None
        if outcome.evidence is not None:
            if worker.pin.fail(outcome.evidence, self._swap_after):
                outcome = outcome._replace(swapped=True)
                if not self._replace(worker, outcome, self._queue.swap):
                    return
        elif outcome.ending is not Ending.DECLINED and not outcome.unasked and worker.pin.credit():
            self._queue.proven(worker.token)
        self._signals.append(Answered(outcome))
        self._idle.append(worker)

    def _replace(self, worker: _Worker, outcome: Outcome, ask: Callable[[int, bytes], Lease | None]) -> bool:
        """Give the worker a spare. False if there is none: it parks, and its outcome comes with the next tick."""
        lease = ask(worker.token, b"")
        if lease is not None:
            worker.pin = PinHealth(lease)
            return True
        self._of_parked.append(outcome)
        self._parked.append(worker)
        return False

    def _tick(self) -> None:
        """What the parent learns from the lease queue's report."""
        self._signals += map(Answered, self._of_parked)
        self._of_parked.clear()
        report = self._queue.report()
        self._leaving = {*report.leaving, *report.slow}
        self._signals += map(Noted, report.moves)
        running = len(self._workers) - len(self._idle) - len(self._parked)
        self._census = Census(
            len(self._workers),
            running,
            parked=len(self._parked),
            states=report.states,
            wakes_in=min(report.rests.values(), default=None),
            lines=[_line(*flight) for flight in self._flights],
        )


def _line(landing: float, _: int, worker: _Worker, outcome: Outcome) -> Line:
    assert worker.pin is not None
    activity = Activity.PACE if outcome.ending is Ending.DECLINED else Activity.RUN
    since, proxy = landing - outcome.seconds, worker.pin.lease.proxy
    return Line(worker.token, worker.token, worker.token, 0, activity, outcome.serial, since, proxy)


def spare_proxies(count: int) -> list[Standing]:
    """So many spare proxies with the ids 1, 2 and so on, at addresses that lead nowhere."""
    return [
        Standing(number, Proxy("http", "192.0.2.1", 8000 + number), ProxyState.SPARE) for number in range(1, count + 1)
    ]
