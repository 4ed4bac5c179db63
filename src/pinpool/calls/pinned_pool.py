"""
`PinnedPool`: any function, no spider. A Pool in which each worker holds one proxy, for calls instead of pages.

The same engine, the same judgement: a call that fails because of its proxy is made again through another one, a call
that raises for its own reasons raises `CallFailed` for its caller.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import pickle
import queue
import threading
import time
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
from pinpool.errors import CallFailed, NoUsableProxy
from pinpool.model import EventKind, Outcome, ProxyState
from pinpool.policy.blame import Blame, Failure
from pinpool.policy.reputation import Reputation, Retire
from pinpool.policy.retry import Resubmit
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.engine import Answered, Lost, Noted, Signal, window
from pinpool.pool.lease_types import Standing
from pinpool.pool.registry import make_engine
from pinpool.pool.worker import pinned
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import proxies_from
from pinpool.settings import settings_from
from pinpool.stats.capacity import free_capacity

if TYPE_CHECKING:
    import requests

R = TypeVar("R")

POLL_SECONDS = 0.1
#: At the interpreter's exit, for a pool that nobody closed.
EXIT_SECONDS = 10.0


def session() -> requests.Session:
    """
    The requests.Session of this worker's pin: every request goes through its proxy, whatever the environment says.

    Only inside a function that a `PinnedPool` runs; elsewhere RuntimeError.
    """
    return pinned().fetcher.session


@dataclass(slots=True)
class _Call:
    blob: bytes
    future: Future[Any]
    number: int
    past: list[Failure] = field(default_factory=list)
    charged: list[int] = field(default_factory=list)  # proxies, once for each failure ever held against it
    forgiven: list[int] = field(default_factory=list)  # those of them that no longer are


class PinnedPool:
    """
    A pool of worker processes, each with one proxy of the list. Use it as a context: leaving it waits for all calls.

    `proxies` is the path of a list, its lines, or None for PINPOOL_PROXIES; `workers` one for each by default.
    `settings` are those of a spider: timeouts, deadline, attempts, swap_after, headers, profiles, pace, site_rate and
    so on. Those that judge a page have no part here: ban rules, empty_ok, robots.

    Functions must be importable by the workers: defined at the top level of a module, or of a script that starts the
    pool under ``if __name__ == "__main__":``. Callbacks run in a thread of the pool.
    """

    def __init__(
        self,
        proxies: str | Path | Sequence[str] | ProxyList | None = None,
        *,
        workers: int | None = None,
        start_method: str | None = None,
        **settings: object,
    ) -> None:
        end_if_starting()
        chosen = settings_from(settings)
        listed = proxies_from(proxies).proxies
        reputation = Reputation(chosen.cooling)
        for number, proxy in enumerate(listed, 1):
            reputation.admit(number, proxy.label)
        self._blame = Blame(reputation, chosen, Random())
        self._books = Ledger({number: proxy.label for number, proxy in enumerate(listed, 1)})
        self._proxies = len(listed)
        self._workers = min(workers or len(listed), free_capacity().workers)
        self._engine = make_engine(
            partial(CallJob, chosen),
            [Standing(number, proxy, ProxyState.SPARE) for number, proxy in enumerate(listed, 1)],
            chosen,
            workers=self._workers,
            start_method=start_method,
            preload=PRELOAD,
        )
        self._inbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._waiting: deque[_Call] = deque()
        self._delayed: list[tuple[float, int, _Call]] = []
        self._flight: dict[int, _Call] = {}
        self._serials = itertools.count(1)
        self._numbers = itertools.count(1)
        self._closing = self._aborting = False
        self._lock = threading.Lock()
        self._over: BaseException | None = None  # why the pump has ended; what comes afterwards ends so, too
        self._news: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._engine.start()
        # Callbacks have a thread of their own: a slow one must not keep the pump from looking after the workers.
        self._teller = threading.Thread(target=self._tell, name="pinpool-teller", daemon=True)
        self._teller.start()
        self._pump = threading.Thread(target=self._run, name="pinpool-pump", daemon=True)
        self._pump.start()
        # Before multiprocessing's own exit, which would end the workers under the pump's hands.
        atexit.register(self._abort)

    def __repr__(self) -> str:
        return f"<PinnedPool {self._workers} workers, {self._proxies} proxies>"

    @property
    def proxies(self) -> list[dict[str, Any]]:
        """
        The figures of each proxy so far, in the list's order: dicts with the keys of `proxies` in `stats --json`.

        A call that raised for its own reasons counts as ok: its proxy did what it should. `bytes` are those of the
        answers that `session()` got, heads included. May be asked for at any time, also after the end.
        """
        return self._books.documents(self._engine.census().states)

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
    ) -> Future[R]:
        """
        Call ``function(*arguments)`` in some worker. The future, and the callbacks, get its result or `CallFailed`.

        Raises what pickle raises if function or arguments cannot be sent.
        """
        if self._closing:
            raise RuntimeError("this pool is closed")
        future: Future[R] = Future()

        def tell(done: Future[R]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None and callback is not None:
                callback(done.result())
            elif error is not None and error_callback is not None:
                error_callback(error)

        future.add_done_callback(tell)
        call = _Call(pickle.dumps((function, arguments)), future, next(self._numbers))
        with self._lock:
            over = self._over
            if over is None:
                self._inbox.put(call)
        if over is not None:
            _fail(future, over)
        self._engine.wake()
        return future

    def map_unordered(self, function: Callable[..., R], arguments: Iterable[object]) -> Iterator[R]:
        """
        The results of ``function(argument)``, as they come. `arguments` is read as far as the workers need it.

        Raises `CallFailed` where a call failed; the other calls go on.
        """
        done: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()
        under_way, source = 0, iter(arguments)
        for argument in itertools.islice(source, 2 * self._workers):
            self.submit(function, argument).add_done_callback(done.put)
            under_way += 1
        while under_way:
            future = done.get()
            under_way -= 1
            for argument in itertools.islice(source, 1):
                self.submit(function, argument).add_done_callback(done.put)
                under_way += 1
            yield future.result()

    def close(self) -> None:
        """Wait for all calls and their callbacks, then end the workers."""
        self._closing = True
        self._engine.wake()
        self._pump.join()
        self._teller.join()
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
                idle = not (self._flight or self._waiting or self._delayed) and self._inbox.empty()
                if idle and self._closing:
                    break
                if not idle and self._engine.census().alive == 0:
                    raise NoUsableProxy("no usable proxy is left")
        except BaseException as error:  # noqa: BLE001  it must reach those who wait
            failure = error
        finally:
            with self._lock:
                self._over = failure
            try:
                self._give_up(failure)
                self._news.put(None)
            finally:
                self._engine.close()

    def _tell(self) -> None:
        while (tell := self._news.get()) is not None:
            # What a callback raises is its owner's; concurrent.futures logs what is an Exception.
            with suppress(BaseException):
                tell()

    def _fill(self) -> None:
        self._empty_inbox()
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._waiting.appendleft(heapq.heappop(self._delayed)[2])
        room = window(min(self._workers, self._engine.census().usable))
        while self._waiting and len(self._flight) < room:
            call, serial = self._waiting.popleft(), next(self._serials)
            self._flight[serial] = call
            self._engine.submit(serial, call.blob)

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered(outcome):
                self._settle(self._flight[outcome.serial], outcome)
                del self._flight[outcome.serial]
            case Lost(serial, sign):
                if sign is None:
                    self._waiting.appendleft(self._flight[serial])
                else:
                    self._settle(self._flight[serial], signal.outcome(time.time()))
                del self._flight[serial]
            case Noted(event):
                if event.kind is EventKind.LEASED and event.proxy is not None:
                    self._books.pin(event.proxy)

    def _settle(self, call: _Call, outcome: Outcome) -> None:
        if outcome.evidence is None:
            credit = self._blame.credit(outcome.proxy, call.number, call.past)
            self._books.book(outcome)
            for liar in credit.liars:
                failures = sum(one.proxy == liar for one in call.past)
                self._books.charge(liar, failures - call.charged.count(liar))
            self._finish(call.future, outcome.result or b"")
            return
        decision = self._blame.rule(call.number, outcome, call.past, alive=self._engine.census().living)
        call.past.append(Failure(outcome.proxy if outcome.proxy > 0 else None, decision.fault))
        self._books.book(outcome, decision.fault, charged=decision.charged)
        call.charged += [outcome.proxy] * decision.charged
        for proxy in decision.forgiven:
            failures = call.charged.count(proxy) - call.forgiven.count(proxy)
            self._books.forgive(proxy, failures)
            call.forgiven += [proxy] * failures
        for proxy in decision.woken:
            self._engine.cool(proxy, 0.0)
        if isinstance(decision.penalty, Retire):
            self._engine.retire(outcome.proxy, decision.penalty.reason)
            self._books.penalty(outcome.proxy, decision.penalty.reason)
        elif decision.penalty is not None:
            seconds = decision.penalty.seconds
            self._engine.cool(outcome.proxy, seconds)
            self._books.penalty(outcome.proxy, decision.fault.value, time.time() + seconds)
        if isinstance(decision.verdict, Resubmit):
            moment = time.monotonic() + decision.verdict.after
            heapq.heappush(self._delayed, (moment, next(self._serials), call))
        else:
            told = f"{decision.verdict.reason}: {outcome.evidence.message}"
            self._news.put(partial(_fail, call.future, CallFailed(decision.fault.value, told)))

    def _finish(self, future: Future[Any], result: bytes) -> None:
        try:
            good, value = pickle.loads(result)
        except Exception as error:  # noqa: BLE001  a result whose class this process cannot rebuild
            good, value = False, (type(error).__name__, "the result cannot be unpickled here")
        self._news.put(
            partial(_succeed, future, value) if good else partial(_fail, future, CallFailed(*value))
        )

    def _give_up(self, failure: BaseException) -> None:
        self._empty_inbox()
        for call in [*self._flight.values(), *self._waiting, *(late[2] for late in self._delayed)]:
            self._news.put(partial(_fail, call.future, failure))

    def _empty_inbox(self) -> None:
        while not self._inbox.empty():
            self._waiting.append(self._inbox.get())


def _succeed(future: Future[Any], value: object) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_result(value)


def _fail(future: Future[Any], error: BaseException) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)
