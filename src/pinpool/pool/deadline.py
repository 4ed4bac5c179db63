"""
A time limit that interrupts whatever a thread is doing. Nothing else ends an extractor in an endless loop, or a library
that reads without end.

In the main thread it is SIGALRM, which also ends a sleep. In other threads, and on Windows, where there is no such
signal, a watchdog thread makes the interpreter raise: between two steps of Python code. A call into C that does not
come back is left to the parent, which kills the process.
"""

import ctypes
import math
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import compress
from types import FrameType, TracebackType
from typing import ClassVar

from pinpool.errors import DeadlinePassed

#: Between two alarms. Code that swallows the first (an `except BaseException`, a `__del__`) gets another.
REPEAT_SECONDS = 0.5


#: What signal.getsignal calls. That, and signal.signal, then try to make an enum of the handler, in vain: an exception
#: a page, and 5 µs, or 50 in a process whose caches are cold.
handler_of: Callable[[int], object] = signal._signal.getsignal  # type: ignore[attr-defined]


#: Whether limits are off, in each thread.
_off = threading.local()


def limit(seconds: float) -> AbstractContextManager[object]:
    """
    For ``with limit(seconds):``. Raises DeadlinePassed inside the block once `seconds` have passed, and again
    every half second until the block is left; never after that. Must not be nested.

    An alarm that other code had set goes on after the block, late by the time spent in it.
    """
    if _is_off():
        return nullcontext()
    return _Alarm(seconds) if _has_alarm() else _watchdog.watch(seconds)


@contextmanager
def without_alarm() -> Iterator[None]:
    """In this block no `limit` of this thread interrupts anything: somebody may look at the code in a debugger."""
    before, _off.here = _is_off(), True
    try:
        yield
    finally:
        _off.here = before


def armed() -> bool:
    """Whether the calling code is inside a `limit`."""
    return _Alarm.on if _has_alarm() else _watchdog.watches()


def disarm() -> None:
    """End a limit whose block was left without its `__exit__`. No effect if there is none."""
    if not _has_alarm():
        _watchdog.forget()
    elif _Alarm.on:
        _Alarm.on = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _is_off() -> bool:
    return getattr(_off, "here", False)


def _has_alarm() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


class _Alarm:
    """The one alarm of the process. The handler obeys `on`, because a signal may come after the timer has stopped."""

    __slots__ = ("_handler", "_seconds", "_timer")

    on: ClassVar[bool] = False

    def __init__(self, seconds: float) -> None:
        # A timer of 0 s would never fire.
        self._seconds = max(seconds, 1e-6)

    def __enter__(self) -> None:
        self._handler = handler_of(signal.SIGALRM)
        stopped = None
        if self._handler is not _on_alarm:
            # Stopped first: an alarm of other code that came to our handler would be lost.
            stopped = signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, _on_alarm)
        _Alarm.on = True
        timer = signal.setitimer(signal.ITIMER_REAL, self._seconds, REPEAT_SECONDS)
        self._timer = stopped or timer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _Alarm.on = False
        # The default action is not restored: it ends the process, and a last signal may still come, through another
        # thread. Outside of a block our handler does nothing, so it can stay.
        if callable(self._handler) and self._handler is not _on_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._handler)
        signal.setitimer(signal.ITIMER_REAL, *self._timer)


_OWN_CODE = (_Alarm.__enter__.__code__, _Alarm.__exit__.__code__)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    # Raised in our own `__enter__` or `__exit__`, it would leave the timer running.
    if _Alarm.on and (frame is None or frame.f_code not in _OWN_CODE):
        raise DeadlinePassed


_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Watched:
    """
    The limit of one thread. `gate` is a lock that the block holds: a context manager written in C, so that the block
    is left in one step, in which nothing can be raised.
    """

    __slots__ = ("gate", "moment")

    def __init__(self, moment: float, gate: threading.Lock) -> None:
        self.moment = moment
        # Only the `with` keeps the lock alive. So a block that was left without its `__exit__` is over as well.
        self.gate = weakref.ref(gate)


class _Watchdog:
    """Watches the limits of all threads but the main one, in a thread of its own."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._looks_at = math.inf

    def watch(self, seconds: float) -> AbstractContextManager[object]:
        gate, moment = threading.Lock(), time.monotonic() + seconds
        self._watched[threading.get_ident()] = _Watched(moment, gate)
        # As a rule all limits are equally long, so that it looks soon enough, and a page costs no switch of threads.
        if moment < self._looks_at or not self._lives():
            with self._changed:
                if not self._lives():
                    self._thread = threading.Thread(target=self._run, name="pinpool-watchdog", daemon=True)
                    self._thread.start()
                self._changed.notify()
        return gate

    def watches(self) -> bool:
        watched = self._watched.get(threading.get_ident())
        gate = watched.gate() if watched else None
        return gate is not None and gate.locked()

    def forget(self) -> None:
        if self._watched.pop(threading.get_ident(), None) is not None:
            _raise_in(threading.get_ident(), ctypes.py_object())  # takes back one that has not been raised yet

    def _lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()  # it is dead after a fork

    def _run(self) -> None:
        while True:
            with self._changed:
                # First unknown, then read: a limit that is set in between is not missed.
                self._looks_at = math.inf
                self._looks_at = self._next()
                wait = self._looks_at - time.monotonic()
                self._changed.wait(min(wait, threading.TIMEOUT_MAX))
            self._raise_where_due()

    def _next(self) -> float:
        return min((one.moment for one in list(self._watched.values()) if one.gate() is not None), default=math.inf)

    def _raise_where_due(self) -> None:
        now = time.monotonic()
        for thread, watched in list(self._watched.items()):
            gate = watched.gate()
            if gate is not None and watched.moment <= now:
                # One call into C: between the look at the lock and the raise, no other thread can leave its block.
                raised = sum(map(_raise_in, compress((thread,), map(_is_locked, (gate,))), (DeadlinePassed,)))
                watched.moment = now + (REPEAT_SECONDS if raised else _ENTRY_SECONDS)


_is_locked = type(threading.Lock()).locked
#: How long the watchdog gives a thread to get from `limit` into the block.
_ENTRY_SECONDS = 0.01
_watchdog = _Watchdog()
