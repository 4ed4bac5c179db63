"""
The fence: the kernel ends a process whose lease was not renewed in time.

A host that is cut off from the parent, or suspended, does not know that its proxies are another's by now. So its
processes carry a timer that only the parent's renewals push on. It is a timer of the kernel that sends SIGKILL: code
that keeps the interpreter's lock cannot hold it up, a spider cannot catch it, a stopped process dies all the same, and
the time that a machine sleeps counts.
"""

import ctypes
import math
import os
import signal
import time
from typing import NoReturn

#: How long a worker may use its proxy after the last renewal, in seconds.
TTL_SECONDS = 15.0
#: How much longer the parent keeps a lost proxy back: clocks may differ, and a request may be under way.
MARGIN_SECONDS = 2.0

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SIGEV_SIGNAL, _TIMER_ABSTIME = 0, 1


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("room", ctypes.c_char * 64),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def now() -> float:
    """Seconds by the clock of this machine's fences, which goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class Fence:
    """The fence of this process. It is closed at first: nobody may use a proxy before the first `extend`."""

    def __init__(self) -> None:
        self.until = -math.inf
        self._timer = _kernel_timer()

    def extend(self, until: float) -> None:
        """End this process at `until`, a moment of `now`. An earlier moment than before has no effect."""
        if until > self.until:
            self.until = until
            self._arm(max(until, 1e-9))

    def end_in(self, seconds: float) -> None:
        """End this process in so many seconds, whatever else was said."""
        self.until = -math.inf
        self._arm(now() + seconds)

    def check(self) -> None:
        """Ends this process if its time is over. Between two calls the kernel does so."""
        if now() >= self.until:
            end_at_once()

    def _arm(self, until: float) -> None:
        if self._timer is None:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, until - now()))  # SIGALRM at its default action
            return
        whole = math.floor(until)
        spec = _TimerSpec(0, 0, whole, int((until - whole) * 1e9))
        _libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None)


def end_at_once() -> NoReturn:
    """End this process as the fence does."""
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


_libc = ctypes.CDLL(None)


def _kernel_timer() -> ctypes.c_void_p | None:
    """A timer that sends SIGKILL to this process; None where the system has no such timers."""
    timer, event = ctypes.c_void_p(), _SigEvent(None, signal.SIGKILL, _SIGEV_SIGNAL)
    try:
        made = _libc.timer_create(_CLOCK, ctypes.byref(event), ctypes.byref(timer))
    except AttributeError:  # macOS
        return None
    return timer if made == 0 else None
