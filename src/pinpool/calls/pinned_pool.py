"""
`PinnedPool`: a Pool in which each worker holds one proxy, for calls of any function instead of pages.

Engine and decisions are those of a crawl. A call that fails because of its proxy is made again through another one. A
call that raises for its own reasons raises `CallFailed` for its caller.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import pickle
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pinpool.calls import PRELOAD
from pinpool.calls.call_job import CallJob
from pinpool.calls.ledger import Ledger
from pinpool.calls.sending import packed_call
from pinpool.errors import CallFailed, NoUsableProxy
from pinpool.model import Call, Ending, FailedAttempt, Outcome, ProxyState
from pinpool.policy.decision import Judge, failed_attempt
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Reputation
from pinpool.policy.retry import Resubmit
from pinpool.pool.attempts import Attempts
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.engine import Answered, Lost, Noted, Signal, window
from pinpool.pool.ground import check_ground
from pinpool.pool.lease_types import Standing
from pinpool.pool.registry import make_engine
from pinpool.pool.settle import Settler
from pinpool.pool.worker import pinned
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import proxies_from
from pinpool.settings import settings_from
from pinpool.stats.capacity import free_capacity

if TYPE_CHECKING:
    import requests

R = TypeVar("R")

POLL_SECONDS = 0.1
#: Seconds to wait at the interpreter's exit for a pool that nobody closed.
EXIT_SECONDS = 10.0


def session() -> requests.Session:
    """
    The requests.Session of this worker's pin: every request goes through its proxy, whatever the environment says.

    Only inside a function that a `PinnedPool` runs; elsewhere RuntimeError.
    """
    return pinned().fetcher.session


@dataclass(slots=True, eq=False)
class _Call:
    blob: bytes
    future: Future[Any]
    id: int
    may_repeat: bool
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


class PinnedPool:
    """
    A pool of worker processes, each with one proxy of the list. Use it in a ``with``: leaving it waits for all calls.

    `proxies` is the path of a list, its lines, or None for PINPOOL_PROXIES; `workers` one for each by default.
    `settings` are those of a spider: threads, timeouts, deadline, attempts, swap_after, headers, profiles, pace,
    site_rate and so on. Those that judge a page have no effect here: ban rules, empty_ok, robots.

    A `repeatable` call may be made twice at the same time: if it takes much longer than others do and a worker has
    nothing to do, that one makes it too. The first result counts, and the other is dropped.

    Functions must be importable by the workers: defined at the top level of a module, or of a script that starts the
    pool under ``if __name__ == "__main__":``. Callbacks run in a thread of the pool.
    """

    def __init__(
        self,
        proxies: str | Path | Sequence[str] | ProxyList | None = None,
        *,
        workers: int | None = None,
        start_method: str | None = None,
        repeatable: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        **settings: object,
    ) -> None:
        end_if_starting()
        check_ground()
        chosen = settings_from(settings)
        listed = proxies_from(proxies).proxies
        reputation = Reputation(chosen.cooling)
        for number, proxy in enumerate(listed, 1):
            reputation.admit(number, proxy.label)
        self._clock = clock
        self._repeatable = repeatable
        self._judge = Judge(reputation, chosen, Random())
        self._ledger = Ledger({number: proxy.label for number, proxy in enumerate(listed, 1)}, clock)
        self._proxies = len(listed)
        self._workers = min(workers or len(listed), free_capacity(chosen.threads).workers)
        self._engine = make_engine(
            partial(CallJob, chosen),
            [Standing(number, proxy, ProxyState.SPARE) for number, proxy in enumerate(listed, 1)],
            chosen,
            workers=self._workers,
            start_method=start_method,
            preload=PRELOAD,
        )
        self._settler = Settler(self._engine, self._judge, self._ledger)
        self._inbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._waiting: deque[_Call] = deque()
        self._delayed: list[tuple[float, int, _Call]] = []
        self._attempts = Attempts[_Call](self._engine, self._settler)
        self._serials = itertools.count(1)
        self._closing = self._aborting = False
        self._lock = threading.Lock()
        self._over: BaseException | None = None  # why the pump has ended; later calls end with it too
        self._results: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._engine.start()
        # Callbacks have a thread of their own: a slow one must not keep the pump from the workers.
        self._callbacks = threading.Thread(target=self._deliver, name="pinpool-callbacks", daemon=True)
        self._callbacks.start()
        self._pump = threading.Thread(target=self._run, name="pinpool-pump", daemon=True)
        self._pump.start()
        # Before multiprocessing's own exit, which would end the workers while the pump uses them.
        atexit.register(self._abort)

    def __repr__(self) -> str:
        return f"<PinnedPool {self._workers} workers, {self._proxies} proxies>"

    @property
    def proxies(self) -> list[dict[str, Any]]:
        """
        The figures of each proxy so far, in the list's order: dicts with the keys of `proxies` in `stats --json`.

        A call that raised for its own reasons counts as ok: its proxy did what it should. `bytes` are those of the
        answers that `session()` got, headers included. May be read at any time, also after the end.
        """
        return self._ledger.documents(self._engine.census().states)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._aborting = kind is not None
        self.close()

    def submit(
        self,
        function: Callable[..., R],
        /,
        *arguments: object,
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        repeatable: bool | None = None,
    ) -> Future[R]:
        """
        Call ``function(*arguments)`` in a worker. The future and the callbacks get its result, or `CallFailed`.
        `repeatable` is the pool's unless given.

        Raises UsageError if function or arguments cannot be sent.
        """
        if self._closing:
            raise RuntimeError("this pool is closed")
        future: Future[R] = Future()

        def call_back(done: Future[R]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None and callback is not None:
                callback(done.result())
            elif error is not None and error_callback is not None:
                error_callback(error)

        future.add_done_callback(call_back)
        blob = packed_call(function, arguments)
        call = _Call(blob, future, next(self._serials), self._repeatable if repeatable is None else repeatable)
        with self._lock:
            if (over := self._over) is None:
                self._inbox.put(call)
        if over is not None:
            _end(future, over, failed=True)
        self._engine.wake()
        return future

    def map_unordered(
        self, function: Callable[..., R], arguments: Iterable[object], *, repeatable: bool | None = None
    ) -> Iterator[R]:
        """
        The results of ``function(argument)``, as they come. `arguments` is read only as far as the workers need it.

        Raises `CallFailed` where a call failed; the other calls go on.
        """
        done: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()
        under_way, source = 0, iter(arguments)

        def submit(argument: object) -> None:
            self.submit(function, argument, repeatable=repeatable).add_done_callback(done.put)

        for argument in itertools.islice(source, 2 * self._workers):
            submit(argument)
            under_way += 1
        while under_way:
            future = done.get()
            under_way -= 1
            for argument in itertools.islice(source, 1):
                submit(argument)
                under_way += 1
            yield future.result()

    def close(self) -> None:
        """Wait for all calls and their callbacks, then end the workers."""
        self._closing = True
        self._engine.wake()
        self._pump.join()
        self._callbacks.join()
        atexit.unregister(self._abort)

    def _abort(self) -> None:
        self._aborting = self._closing = True
        self._engine.wake()
        self._pump.join(EXIT_SECONDS)

    # ------------------------------------------------------------------ in the pump's thread

    def _run(self) -> None:
        failure: BaseException = CallFailed("closed", "the pool was closed before the call came to an end")
        try:
            while not self._aborting:
                self._fill()
                for signal in self._engine.poll(POLL_SECONDS):
                    self._take(signal)
                idle = not (self._attempts or self._waiting or self._delayed) and self._inbox.empty()
                if idle and self._closing:
                    break
                if not idle and self._engine.census().alive == 0:
                    raise NoUsableProxy("no usable proxy is left")
        except BaseException as error:  # noqa: BLE001  it must reach those that wait
            failure = error
        finally:
            with self._lock:
                self._over = failure
            try:
                self._give_up(failure)
                self._results.put(None)
                # The figures count the last moves of proxies too, which came too late for a `poll`.
                for signal in self._engine.flush():
                    self._take(signal)
            finally:
                self._engine.close()

    def _deliver(self) -> None:
        while (deliver := self._results.get()) is not None:
            # A callback may raise. concurrent.futures logs it if it is an Exception.
            with suppress(BaseException):
                deliver()

    def _fill(self) -> None:
        self._empty_inbox()
        while self._delayed and self._delayed[0][0] <= self._clock.monotonic():
            self._waiting.appendleft(heapq.heappop(self._delayed)[2])
        room = window(min(self._workers, self._engine.census().usable))
        while self._waiting and len(self._attempts) < room:
            self._send(self._waiting.popleft())
        if not self._waiting:
            for call, avoid in self._attempts.overdue(self._clock.monotonic(), closing=not self._delayed):
                self._send(call, avoid)

    def _send(self, call: _Call, avoid: tuple[int, ...] = ()) -> None:
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

    def _settle(self, call: _Call, outcome: Outcome) -> None:
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
            self._finish(call.future, outcome.result or b"")
            self._ledger.end(call.id)
        else:
            self._settle_failed(call, outcome)

    def _settle_failed(self, call: _Call, outcome: Outcome) -> None:
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
            error = CallFailed(failure.fault.value, message)
            self._results.put(partial(_end, call.future, error, failed=True))
            self._ledger.end(call.id)

    def _finish(self, future: Future[Any], result: bytes) -> None:
        try:
            good, value = pickle.loads(result)
        except Exception as error:  # noqa: BLE001  a result whose class this process cannot rebuild
            good, value = False, (type(error).__name__, "the result cannot be unpickled here")
        self._results.put(partial(_end, future, value if good else CallFailed(*value), failed=not good))

    def _give_up(self, failure: BaseException) -> None:
        self._empty_inbox()
        for call in [*self._attempts.tasks(), *self._waiting, *(late[2] for late in self._delayed)]:
            self._results.put(partial(_end, call.future, failure, failed=True))

    def _empty_inbox(self) -> None:
        while not self._inbox.empty():
            self._waiting.append(self._inbox.get())


def _end(future: Future[Any], result: Any, *, failed: bool) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        (future.set_exception if failed else future.set_result)(result)
