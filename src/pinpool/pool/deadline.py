"""
A time limit that interrupts whatever the main thread is doing, by SIGALRM.

Nothing else ends an extractor in an endless loop, or a library that reads without end. In another thread and on
Windows, where there is no such signal, nothing is limited: `armed` says which.
"""

import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType
from typing import ClassVar

from pinpool.errors import DeadlinePassed

#: Between two alarms. Code that swallows the first (an `except BaseException`, a `__del__`) gets another.
REPEAT_SECONDS = 0.5


def limit(seconds: float) -> AbstractContextManager[None]:
    """
    For ``with limit(seconds):``. Raises DeadlinePassed inside the block once `seconds` have passed, and again
    every half second until the block is left; never after that. Must not be nested.

    No effect outside of the main thread, and on Windows. An alarm that other code had set goes on after the block,
    late by the time spent in it.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return _Alarm(seconds)


def armed() -> bool:
    """Whether the calling code is inside a `limit` that works."""
    return _Alarm.on and threading.current_thread() is threading.main_thread()


def disarm() -> None:
    """End a limit whose block was left without its `__exit__`. No effect if there is none."""
    if _Alarm.on:
        _Alarm.on = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class _Alarm:
    """The one alarm of the process. The handler obeys `on`, because a signal may come after the timer has stopped."""

    __slots__ = ("_handler", "_seconds", "_timer")

    on: ClassVar[bool] = False

    def __init__(self, seconds: float) -> None:
        # A timer of 0 s would never fire.
        self._seconds = max(seconds, 1e-6)

    def __enter__(self) -> None:
        self._handler = signal.signal(signal.SIGALRM, _on_alarm)
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
        # The default action is not restored: it ends the process, and a last signal may still come, through another
        # thread. Outside of a block our handler does nothing, so it can stay.
        if callable(self._handler) and self._handler is not _on_alarm:
            signal.signal(signal.SIGALRM, self._handler)


_OWN_CODE = (_Alarm.__enter__.__code__, _Alarm.__exit__.__code__)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    # Raised in our own `__enter__` or `__exit__`, it would leave the timer running.
    if _Alarm.on and (frame is None or frame.f_code not in _OWN_CODE):
        raise DeadlinePassed
