"""
Who does what next, where the parent leads its workers: in the engines that have no task queue between processes.

The parent holds the lease queue itself. A worker gets a task only if it has a proxy and no other task, so that nothing
ever waits behind a slow page, and a worker without a proxy costs nothing. Swaps, exchanges and rests are those of a
process's own worker (`worker`); here the parent makes them, between two tasks.

::

    submit → tasks ─┐
                    ├─ next() → Start: worker, task, lease → the engine carries it out → answered() or lost()
    idle workers ───┘                                                                        └→ signals
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.model import Assignment, Call, Ending, Outcome, ProxyState
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Answered, Census, Noted, Signal
from pinpool.pool.lease_types import Lease, Report, Standing
from pinpool.pool.leases import LeaseQueue
from pinpool.pool.pin import PinHealth
from pinpool.pool.status_board import Activity, Line

Work = Assignment | Call
_GENERATION = 1


@dataclass(eq=False, slots=True)
class Slot:
    """
    A worker as the parent knows it. `number` is what journal and log call it. Those of one `process` die together.

    `serial` is the attempt that it has in hand, 0 for none; `activity` and `since` (monotonic seconds) say what it does
    with it. An engine that knows better than "it runs" may set them.
    """

    token: int
    number: int
    pid: int
    process: object
    pin: PinHealth | None = None
    serial: int = 0
    activity: Activity = Activity.PARK
    since: float = 0.0
    alone: bool = False
    #: How many pins it has had; another number is another pin, even of the same proxy.
    pins: int = 0

    @property
    def proxy(self) -> int:
        """Its proxy, -1 without one."""
        return self.pin.lease.proxy if self.pin is not None else -1

    @property
    def lease(self) -> Lease:
        """Its lease. Raises RuntimeError without one."""
        if self.pin is None:
            raise RuntimeError(f"worker {self.number} has no proxy")
        return self.pin.lease


class Start(NamedTuple):
    """An attempt that a worker is to make now, through its lease; or its answer, if it declines the task."""

    worker: Slot
    serial: int
    work: Work
    declined: Outcome | None = None


@dataclass(eq=False)
class Dispatch:
    """
    The tasks, the workers and the lease queue of one engine. One thread calls it.

    `signals` grow until the engine hands them on (`take_signals`). `seats` is the largest number of workers.
    """

    standings: Sequence[Standing]
    seats: int
    cooling: float
    swap_after: int
    clock: Clock
    losses: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.queue = LeaseQueue(self.standings, self.seats, self.cooling, self.clock)
        self.queue.begin(_GENERATION)
        self.workers: dict[int, Slot] = {}
        self._idle: deque[Slot] = deque()
        self._parked: deque[Slot] = deque()  # without a proxy
        self._tasks: deque[tuple[int, Work, bool]] = deque()
        self._busy: Counter[object] = Counter()  # attempts by process
        self._kept: object = None  # the process that is kept for a task that is to be alone,
        self._kept_for = 0  # and its serial
        self._leaving: set[int] = set()
        self._signals: list[Signal] = []
        self.census = Census(self.seats, states={one.proxy: one.state for one in self.standings})

    # ------------------------------------------------------------------ workers

    def add(self, token: int, *, number: int, pid: int, process: object = None) -> Slot:
        """A worker is ready. `process` is the same for those that die together; by default it has its own."""
        worker = Slot(token, number, pid, token if process is None else process, since=self.clock.monotonic())
        _, lease = self.queue.check_in(token, pid, _GENERATION, number)
        self.workers[token] = worker
        if lease is None:
            self._parked.append(worker)
        else:  # not behind those that wait: none of them could have this proxy any more
            self._hold(worker, lease)
            self._idle.append(worker)
        return worker

    def lost(self, worker: Slot, *, hold: float = 0.0) -> int:
        """
        The worker is dead, or out of reach. Returns the serial of its attempt, 0 if it had none; that is no longer in
        flight. With `hold` its proxy is kept back for so many seconds, as it may still use it.
        """
        proxy, serial = worker.proxy, worker.serial
        self._end(worker)
        del self.workers[worker.token]
        for group in (self._idle, self._parked):
            if worker in group:
                group.remove(worker)
        self.queue.reap([worker.token])
        if hold and proxy >= 0:
            self.queue.hold_back([proxy], hold)
        self.losses += 1
        return serial

    # ------------------------------------------------------------------ tasks

    def submit(self, serial: int, work: Work, *, alone: bool = False) -> None:
        """A task for the next free worker; `alone` for one whose process has no other task until it is over."""
        self._tasks.append((serial, work, alone))

    @property
    def flight(self) -> set[int]:
        """The serials that are not answered."""
        return {serial for serial, _, _ in self._tasks} | {one.serial for one in self.workers.values() if one.serial}

    def next(self) -> Start | None:
        """The next attempt to make, None if no worker or no task is free. Call it until then."""
        self._pin_parked()
        while (found := self._next_pair()) is not None:
            worker, (serial, work, alone) = found
            declined = self._declined(worker, serial)
            if worker.proxy in self._leaving and not self._replace(worker, self.queue.leave):
                self._signals.append(Answered(declined))
                continue
            assert worker.pin is not None
            hesitates, worker.pin.hesitates = worker.pin.hesitates and isinstance(work, Assignment), False
            if (hesitates or worker.proxy in work.avoid) and not self._exchange(worker, work):
                self._begin(worker, serial, Activity.PACE, alone=alone)
                return Start(worker, serial, work, self._declined(worker, serial))
            self._begin(worker, serial, Activity.RUN, alone=alone)
            return Start(worker, serial, work)
        return None

    def answered(self, worker: Slot, outcome: Outcome) -> None:
        """The worker has made its attempt. Its proxy is swapped if the outcome asks for that."""
        self._end(worker)
        assert worker.pin is not None
        if outcome.evidence is not None:
            if worker.pin.fail(outcome.evidence, self.swap_after):
                outcome = outcome._replace(swapped=True)
                self._replace(worker, self.queue.swap)
        elif outcome.ending in (Ending.OK, Ending.GONE) and not outcome.unasked and worker.pin.credit():
            self.queue.proven(worker.token)
        self._signals.append(Answered(outcome))
        if worker.pin is not None:
            self._idle.append(worker)

    def abandoned(self, worker: Slot) -> None:
        """The worker is free again, but nobody answers for its attempt; that is no longer in flight."""
        self._end(worker)
        self._idle.append(worker)

    def tell(self, signal: Signal) -> None:
        """A signal of the engine itself, behind those that are there."""
        self._signals.append(signal)

    @property
    def has_signals(self) -> bool:
        """True if `take_signals` would return some."""
        return bool(self._signals)

    def take_signals(self) -> list[Signal]:
        """The signals since the last call."""
        signals, self._signals = self._signals, []
        return signals

    # ------------------------------------------------------------------ proxies

    def join(self, standings: Collection[Standing]) -> None:
        """These proxies are on the list now. The census shows it at once."""
        self.queue.join(standings)
        self.tick()

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These proxies are off the list."""
        self.queue.withdraw(proxies, reason)
        self.tick()

    def ask_to_swap(self, proxy: int) -> None:
        """The worker of this proxy, if there is one, swaps it before its next page."""
        self.queue.ask_to_swap(proxy)
        self.tick()

    @property
    def leaving(self) -> Collection[int]:
        """The pinned proxies that their workers are to leave before their next page, by the last tick."""
        return self._leaving

    def tick(self) -> Report:
        """Read the lease queue, and count who does what."""
        report = self.queue.report()
        self._leaving = {*report.leaving, *report.slow}
        self._signals += map(Noted, report.moves)
        lines = [_line(worker) for worker in self.workers.values()]
        doing = Counter(line.activity for line in lines)
        self.census = Census(
            workers=len(lines),
            running=doing[Activity.RUN],
            pacing=doing[Activity.PACE],
            parked=doing[Activity.PARK],
            losses=self.losses,
            states=report.states,
            wakes_in=min(report.rests.values(), default=None),
            lines=lines,
        )
        return report

    def flush(self) -> list[Signal]:
        """What `take_signals` returns, and the moves of proxies until now."""
        self.tick()
        return self.take_signals()

    # ------------------------------------------------------------------ within

    def _next_pair(self) -> tuple[Slot, tuple[int, Work, bool]] | None:
        """A task and a worker for it, both taken off their queues."""
        self._review_kept()
        for place, task in enumerate(self._tasks):
            for worker in self._idle:
                if self._may_have(worker, alone=task[2]):
                    del self._tasks[place]
                    self._idle.remove(worker)
                    return worker, task
            if not task[2] or not self._idle:
                return None
            # It waits for a process without another task. Until there is one, those behind it go elsewhere.
            if self._kept is None:
                self._keep(self._idle[0].process, task[0])
        return None

    def _may_have(self, worker: Slot, *, alone: bool) -> bool:
        if worker.process == self._kept:
            return alone and not self._busy[worker.process]
        return not alone or (self._kept is None and not self._busy[worker.process])

    def _begin(self, worker: Slot, serial: int, activity: Activity, *, alone: bool) -> None:
        worker.serial, worker.alone = serial, alone
        worker.activity, worker.since = activity, self.clock.monotonic()
        self._busy[worker.process] += 1
        if alone:
            self._keep(worker.process, serial)

    def _end(self, worker: Slot) -> None:
        if worker.serial:
            self._busy[worker.process] -= 1
            if not self._busy[worker.process]:
                del self._busy[worker.process]
        worker.serial, worker.alone = 0, False
        worker.activity, worker.since = Activity.IDLE, self.clock.monotonic()

    def _keep(self, process: object, serial: int) -> None:
        self._kept, self._kept_for = process, serial

    def _review_kept(self) -> None:
        """Keep no process that is dead or has no proxy, and none for a task that is over."""
        if self._kept is not None:
            able = [worker for worker in self.workers.values() if worker.process == self._kept and worker.pin]
            if not able or self._kept_for not in self.flight:
                self._keep(None, 0)

    def _pin_parked(self) -> None:
        while self._parked and (lease := self.queue.get(self._parked[0].token, 0.0)) is not None:
            worker = self._parked.popleft()
            self._hold(worker, lease)
            self._idle.append(worker)

    def _hold(self, worker: Slot, lease: Lease) -> None:
        worker.pin, worker.activity = PinHealth(lease), Activity.IDLE
        worker.pins += 1

    def _replace(self, worker: Slot, ask: Callable[[int, bytes], Lease | None]) -> bool:
        """Give the worker a spare for its proxy. False if there is none: it has no proxy then, and gets no task."""
        lease = ask(worker.token, b"")
        if lease is None:
            worker.pin, worker.activity = None, Activity.PARK
            self._parked.append(worker)
            return False
        self._hold(worker, lease)
        return True

    def _exchange(self, worker: Slot, work: Work) -> bool:
        """Take a spare that has not tried this task, if there is one."""
        if not (isinstance(work, Assignment) and work.exchange):
            return False
        lease = self.queue.exchange(worker.token, work.avoid)
        if lease is not None:
            self._hold(worker, lease)
        return lease is not None

    def _declined(self, worker: Slot, serial: int) -> Outcome:
        return Outcome(serial, worker.number, worker.proxy, Ending.DECLINED, self.clock.epoch(), 0.0)


def _line(worker: Slot) -> Line:
    return Line(
        worker.token, worker.token, worker.pid, 0, worker.activity, worker.serial, worker.since, worker.proxy,
        worker=worker.number,
    )  # fmt: skip


def pinned(standings: Sequence[Standing]) -> list[int]:
    """The proxies that an earlier parent had pinned."""
    return [one.proxy for one in standings if one.state is ProxyState.PINNED]
