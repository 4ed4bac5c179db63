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
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NoReturn, ParamSpec, TypeVar

from pinpool.errors import AttemptFailed
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome
from pinpool.pool.child_process import (
    dump_stack_to,
    forget_safe_path,
    leave_signals_to_parent,
    never_outlive_parent,
)
from pinpool.pool.job import WorkerConfig, pack, unpack_work
from pinpool.pool.lease_types import Lease
from pinpool.pool.pinned_worker import PinnedWorker, describe
from pinpool.pool.prints import log_prints
from pinpool.pool.status_board import Activity, is_alone, own_id
from pinpool.pool.this_worker import become, this_worker, whereabouts

P = ParamSpec("P")
R = TypeVar("R")

#: One wait of a parked worker. It bounds how long the Manager keeps a call of a process that was killed.
PARK_SECONDS = 1.0
#: How long a worker that declines a task keeps it, and leaves the queue of tasks to others.
DECLINE_SECONDS = 0.02


class Worker(PinnedWorker):
    """One worker. `start` pins its first proxy; then the pool calls `run` once for each attempt."""

    def __init__(self, config: WorkerConfig) -> None:
        self._token = secrets.randbits(62) | 1
        super().__init__(own_id(), Random(self._token))
        self._config = config
        self._leases = config.leases

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

    def beat(self) -> None:
        """Show on the board that this process runs Python code."""
        if (seat := vars(self).get("_seat")) is not None:
            seat.beat()

    # ------------------------------------------------------------------ an attempt

    def _untried(self, serial: int, work: Assignment | Call) -> Outcome | None:
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

    def _site_turn(self, seconds: float) -> float:
        return _answered(self._leases.turn, seconds)


def init_worker(config: WorkerConfig) -> None:
    """
    The pool's initializer: pins a proxy, waiting for one if there is none. Never raises.

    If an initializer raises, the pool starts the next process at once: 147 a second with four workers.
    """
    try:
        if is_alone():
            enter_process(config)
        worker = Worker(config)
        become(worker)
        worker.start()
    except BaseException as error:  # noqa: BLE001
        complain(config, error)


def enter_process(config: WorkerConfig) -> None:
    """What a process of the pool does before it has a worker."""
    leave_signals_to_parent()
    forget_safe_path()
    never_outlive_parent(config.hang_seconds)
    config.reporting.begin(whereabouts)
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
    if not isinstance(worker, Worker):
        raise AttemptFailed(serial, b"")
    return worker.run(serial, packed)


def stack_file(folder: Path, pid: int) -> Path:
    """Where a worker writes its stack when the parent asks for it."""
    return folder / f"{pid}.stack"


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
