"""
What every worker does with its pin, whoever gives it one: wait for its turn, do an assignment, say where it is.

A worker of a pool deals with the lease queue itself (`worker`). A worker that the parent leads gets its lease with each
task (`LedWorker`).
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random

from pinpool.errors import DeadlinePassed
from pinpool.fetch.session import NO_PROFILE
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, Sign, Step
from pinpool.pool.deadline import disarm
from pinpool.pool.job import Job, JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.log_pipe import Whereabouts
from pinpool.pool.pin import Pin
from pinpool.pool.status_board import Activity, Seat
from pinpool.pool.this_worker import acting_as
from pinpool.spider.user_errors import described
from pinpool.text import one_line

#: One wait of a worker, after which it shows that it lives.
WAIT_SECONDS = 1.0


class PinnedWorker(ABC):
    """A worker with a job and a seat on the status board, and, as long as it has a proxy, a pin."""

    pin: Pin
    _job: Job
    _seat: Seat

    def __init__(self, number: int, random: Random) -> None:
        self._number = number
        self._random = random
        self._doing: tuple[int, Assignment | Call] | None = None

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

    # ------------------------------------------------------------------ what kinds of workers differ in

    @abstractmethod
    def _untried(self, serial: int, work: Assignment | Call) -> Outcome | None:
        """See to the pin before each step of an attempt. Returns the outcome if the assignment cannot be tried."""

    @abstractmethod
    def _site_turn(self, seconds: float) -> float:
        """Seconds until this worker's turn at the site, which takes `seconds`."""

    def _passes(self, error: BaseException) -> bool:
        """True if what the job has raised is not evidence, but goes to whoever runs this worker."""
        return False

    # ------------------------------------------------------------------ an attempt

    def _attempt(self, serial: int, work: Assignment | Call) -> Outcome:
        result = None
        while result is None:
            if (untried := self._untried(serial, work)) is not None:
                return untried
            pin = self.pin
            if not self._await_turn(pin, serial):
                continue
            self._seat.show(Activity.RUN, serial)
            at, start = time.time(), time.perf_counter()
            try:
                result = self._job.perform(pin, work)
            except BaseException as error:
                # CPython 3.13 has jumps that no `with` covers; an alarm there leaves the block without its __exit__.
                disarm()
                if self._passes(error):
                    raise
                sign = Sign.DEADLINE if isinstance(error, DeadlinePassed) else Sign.RAISED
                result = JobResult(Ending.FAILED, evidence=Evidence(Step.EXTRACT, sign, describe(error)))
        seconds = time.perf_counter() - start
        proxy = -1 if result.unasked else pin.lease.proxy
        return Outcome(serial, self._number, proxy, at=at, seconds=seconds, **result._asdict())

    def _pin(self, lease: Lease) -> None:
        self._seat.pin(lease.proxy)
        profiles = self._job.settings.profiles
        self.pin = Pin(lease, self._job.settings, self._random.choice(profiles) if profiles else NO_PROFILE)

    def _is_to_leave(self) -> bool:
        return self._seat.is_to_leave(self.pin.lease.proxy)

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
            return self._sleep_until(time.monotonic() + self._site_turn(turns / rate), serial)
        return True

    def _sleep_until(self, moment: float, serial: int) -> bool:
        while (wait := moment - time.monotonic()) > 0:
            # Shown again and again, as a sign of life: a stopped worker gives none.
            self._seat.show(Activity.PACE, serial)
            if self._is_to_leave():
                return False
            time.sleep(min(wait, WAIT_SECONDS))
        return True


class LedWorker(PinnedWorker):
    """A worker that gets its lease with each task. It never asks for one, and never parks."""

    def __init__(
        self,
        number: int,
        job: Job,
        seat: Seat,
        *,
        site_turn: Callable[[float], float],
        passes: Callable[[BaseException], bool] = lambda error: False,
    ) -> None:
        """
        `site_turn` is asked for a turn at the site: it takes the seconds of the turn, and returns those until it
        begins. What `passes` is true for, of all that the job raises, `run` raises.
        """
        super().__init__(number, Random(os.urandom(8)))
        self._job, self._seat = job, seat
        self._turn = site_turn
        self._is_passed = passes
        self.pins = 0
        seat.take(number)
        seat.show(Activity.IDLE)

    def run(self, serial: int, work: Assignment | Call, lease: Lease, pins: int) -> Outcome:
        """
        Do one assignment through this lease, which is the worker's pin number `pins`: with another number it is
        another pin, even of the same proxy. DECLINED if the worker was asked to leave it meanwhile.
        """
        if pins != self.pins:
            self.let_go()
            self._pin(lease)
            self.pins = pins
        self._doing = (serial, work)
        try:
            with acting_as(self):
                return self._attempt(serial, work)
        finally:
            self._doing = None
            self._seat.show(Activity.IDLE, serial)

    def let_go(self) -> None:
        """Close the connections of its pin, if it has one: its proxy may be another worker's next."""
        self.pins = 0
        if (pin := vars(self).pop("pin", None)) is not None:
            pin.fetcher.close()
            self._seat.pin(-1)

    def _untried(self, serial: int, work: Assignment | Call) -> Outcome | None:
        if self._is_to_leave():
            return Outcome(serial, self._number, self.pin.lease.proxy, Ending.DECLINED, time.time(), 0.0)
        return None

    def _site_turn(self, seconds: float) -> float:
        return self._turn(seconds)

    def _passes(self, error: BaseException) -> bool:
        return self._is_passed(error)


def describe(error: BaseException) -> str:
    """Class and message of any exception, also of one that cannot be printed, in one line."""
    return one_line(described(error))
