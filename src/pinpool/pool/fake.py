"""An engine in memory: the real lease queue and simulated time, but no processes and no network."""

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from pinpool.model import Outcome, ProxyState
from pinpool.policy.reputation import until_judged
from pinpool.pool.clock import FakeClock
from pinpool.pool.dispatch import Dispatch, Slot
from pinpool.pool.engine import Signal
from pinpool.pool.job import JobResult
from pinpool.pool.leading_engine import LeadingEngine
from pinpool.pool.lease_types import Lease, Standing
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

TICK_SECONDS = 0.1
#: How long a worker keeps a task that it cannot have.
DECLINE_SECONDS = 0.0005

#: Does what was submitted, an assignment as a rule, through a leased proxy. Returns its result, and how many seconds it
#: takes.
Perform = Callable[[Lease, Any], tuple[JobResult, float]]


class FakeEngine(LeadingEngine):
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
        cooling = until_judged(settings.cooling)
        super().__init__(Dispatch(standings, workers, cooling, settings.swap_after, self.clock))
        for number in range(1, workers + 1):
            self._dispatch.add(number, number=number, pid=number)
        self._flights: list[tuple[float, int, Slot, Outcome]] = []  # by the moment of their answer
        self._order = itertools.count()
        self._next_tick = 0.0

    def poll(self, timeout: float) -> list[Signal]:
        self._start_attempts()
        now = self.clock.monotonic()
        until = min(now + timeout, self._next_tick)
        if timeout >= TICK_SECONDS and not self._flights:
            until = now + 10 * TICK_SECONDS  # nothing can happen: longer steps make the pauses of a run cheap
        if not self._dispatch.has_signals:
            landing = self._flights[0][0] if self._flights else until
            self.clock.advance(min(landing, until) - now)
            while self._flights and self._flights[0][0] <= self.clock.monotonic():
                _, _, worker, outcome = heapq.heappop(self._flights)
                self._dispatch.answered(worker, outcome)
            self._start_attempts()
        if self.clock.monotonic() >= self._next_tick:
            self._next_tick = self.clock.monotonic() + TICK_SECONDS
            self._dispatch.tick()
        return self._dispatch.take_signals()

    def start(self) -> None:
        """No effect, like `wake`, `kill` and `close`: there is nothing to start, to wake, to kill or to close."""

    def wake(self) -> None:
        """No effect."""

    def kill(self, worker: int) -> None:
        """No effect."""

    def close(self) -> None:
        """No effect."""

    def _start_attempts(self) -> None:
        while (start := self._dispatch.next()) is not None:
            worker, serial, work, declined = start
            if declined is None:
                self.attempts += 1
                at = self.clock.epoch()
                result, seconds = self._perform(worker.lease, work)
                proxy = -1 if result.unasked else worker.proxy
                outcome = Outcome(serial, worker.number, proxy, at=at, seconds=seconds, **result._asdict())
            else:
                outcome = declined._replace(seconds=DECLINE_SECONDS)
            landing = self.clock.monotonic() + outcome.seconds
            heapq.heappush(self._flights, (landing, next(self._order), worker, outcome))


def spare_proxies(count: int) -> list[Standing]:
    """So many spare proxies with the ids 1, 2 and so on, at addresses that lead nowhere."""
    return [
        Standing(number, Proxy("http", "192.0.2.1", 8000 + number), ProxyState.SPARE) for number in range(1, count + 1)
    ]
