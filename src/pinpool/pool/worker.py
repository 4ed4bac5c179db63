"""
The child's side: a worker that pins one proxy and does every task through it. It has a process of its own, or it is one
thread of a process that carries several (`shared_process`).

The worker swaps its pin on evidence, the parent judges. An attempt that fails is raised as `AttemptFailed`, so that
the pool's error_callback brings it to the parent, which resubmits the task. A worker never goes back for another task
without a proxy: it parks inside the failed call, or inside the initializer, and costs nothing there.

No other exception leaves this module. Every one, SystemExit too, becomes evidence, and every answer is bytes that were
pickled inside the task function.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NoReturn, ParamSpec, TypeVar

from pinpool.errors import AttemptFailed, DeadlinePassed
from pinpool.fetch.session import NO_PROFILE
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, Sign, Step
from pinpool.pool.child_process import (
    dump_stack_to,
    forget_safe_path,
    leave_signals_to_parent,
    never_outlive_parent,
)
from pinpool.pool.deadline import disarm
from pinpool.pool.job import JobResult, WorkerConfig, pack, unpack_work
from pinpool.pool.lease_types import Lease
from pinpool.pool.log_pipe import Whereabouts
from pinpool.pool.pin import Pin
from pinpool.pool.prints import log_prints
from pinpool.pool.status_board import Activity, is_alone, own_id
from pinpool.spider.user_errors import described
from pinpool.text import one_line

P = ParamSpec("P")
R = TypeVar("R")

#: One wait of a parked worker. It bounds how long the Manager keeps a call of a process that was killed.
PARK_SECONDS = 1.0
#: How long a worker that declines a task keeps it, and leaves the queue of tasks to others.
DECLINE_SECONDS = 0.02


class Worker:
    """One worker. `start` pins its first proxy; then the pool calls `run` once for each attempt."""

    pin: Pin

    def __init__(self, config: WorkerConfig) -> None:
        self._number = own_id()
        self._config = config
        self._leases = config.leases
        self._token = secrets.randbits(62) | 1
        self._random = Random(self._token)
        self._doing: tuple[int, Assignment | Call] | None = None

    def start(self) -> None:
        """Take a seat, load the job and pin a proxy, waiting for one if there is none."""
        number, lease = self._check_in()
        self._seat = self._config.board.seat(number)
        self._seat.take(self._token)
        self._job = self._config.job()
        self._pin(lease or self._wait_for_proxy())
        self._seat.show(Activity.IDLE)

    def run(self, serial: int, packed: tuple[Any, ...]) -> bytes:
        """Do one assignment. Returns the packed outcome; raises `AttemptFailed` with it if the attempt failed."""
        try:
            work = unpack_work(packed)
            self._doing = (serial, work)
            outcome = self._attempt(serial, work)
            if outcome.evidence is None:
                if outcome.ending in (Ending.OK, Ending.GONE) and not outcome.unasked:
                    self._credit()
                return pack(outcome)
            raise AttemptFailed(serial, self._answer_failure(outcome, outcome.evidence)) from None
        except AttemptFailed:
            raise
        except BaseException:  # noqa: BLE001  between two pins nobody knows what this worker holds
            _leave()
        finally:
            self._doing = None
            self._seat.show(Activity.IDLE, serial)

    def whereabouts(self) -> Whereabouts:
        """Proxy, task and attempt, for the log records of this process."""
        pin = vars(self).get("pin")  # not set yet while the worker starts
        serial, work = self._doing or (None, None)
        task = work.task.url if isinstance(work, Assignment) else None
        return Whereabouts(pin.lease.address.label if pin else None, task, serial, self._number)

    def goes_on(self) -> None:
        """Show that the assignment goes on: it is neither hung nor late."""
        if self._doing is not None:
            self._seat.show(Activity.RUN, self._doing[0])

    def beat(self) -> None:
        """Show on the board that this process runs Python code."""
        if (seat := vars(self).get("_seat")) is not None:
            seat.beat()

    # ------------------------------------------------------------------ an attempt

    def _attempt(self, serial: int, work: Assignment | Call) -> Outcome:
        result = None
        while result is None:
            if (untried := self._keep_or_change_pin(serial, work)) is not None:
                return untried
            pin = self.pin
            if not self._await_turn(pin, serial):
                continue
            self._seat.show(Activity.RUN, serial)
            at, start = time.time(), time.perf_counter()
            try:
                result = self._job.perform(pin, work)
            except BaseException as error:  # noqa: BLE001  SystemExit in user code must not lose the task
                # CPython 3.13 has jumps that no `with` covers; an alarm there leaves the block without its __exit__.
                disarm()
                sign = Sign.DEADLINE if isinstance(error, DeadlinePassed) else Sign.RAISED
                result = JobResult(Ending.FAILED, evidence=Evidence(Step.EXTRACT, sign, describe(error)))
        seconds = time.perf_counter() - start
        proxy = -1 if result.unasked else pin.lease.proxy
        return Outcome(serial, self._number, proxy, at=at, seconds=seconds, **result._asdict())

    def _keep_or_change_pin(self, serial: int, work: Assignment | Call) -> Outcome | None:
        """Leave a pin that was withdrawn or has tried the task. Returns the outcome if it cannot be tried now."""
        declined = Outcome(serial, self._number, self.pin.lease.proxy, Ending.DECLINED, time.time(), 0.0)
        if self._is_to_leave() and self._change_pin(self._leases.leave, serial, pack(declined)):
            return declined._replace(ending=Ending.RESUMED)
        hesitates = isinstance(work, Assignment) and self.pin.hesitates
        if hesitates or self.pin.lease.proxy in work.avoid:
            self._seat.show(Activity.PACE, serial)
            self.pin.hesitates = False
            if not (isinstance(work, Assignment) and work.exchange and self._exchange(work.avoid)):
                # Back at once, it would be the first in the queue, and get the same task again and again.
                time.sleep(DECLINE_SECONDS)
                return declined._replace(proxy=self.pin.lease.proxy)
        return None

    def _credit(self) -> None:
        if self.pin.credit():
            with suppress(Exception):  # the Manager is dead: the parent sees that by itself
                self._leases.proven(self._token)

    def _answer_failure(self, outcome: Outcome, evidence: Evidence) -> bytes:
        """Swap the pin if the evidence asks for it, and park if need be. Returns the packed answer to the parent."""
        if not self.pin.fail(evidence, self._job.settings.swap_after):
            return pack(outcome)
        answer = pack(outcome._replace(swapped=True))
        if self._change_pin(self._leases.swap, outcome.serial, answer):
            return pack(outcome._replace(ending=Ending.RESUMED, evidence=None, sample=None, result=None))
        return answer

    # ------------------------------------------------------------------ the pin

    def _pin(self, lease: Lease) -> None:
        self._seat.pin(lease.proxy)
        profiles = self._job.settings.profiles
        self.pin = Pin(lease, self._job.settings, self._random.choice(profiles) if profiles else NO_PROFILE)

    def _change_pin(self, ask: Callable[[int, bytes], Lease | None], serial: int, answer: bytes) -> bool:
        """Let go of the pin and take another. True if the worker parked, so the lease queue has its answer."""
        # Closed before the proxy is spare: its next worker must never meet us there.
        self.pin.fetcher.close()
        self._seat.pin(-1)
        self._seat.show(Activity.PARK, serial)
        lease = _answered(ask, self._token, answer)
        self._pin(lease or self._wait_for_proxy())
        return lease is None

    def _exchange(self, avoid: tuple[int, ...]) -> bool:
        """Take a spare that has not tried this task, though nothing is wrong with the pin."""
        self.pin.fetcher.close()  # as in `_change_pin`; on the same pin, a new session costs one connection
        lease = _answered(self._leases.exchange, self._token, avoid)
        if lease is not None:
            self._pin(lease)
        return lease is not None

    def _is_to_leave(self) -> bool:
        return self._seat.is_to_leave(self.pin.lease.proxy)

    def _check_in(self) -> tuple[int, Lease | None]:
        while True:
            asked = self._token, os.getpid(), self._config.generation, self._number
            number, lease = _answered(self._leases.check_in, *asked)
            if number >= 0:
                return number, lease
            time.sleep(PARK_SECONDS / 10)  # the seat of a dead worker is being cleared

    def _wait_for_proxy(self) -> Lease:
        while (lease := _answered(self._leases.get, self._token, PARK_SECONDS)) is None:
            continue
        return lease

    # ------------------------------------------------------------------ its turn

    def _await_turn(self, pin: Pin, serial: int) -> bool:
        """Wait until the proxy may be used again. False if the worker is to leave it instead."""
        if not self._sleep_until(pin.next_turn(self._random.uniform(0.75, 1.25)), serial):
            return False
        if rate := self._job.settings.site_rate:
            # Requests beyond the turns that were given, redirects for instance, are paid for now.
            asked = pin.fetcher.session.pin.progress.asked
            turns = 1 + max(0, asked - pin.paid)
            pin.paid = asked + 1
            self._seat.show(Activity.PACE, serial)
            wait = _answered(self._leases.turn, turns / rate)
            return self._sleep_until(time.monotonic() + wait, serial)
        return True

    def _sleep_until(self, moment: float, serial: int) -> bool:
        while (wait := moment - time.monotonic()) > 0:
            # Shown again and again, as a sign of life: a stopped worker gives none.
            self._seat.show(Activity.PACE, serial)
            if self._is_to_leave():
                return False
            time.sleep(min(wait, PARK_SECONDS))
        return True


#: The one process global: this process as a worker, with its pin. None if the process carries several workers.
_worker: Worker | None = None
#: There, the worker of each thread.
_of_thread = threading.local()


def init_worker(config: WorkerConfig) -> None:
    """
    The pool's initializer: pins a proxy, waiting for one if there is none. Never raises.

    If an initializer raises, the pool starts the next process at once: 147 a second with four workers.
    """
    global _worker  # noqa: PLW0603  the process global that the design is about
    try:
        if is_alone():
            enter_process(config)
            worker = _worker = Worker(config)
        else:
            worker = _of_thread.worker = Worker(config)
        worker.start()
    except BaseException as error:  # noqa: BLE001
        complain(config, error)


def enter_process(config: WorkerConfig) -> None:
    """What a process of the pool does before it has a worker."""
    leave_signals_to_parent()
    forget_safe_path()
    never_outlive_parent(config.hang_seconds)
    config.reporting.begin(_whereabouts)
    if config.logs_prints:
        log_prints(own_id)
    with suppress(OSError):  # a hang without a stack is reported all the same
        dump_stack_to(stack_file(config.stacks, os.getpid()))


def complain(config: WorkerConfig, error: BaseException) -> NoReturn:
    """Report that no worker can start here. The parent ends the run, and this process with it."""
    try:
        config.leases.complain(describe(error))
    except Exception:  # noqa: BLE001
        _leave()
    while True:
        time.sleep(60)


def run(serial: int, packed: tuple[Any, ...]) -> bytes:
    """The pool's task function; see `Worker.run`."""
    worker = this_worker()
    if worker is None:
        raise AttemptFailed(serial, b"")
    return worker.run(serial, packed)


def this_worker() -> Worker | None:
    """The worker that calls, None outside of one."""
    return _worker or getattr(_of_thread, "worker", None)


def goes_on() -> None:
    """Show that the assignment of this worker goes on, though it takes long. No effect outside of one."""
    worker = this_worker()
    if worker is not None:
        worker.goes_on()


def pinned() -> Pin:
    """The pin of this worker. Raises RuntimeError outside of one."""
    worker = this_worker()
    if worker is None:
        raise RuntimeError("session() and proxy() work inside a function that a PinnedPool runs, and nowhere else")
    return worker.pin


def _whereabouts() -> Whereabouts:
    worker = this_worker()
    return worker.whereabouts() if worker else Whereabouts()


def stack_file(folder: Path, pid: int) -> Path:
    """Where a worker writes its stack when the parent asks for it."""
    return folder / f"{pid}.stack"


def describe(error: BaseException) -> str:
    """Class and message of any exception, also of one that cannot be printed, in one line."""
    return one_line(described(error))


def _answered(ask: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What the lease queue answers. Ends this process if the Manager is dead, or the queue has no use for it."""
    try:
        return ask(*arguments, **named)
    except Exception:  # noqa: BLE001  who holds what is unknown now: only a new worker can start clean
        _leave()


def _leave() -> NoReturn:
    # Slowly, so that a pool which cannot reach its Manager does not turn into a storm of processes.
    time.sleep(1)
    os._exit(1)
