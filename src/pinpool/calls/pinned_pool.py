"""
`PinnedPool`: a Pool in which each worker holds one proxy, for calls of any function instead of pages.

Engine and decisions are those of a crawl. A call that fails because of its proxy is made again through another one. A
call that raises for its own reasons raises `CallFailed` for its caller.
"""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self, TypeVar

from pinpool.calls import PRELOAD
from pinpool.calls.call_job import CallJob
from pinpool.calls.call_loop import CallLoop, PendingCall
from pinpool.calls.futures import CallFuture
from pinpool.calls.habits import checked_settings, refuse_extra, refuse_method
from pinpool.calls.ledger import Ledger
from pinpool.calls.results import Results
from pinpool.calls.sending import check_function, name_of, packed_call
from pinpool.errors import UsageError
from pinpool.model import ProxyState
from pinpool.policy.decision import Judge
from pinpool.policy.reputation import Reputation
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.ground import check_ground
from pinpool.pool.lease_types import Standing
from pinpool.pool.registry import EngineChoice, EnginePlan, make_engine
from pinpool.pool.this_worker import pinned
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.redaction import Redaction
from pinpool.proxies.source import proxies_from
from pinpool.stats.capacity import free_capacity

if TYPE_CHECKING:
    import requests

R = TypeVar("R")

#: Seconds to wait for the end of a pool that ends at once, and of the callback that runs then.
EXIT_SECONDS = 10.0


def session() -> requests.Session:
    """
    The requests.Session of this worker's pin: every request goes through its proxy, whatever the environment says.

    Only inside a function that a `PinnedPool` runs; elsewhere RuntimeError.
    """
    return pinned().fetcher.session


def proxy() -> str:
    """
    The name of the proxy that this worker has pinned, as in `PinnedPool.proxies`. It has no password.

    Only inside a function that a `PinnedPool` runs; elsewhere RuntimeError.
    """
    return pinned().lease.address.label


class PinnedPool:
    """
    A pool of worker processes, each with one proxy of the list. Use it in a ``with``: leaving it waits for all calls
    and callbacks, or ends the workers at once if an error leaves it, Ctrl-C included.

    `proxies` is the path of a list, its lines, or None for PINPOOL_PROXIES; `workers` one for each by default.
    `settings` are those of a spider: threads, timeouts, deadline, attempts, swap_after, headers, profiles, pace,
    site_rate, ban_status and so on. Those that read a page have no effect here: the other ban rules, empty_ok, robots.

    A `repeatable` call may be made twice at the same time: if it takes much longer than others do and a worker has
    nothing to do, that one makes it too. The first result counts, and the other is dropped.

    Functions must be importable by the workers: defined at the top level of a module, or of a script that starts the
    pool under ``if __name__ == "__main__":``. Callbacks run one after another, in a thread of the pool; they may
    submit calls and wait for them.

    Raises SettingsError and ProxyListError for what it is given, and EngineError if no workers can be started.
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
        chosen = checked_settings(proxies, workers, settings)
        listed = proxies_from(proxies).proxies
        reputation = Reputation(chosen.cooling)
        for number, one in enumerate(listed, 1):
            reputation.admit(number, one.label)
        self._repeatable = repeatable
        self._ledger = Ledger({number: one.label for number, one in enumerate(listed, 1)}, clock)
        self._proxies = len(listed)
        self._workers = min(workers or len(listed), free_capacity(chosen.threads).workers)
        self._engine = make_engine(
            EnginePlan(
                partial(CallJob, chosen),
                [Standing(number, one, ProxyState.SPARE) for number, one in enumerate(listed, 1)],
                chosen,
                self._workers,
                EngineChoice(start_method=start_method),
                PRELOAD,
            )
        )
        self._ids = itertools.count(1)
        self._closing = False
        self._loop = CallLoop(
            self._engine,
            Judge(reputation, chosen, Random()),
            self._ledger,
            Redaction(listed),
            workers=self._workers,
            clock=clock,
        )
        self._callbacks = self._loop.callbacks
        self._engine.start()
        self._loop.start()
        # Before multiprocessing's own exit, which would end the workers while the loop uses them.
        atexit.register(self.terminate)

    def __repr__(self) -> str:
        return f"<PinnedPool {self._workers} workers, {self._proxies} proxies>"

    if not TYPE_CHECKING:  # a checker would take every name for a method

        def __getattr__(self, name: str) -> Never:
            refuse_method(name)

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
        if kind is None:
            self.close()
        else:
            self.terminate()

    def submit(
        self,
        function: Callable[..., R],
        /,
        *arguments: object,
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        repeatable: bool | None = None,
        **named: object,
    ) -> Future[R]:
        """
        Call ``function(*arguments, **named)`` in a worker. Returns a `concurrent.futures.Future`.

        The future, and the callback of the two that fits, get the result or the error: `CallFailed`, or NoUsableProxy
        if no proxy is left. A call that was cancelled has neither callback. `repeatable` is the pool's unless given.

        Raises UsageError if function or arguments cannot be sent, and RuntimeError once the pool is closed. Callbacks
        may submit while it closes.
        """
        return self._submit(function, arguments, named, callback, error_callback, repeatable)

    def map(
        self,
        function: Callable[..., R],
        arguments: Iterable[object],
        /,
        *extra: Never,
        repeatable: bool | None = None,
        **unknown: Never,
    ) -> Iterator[R]:
        """
        The results of ``function(argument)`` in the order of the arguments, each as soon as it and those before it are
        there. Calls are made as their results are taken: at most 20 arguments for each worker are read ahead.

        ``next`` raises `CallFailed` where a call failed, with its `arguments`; a further ``next`` goes on with the
        other results. What `arguments` raises is raised after the results of what it gave before.
        """
        refuse_extra("map", extra, unknown)
        return self._results(function, arguments, repeatable, ordered=True)

    def map_unordered(
        self,
        function: Callable[..., R],
        arguments: Iterable[object],
        /,
        *extra: Never,
        repeatable: bool | None = None,
        **unknown: Never,
    ) -> Iterator[R]:
        """As `map`, but each result as it comes, and at most two arguments for each worker are read ahead."""
        refuse_extra("map_unordered", extra, unknown)
        return self._results(function, arguments, repeatable, ordered=False)

    def starmap(
        self,
        function: Callable[..., R],
        arguments: Iterable[Iterable[object]],
        /,
        *extra: Never,
        repeatable: bool | None = None,
        **unknown: Never,
    ) -> Iterator[R]:
        """As `map`, for functions of several arguments: the results of ``function(*argument)``."""
        refuse_extra("starmap", extra, unknown)
        return self._results(function, arguments, repeatable, ordered=True, star=True)

    def close(self) -> None:
        """
        Wait for all calls and their callbacks, then end the workers. No effect if it is closed.

        Ctrl-C while it waits does what `terminate` does. RuntimeError in a callback: it would wait for itself.
        """
        if self._callbacks.here:
            raise RuntimeError("a callback cannot close its pool: close it where it was made")
        self._closing = True
        self._loop.finish()
        try:
            self._loop.join()
            self._callbacks.end()
        except BaseException:
            self.terminate()
            raise
        atexit.unregister(self.terminate)

    def terminate(self) -> None:
        """
        End the workers at once. Calls that have not ended fail with `CallFailed`, whose `kind` is ``closed``, and their
        error callbacks run. No effect if it is closed.
        """
        self._closing = True
        self._loop.abort()
        self._loop.join(EXIT_SECONDS)
        self._callbacks.end(EXIT_SECONDS)
        atexit.unregister(self.terminate)

    # ------------------------------------------------------------------ how a call is made

    def _submit(
        self,
        function: Callable[..., R],
        arguments: tuple[object, ...],
        named: dict[str, object],
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        repeatable: bool | None = None,
    ) -> CallFuture[R]:
        if self._closing and not self._callbacks.here:
            raise RuntimeError("this pool is closed: submit, and take the results of a map, inside its `with`")
        blob = packed_call(function, arguments, named)
        future: CallFuture[R] = CallFuture(self._callbacks)

        def call_back(done: Future[R]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None and callback is not None:
                callback(done.result())
            elif error is not None and error_callback is not None:
                error_callback(error)

        if callback is not None or error_callback is not None:
            future.add_done_callback(call_back)
        may_repeat = self._repeatable if repeatable is None else repeatable
        self._loop.put(PendingCall(next(self._ids), blob, future, may_repeat, function, arguments, named))
        return future

    def _results(
        self,
        function: Callable[..., R],
        arguments: Iterable[object],
        repeatable: bool | None,
        *,
        ordered: bool,
        star: bool = False,
    ) -> Iterator[R]:
        check_function(function, by_pickle=True)

        def submit(argument: Any) -> CallFuture[R]:
            given = _unpacked(argument) if star else (argument,)
            return self._submit(function, given, {}, repeatable=repeatable)

        return Results(submit, arguments, name=name_of(function), ordered=ordered, workers=self._workers)


def _unpacked(argument: Any) -> tuple[object, ...]:
    try:
        return tuple(argument)
    except TypeError:
        kind = type(argument).__name__
        raise UsageError(f"starmap takes a tuple of arguments for each call, not {kind}: use map for one") from None
