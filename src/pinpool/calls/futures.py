"""The future of a call, and the thread in which the callbacks of a pool run."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")


class Callbacks:
    """
    Runs callbacks one after another, in a thread of its own. What they raise is logged, and the next one runs.

    Neither results nor workers wait for this thread. So a callback may take its time, submit calls, and wait for them.
    `tell` is called whenever the last one has ended.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._is_over = False
        self._has_ended = threading.Event()  # not Thread.join, as in `CallLoop`
        self._thread = threading.Thread(target=self._run, name="pinpool-callbacks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def idle(self) -> bool:
        """True if none runs or waits."""
        return self._unfinished == 0

    @property
    def here(self) -> bool:
        """True in a callback."""
        return threading.current_thread() is self._thread

    def post(self, callback: Callable[[], object]) -> None:
        """Run it in the thread; once that has ended, here and now."""
        with self._lock:
            if not self._is_over:
                self._unfinished += 1
                self._queue.put(callback)
                return
        _call(callback)

    def end(self, seconds: float | None = None) -> None:
        """Run those that wait, at most for so many seconds, and end the thread."""
        with self._lock:
            self._is_over = True
            self._queue.put(None)
        if not self.here:
            self._has_ended.wait(seconds)

    def _run(self) -> None:
        while (callback := self._queue.get()) is not None:
            _call(callback)
            with self._lock:
                self._unfinished -= 1
            if self.idle:
                self._tell()
        self._has_ended.set()


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except BaseException as error:  # also SystemExit: the other callbacks go on
        logging.getLogger("pinpool").error("a callback has raised; the calls go on", exc_info=error)


class CallFuture(Future[R]):
    """
    A `concurrent.futures.Future`, with its callbacks in the thread of `Callbacks`.

    It runs from the moment that its call is on the way to a worker, also while a failed call waits to be made again.
    Until then it can be cancelled; `wait` and `as_completed` know of that at once.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._thread_of_callbacks = callbacks
        self._gate = threading.RLock()

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Call ``fn(future)`` in the thread of callbacks once it is done; here and now if it is."""
        if self.done():
            super().add_done_callback(fn)
        else:
            super().add_done_callback(lambda done: self._thread_of_callbacks.post(partial(fn, done)))

    def cancel(self) -> bool:
        """Cancel the call if no worker is to have it yet. False if it runs or is done."""
        with self._gate:
            if self.cancelled():
                return True
            if not super().cancel():
                return False
            # Without this, `wait` and `as_completed` would wait until the pool comes to this call.
            self.set_running_or_notify_cancel()
            return True

    # ------------------------------------------------------------------ for the pool

    def watch(self, told: Callable[[Future[R]], object]) -> None:
        """Call ``told(future)`` once it is done, in whatever thread ends it. It must neither wait nor raise."""
        super().add_done_callback(told)

    def begin(self) -> bool:
        """The call is on its way. False if it was cancelled."""
        with self._gate:
            return not self.done() and (self.running() or self.set_running_or_notify_cancel())

    def succeed(self, result: R) -> None:
        """End it with a result. No effect if it was cancelled."""
        self._end(self.set_result, result)

    def fail(self, error: BaseException) -> None:
        """End it with an error. No effect if it was cancelled."""
        self._end(self.set_exception, error)

    def _end(self, setter: Callable[[Any], None], value: object) -> None:
        with suppress(InvalidStateError):  # somebody has set it, who should not
            if self.begin():
                setter(value)
