"""
The loop of a `PinnedPool`: sends its calls to the workers, judges what comes back, and ends the futures.

It has a thread of its own, in which no code of the user runs but that which makes results of their pickles.
"""

import copy
import heapq
import itertools
import logging
import pickle
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pinpool.calls.futures import Callbacks, CallFuture
from pinpool.calls.ledger import Ledger
from pinpool.calls.sending import explained, name_of, shown_call
from pinpool.errors import CallFailed, NoUsableProxy, PinpoolError
from pinpool.model import Call, Ending, FailedAttempt, Outcome, ProxyState
from pinpool.policy.decision import Judge, failed_attempt
from pinpool.policy.faults import FAULTS
from pinpool.policy.retry import Resubmit
from pinpool.pool.attempts import Attempts
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Answered, Census, Engine, Lost, Noted, Signal, window
from pinpool.pool.settle import Settler
from pinpool.proxies.redaction import Redaction
from pinpool.spider.user_errors import described
from pinpool.text import duration, one_line

POLL_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class PendingCall:
    """A call that has not ended. `blob` is what `packed_call` makes of function and arguments."""

    id: int
    blob: bytes
    future: CallFuture[Any]
    may_repeat: bool
    function: Callable[..., Any]
    arguments: tuple[object, ...]
    named: Mapping[str, object]
    history: list[FailedAttempt] = field(default_factory=list)
    alone: bool = False

    @property
    def tried(self) -> set[int]:
        """The proxies that have failed it."""
        return {failure.proxy for failure in self.history if failure.proxy is not None}

    @property
    def repeatable(self) -> bool:
        """True if it may be made twice at a time. A call that may kill workers gets one of them."""
        return (
            self.may_repeat
            and not self.alone
            and not any(FAULTS[failure.fault].loses_worker for failure in self.history)
        )


class CallLoop:
    """See the module's docstring. `put`, `finish`, `abort` and `join` may be called by any thread."""

    def __init__(
        self,
        engine: Engine,
        judge: Judge,
        ledger: Ledger,
        redaction: Redaction,
        *,
        workers: int,
        clock: Clock,
    ) -> None:
        """`engine` is to be started before the loop is. `redaction` is for what the user's code says of its errors."""
        self._engine = engine
        self._judge = judge
        self._ledger = ledger
        #: They have a thread of their own: a slow one must not keep the loop from the workers.
        self.callbacks = Callbacks(self._wake)
        self._redaction = redaction
        self._workers = workers
        self._clock = clock
        self._settler = Settler(engine, judge, ledger)
        self._attempts = Attempts[PendingCall](engine, self._settler)
        self._serials = itertools.count(1)
        self._inbox: queue.SimpleQueue[PendingCall] = queue.SimpleQueue()
        self._waiting: deque[PendingCall] = deque()
        self._delayed: list[tuple[float, int, PendingCall]] = []
        self._finishing = self._aborting = False
        self._has_told = False  # that all proxies rest
        self._lock = threading.Lock()
        self._over: BaseException | None = None  # why the loop has ended; later calls end with it too
        # Not Thread.join: before Python 3.13 a Ctrl-C in it makes a thread look as if it had ended.
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pinpool-pump", daemon=True)

    def start(self) -> None:
        """Start both threads. That of the loop closes the engine when it ends."""
        self.callbacks.start()
        self._thread.start()

    def put(self, call: PendingCall) -> None:
        """Make this call. If the loop has ended, the call fails for the same reason."""
        with self._lock:
            if (over := self._over) is None:
                self._inbox.put(call)
        if over is not None:
            call.future.fail(_again(over))
        self._engine.wake()

    def finish(self) -> None:
        """End as soon as all calls have, and all callbacks: these may still `put` calls."""
        self._finishing = True
        self._engine.wake()

    def abort(self) -> None:
        """End now. The calls that have not ended fail."""
        self._aborting = True
        self._engine.wake()

    def join(self, seconds: float | None = None) -> None:
        """Wait until the engine is closed, at most for so many seconds."""
        self._has_ended.wait(seconds)

    def _wake(self) -> None:
        # The last callback has ended. Only a loop that is about to end waits for that.
        if self._finishing:
            self._engine.wake()

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._has_ended.set()

    def _work(self) -> None:
        failure: BaseException = CallFailed("closed", "the pool was closed before the call came to an end")
        try:
            while not self._aborting:
                self._fill()
                for signal in self._engine.poll(POLL_SECONDS):
                    self._take(signal)
                quiet = self.callbacks.idle  # asked first: a callback may put a call before it ends
                busy = bool(self._attempts or self._waiting or self._delayed) or not self._inbox.empty()
                if self._finishing and quiet and not busy:
                    break
                if busy:
                    self._look_at_proxies(self._engine.census())
        except BaseException as error:  # noqa: BLE001  it must reach those that wait
            failure = error
        finally:
            with self._lock:
                self._over = failure
            try:
                self._give_up(failure)
                # The figures count the last moves of proxies too, which came too late for a `poll`.
                for signal in self._engine.flush():
                    self._take(signal)
            finally:
                self._engine.close()

    def _look_at_proxies(self, census: Census) -> None:
        """Say so if the calls wait because all proxies rest. Raises NoUsableProxy if all are retired."""
        reasons = self._ledger.reasons() if not census.usable else Counter[str]()
        why = "; ".join(f"{one_line(reason)}: {count}" for reason, count in reasons.most_common())
        if census.alive == 0:
            raise NoUsableProxy(f"no usable proxy is left ({why})")
        if census.usable or census.wakes_in is None:
            self._has_told = False
        elif not self._has_told:
            self._has_told = True
            words = "the calls wait, because every proxy rests (%s): the next one is tried in %s"
            logging.getLogger("pinpool").warning(words, why, duration(census.wakes_in))

    def _fill(self) -> None:
        self._empty_inbox()
        while self._delayed and self._delayed[0][0] <= self._clock.monotonic():
            self._waiting.appendleft(heapq.heappop(self._delayed)[2])
        while self._waiting and self._waiting[0].future.cancelled():
            self._waiting.popleft()
        room = window(min(self._workers, self._engine.census().usable))
        while self._waiting and len(self._attempts) < room:
            call = self._waiting.popleft()
            if call.future.begin():
                self._send(call)
        if not self._waiting:
            for call, avoid in self._attempts.overdue(self._clock.monotonic(), closing=not self._delayed):
                self._send(call, avoid)

    def _send(self, call: PendingCall, avoid: tuple[int, ...] = ()) -> None:
        serial = next(self._serials)
        self._attempts.sent(serial, call)
        self._engine.submit(serial, Call(call.blob, avoid), alone=call.alone)

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered(outcome):
                if (call := self._attempts.ended(outcome.serial)) is not None:
                    call.alone &= outcome.ending is Ending.DECLINED
                    self._settle(call, outcome)
                else:
                    self._attempts.ended_late(outcome)
            case Lost(serial, sign):
                outcome = signal.outcome(self._clock.epoch())
                if (call := self._attempts.ended(serial)) is None:
                    self._attempts.ended_late(outcome)
                    return
                call.alone |= signal.suspect
                if sign is not None:
                    self._settle(call, outcome)
                elif call not in self._attempts:
                    self._waiting.appendleft(call)
            case Noted(event):
                self._settler.noted(event)

    def _settle(self, call: PendingCall, outcome: Outcome) -> None:
        if outcome.ending is Ending.DECLINED:
            pinned = self._engine.census().count(ProxyState.PINNED)
            if not self._attempts.declined(call, self._clock.monotonic(), pinned):
                self._waiting.appendleft(call)
        elif outcome.evidence is None:
            credit = self._judge.fetched(outcome.proxy, call.id, call.history)
            self._settler.fetched(call.id, outcome.proxy, credit)
            if (found := self._attempts.answered(call, outcome, self._clock.monotonic())) is not None:
                overtaken, fault = found
                self._ledger.add(call.id, overtaken, fault, charged=fault is not None)
            self._ledger.add(call.id, outcome)
            self._finish(call, outcome.result or b"")
            self._ledger.end(call.id)
        else:
            self._settle_failed(call, outcome)

    def _settle_failed(self, call: PendingCall, outcome: Outcome) -> None:
        assert outcome.evidence is not None
        undecided = self._attempts.failed(call, self._clock.monotonic())
        failure = failed_attempt(outcome)
        alive = self._engine.census().living
        decision = self._judge.failed(
            call.id,
            failure,
            call.history,
            swapped=outcome.swapped,
            alive=alive,
            retry_after=outcome.evidence.retry_after,
            undecided=undecided,
        )
        call.history.append(failure)
        self._ledger.add(call.id, outcome, failure.fault, charged=decision.charged)
        self._settler.failed(call.id, outcome.proxy, decision)
        if undecided:
            return
        if isinstance(decision.verdict, Resubmit):
            moment = self._clock.monotonic() + decision.verdict.after
            heapq.heappush(self._delayed, (moment, next(self._serials), call))
        else:
            message = f"{decision.verdict.reason}: {outcome.evidence.message}"
            trace = (outcome.result or b"").decode("utf-8", "replace")
            self._fail(call, failure.fault.value, message, trace)
            self._ledger.end(call.id)

    def _finish(self, call: PendingCall, result: bytes) -> None:
        try:
            good, value = pickle.loads(result)
        except BaseException as error:  # noqa: BLE001  a result whose class this process cannot make again
            kind, _, message = one_line(described(error)).partition(": ")
            message = f"{message}; the result of {name_of(call.function)} cannot be unpickled here: return plain data"
            self._fail(call, kind, message)
            return
        if good:
            call.future.succeed(value)
        else:
            place, kind, message, trace = value
            self._fail(call, kind, explained(place, call.function, kind, message), trace)

    def _fail(self, call: PendingCall, kind: str, message: str, trace: str = "") -> None:
        error = CallFailed(kind, self._redaction(message), self._redaction(trace))
        call.future.fail(self._told(error, call))

    def _told(self, error: CallFailed, call: PendingCall) -> CallFailed:
        """The error, with what Python prints below it: which of many calls this was."""
        error.arguments = call.arguments
        error.add_note(self._redaction(f"in the call {shown_call(call.function, call.arguments, call.named)}"))
        return error

    def _give_up(self, failure: BaseException) -> None:
        self._empty_inbox()
        for call in [*self._attempts.tasks(), *self._waiting, *(late[2] for late in self._delayed)]:
            error = _again(failure)
            call.future.fail(self._told(error, call) if isinstance(error, CallFailed) else error)

    def _empty_inbox(self) -> None:
        while not self._inbox.empty():
            self._waiting.append(self._inbox.get())


def _again(failure: BaseException) -> BaseException:
    """The same error once more. Each raise adds to the traceback of an exception, and many futures may raise it."""
    return copy.copy(failure) if isinstance(failure, PinpoolError) else failure
