"""
A time limit that interrupts whatever the main thread is doing, by SIGALRM.

It is the only thing that ends an extractor in an endless loop, or a library that reads on and on. Where there
is no such signal (in another thread, on Windows) nothing is limited here: `armed` says which.
"""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType
from typing import ClassVar

from pinpool.errors import DeadlinePassed

#: Between two strikes. Code that swallows the first (an `except BaseException`, a `__del__`) is struck again.
REPEAT_SECONDS = 0.5


def limit(seconds: float) -> AbstractContextManager[None]:
    """
    For ``with limit(seconds):``. Raises DeadlinePassed inside the block once `seconds` have passed, and again
    every half second until the block is left; never after that. Not to be nested.

    Does nothing in any thread but the main one, and on Windows. An alarm that somebody else had set goes on
    after the block, late by the time spent in it.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return _Alarm(seconds)


def armed() -> bool:
    """Whether a `limit` watches over the code that asks."""
    return _Alarm.on and threading.current_thread() is threading.main_thread()


def disarm() -> None:
    """End a limit whose block was left past its `__exit__`. Harmless if there is none."""
    if _Alarm.on:
        _Alarm.on = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class _Alarm:
    """The one alarm of the process. A strike obeys `on`: one that was under way outlives the timer."""

    __slots__ = ("_handler", "_seconds", "_timer")

    on: ClassVar[bool] = False

    def __init__(self, seconds: float) -> None:
        # A timer of 0 s would be none at all.
        self._seconds = max(seconds, 1e-6)

    def __enter__(self) -> None:
        self._handler = signal.signal(signal.SIGALRM, _strike)
        _Alarm.on = True
        self._timer = signal.setitimer(signal.ITIMER_REAL, self._seconds, REPEAT_SECONDS)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _Alarm.on = False
        signal.setitimer(signal.ITIMER_REAL, *self._timer)
        # The default action is not put back: it ends the process, and a last signal may still be on its way,
        # by another thread. Outside of a block our handler does nothing, so it can stay.
        if callable(self._handler) and self._handler is not _strike:
            signal.signal(signal.SIGALRM, self._handler)


_OWN_CODE = (_Alarm.__enter__.__code__, _Alarm.__exit__.__code__)


def _strike(number: int, frame: FrameType | None) -> None:
    # Raised in our own `__enter__` or `__exit__`, it would leave the timer running behind it.
    if _Alarm.on and (frame is None or frame.f_code not in _OWN_CODE):
        raise DeadlinePassed
