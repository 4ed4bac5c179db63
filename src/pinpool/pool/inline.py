"""
The engine without processes: every page in the calling thread, one after another. For a debugger and a profiler.

There are as many workers as in any other engine, each with a proxy, and they take turns: so a page is asked for through
another proxy, a pace is kept and a swap is seen as elsewhere. While a page is fetched nothing else happens. No alarm
interrupts it, or a breakpoint would end with the deadline of its page; between two reads of an answer it still counts.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pinpool.model import Assignment, Call, Outcome
from pinpool.policy.reputation import until_judged
from pinpool.pool.clock import SYSTEM_CLOCK
from pinpool.pool.deadline import handler_of, without_alarm
from pinpool.pool.dispatch import Dispatch, Start
from pinpool.pool.engine import Signal
from pinpool.pool.job import Job
from pinpool.pool.leading_engine import LeadingEngine
from pinpool.pool.lease_types import Standing
from pinpool.pool.pinned_worker import LedWorker
from pinpool.pool.registry import EnginePlan
from pinpool.pool.status_board import WIDTH, StatusBoard
from pinpool.pool.this_worker import whereabouts
from pinpool.spider.user_errors import note_page

TICK_SECONDS = 0.1


class InlineEngine(LeadingEngine):
    """See the module's docstring. Everything happens in the thread that calls `poll`."""

    name = "inline"

    def __init__(
        self,
        job: Callable[[], Job],
        proxies: Sequence[Standing],
        *,
        workers: int,
        cooling: float,
        swap_after: int = 3,
        passed: tuple[type[BaseException], ...] = (),
    ) -> None:
        """
        What is `passed` on, of all that the job raises, goes to the caller of `poll`. A swapped proxy rests for
        `cooling` seconds until it is judged.
        """
        self._make_job = job
        self._count = workers
        self._passed = passed
        super().__init__(Dispatch(proxies, workers, cooling, swap_after, SYSTEM_CLOCK))
        self._workers: dict[int, LedWorker] = {}
        self._woken = threading.Event()
        self._next_tick = 0.0

    def start(self) -> None:
        for handler in logging.getLogger().handlers:
            handler.addFilter(_say_where)
        job = self._make_job()
        dispatch = self._dispatch
        board = StatusBoard([0] * (self._count * WIDTH))
        for number in range(1, self._count + 1):
            worker = LedWorker(
                number, job, board.seat(number - 1), site_turn=dispatch.queue.turn, passes=self._is_passed
            )
            self._workers[number] = worker
            dispatch.add(number, number=number, pid=number)
        dispatch.tick()

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        self._check_open()
        super().submit(serial, work, alone=alone)

    def poll(self, timeout: float) -> list[Signal]:
        self._check_open()
        dispatch = self._dispatch
        start = dispatch.next()
        self._let_go()
        if start is not None:
            outcome = start.declined
            if outcome is None:
                outcome = self._run(start)
            dispatch.answered(start.worker, outcome)
            self._let_go()
        elif not dispatch.has_signals:
            self._woken.wait(max(0.0, min(timeout, self._next_tick - time.monotonic())))
            self._woken.clear()
        if time.monotonic() >= self._next_tick:
            dispatch.tick()
            self._next_tick = time.monotonic() + TICK_SECONDS
        return dispatch.take_signals()

    def wake(self) -> None:
        self._woken.set()

    def kill(self, worker: int) -> None:
        """No effect: whoever calls this, no page is in hand."""

    def close(self) -> None:
        for handler in logging.getLogger().handlers:
            handler.removeFilter(_say_where)
        for worker in self._workers.values():
            worker.let_go()
        self._workers.clear()

    def _run(self, start: Start) -> Outcome:
        worker = start.worker
        try:
            with without_alarm(), _without_debugger():
                return self._workers[worker.number].run(start.serial, start.work, worker.lease, worker.pins)
        except BaseException as error:
            if isinstance(start.work, Assignment):
                note_page(error, start.work.task, worker.lease.address.label)
            raise

    def _check_open(self) -> None:
        if not self._workers:
            raise RuntimeError("this engine is not started, or closed")

    def _let_go(self) -> None:
        """Close the connections of pins that are over, before another worker has their proxies."""
        for slot in self._dispatch.workers.values():
            worker = self._workers[slot.number]
            if slot.pin is None or slot.pins != worker.pins:
                worker.let_go()

    def _is_passed(self, error: BaseException) -> bool:
        return isinstance(error, self._passed)


def _say_where(record: logging.LogRecord) -> bool:
    """Give what is logged in a page its proxy, task and attempt, as records of other engines have them."""
    if (where := whereabouts()).worker is not None:
        vars(record).update(where._asdict())
    return True


@contextmanager
def _without_debugger() -> Iterator[None]:
    """
    At the end of the block, no debugger goes on that has begun in it: a step further would show our own code, and a
    Ctrl-C or a `q` there would end the run in the middle of something.
    """
    traced = sys.gettrace() is not None
    in_main = threading.current_thread() is threading.main_thread()
    interrupted = handler_of(signal.SIGINT) if in_main else None
    try:
        yield
    finally:
        if not traced and is_pdb(sys.gettrace()):
            sys.settrace(None)
        # pdb has one of its own from its first `c` on.
        if in_main and handler_of(signal.SIGINT) is not interrupted:
            signal.signal(signal.SIGINT, signal.SIG_DFL if interrupted is None else interrupted)  # type: ignore[arg-type]


def is_pdb(trace: object) -> bool:
    """True if this trace function is that of pdb, or of a debugger made of it."""
    debugger = sys.modules.get("bdb")
    return debugger is not None and isinstance(getattr(trace, "__self__", None), debugger.Bdb)


def engine_for(plan: EnginePlan) -> InlineEngine:
    """The engine of a run."""
    return InlineEngine(
        plan.job,
        plan.proxies,
        workers=plan.workers,
        cooling=until_judged(plan.settings.cooling),
        swap_after=plan.settings.swap_after,
        passed=plan.choice.passed,
    )
