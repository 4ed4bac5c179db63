"""
The status board: one line of shared memory for each worker, which says what that worker is doing now.

Only the worker's process writes its line, and the parent reads it without a lock. So a worker that is killed at any
moment can neither block the board nor leave it torn: activity and serial share one aligned 8 byte word. One cell goes
the other way: the parent names a proxy that the worker is to leave before its next page, so that the worker need not
ask.

The last activity says what a death means. RUN, PACE and PARK are only set inside the task function, INIT before the
first task, so the dead worker held no lock of the pool. IDLE may mean "inside the pool's own get() or put()": the pool
may be jammed and is replaced (rules of the pool research, section 2).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import MutableSequence, Sequence
from enum import IntEnum
from typing import NamedTuple

from pinpool.pool.pids import born

_TOKEN, _PID, _BORN, _WORD, _SINCE, _PROXY, _LEAVE, _WORKER, _THREAD, _BEAT = range(10)
#: Cells of 8 bytes for each seat.
WIDTH = 10
_ACTIVITIES = 8


class Activity(IntEnum):
    """What a worker is doing."""

    INIT = 0  # before its first task, with or without a proxy
    IDLE = 1  # outside the task function: waiting for a task, or sending an answer
    PACE = 2  # in a task, waiting until its proxy may be used again
    RUN = 3  # in a task, under the deadline
    PARK = 4  # in a failed task that the lease queue has the answer of, waiting for a proxy


class Line(NamedTuple):
    """
    One worker as read off the board. `since` is time.monotonic() seconds; `proxy` is -1 without a pin.

    `leave` is the proxy that it is asked to leave, 0 for none. `worker` is what journal and log call it (`own_id`).
    `thread` is the worker's thread, 0 in a process of its own; then the process also gives a sign of life now and
    then, the last one at `beat`, like `since`.
    """

    seat: int
    token: int
    pid: int
    born: int
    activity: Activity
    serial: int
    since: float
    proxy: int
    leave: int = 0
    worker: int = 0
    thread: int = 0
    beat: float = 0.0


class StatusBoard:
    """All seats. `cells` is a shared array of signed 8 byte numbers, `WIDTH` for each seat, all zero at first."""

    def __init__(self, cells: MutableSequence[int]) -> None:
        self._cells = cells

    def seat(self, number: int) -> Seat:
        """The line of one worker, for that worker to write."""
        return Seat(self._cells, number)

    def read(self) -> list[Line]:
        """Every taken seat, as of now."""
        cells = self._cells[:]
        lines = []
        for base in range(0, len(cells), WIDTH):
            if cells[base + _TOKEN]:
                lines.append(_line(base // WIDTH, cells[base : base + WIDTH]))
        return lines

    def look(self, number: int) -> Line:
        """One seat, as of now."""
        return _line(number, self._cells[number * WIDTH : (number + 1) * WIDTH])

    def ask_to_leave(self, number: int, proxy: int) -> None:
        """Ask the worker of a seat to leave `proxy` before its next page, if it holds that one; 0 takes it back."""
        self._cells[number * WIDTH + _LEAVE] = proxy

    def clear(self, number: int) -> None:
        """Wipe the line of a dead worker, before another gets its seat."""
        base = number * WIDTH
        for cell in range(WIDTH):
            self._cells[base + cell] = 0


class Seat:
    """The writing side of one line."""

    def __init__(self, cells: MutableSequence[int], number: int) -> None:
        self._cells = cells
        self._base = number * WIDTH

    def take(self, token: int) -> None:
        """Take the seat. The token is written last: without one, a line does not count as taken."""
        base, pid = self._base, os.getpid()
        self._cells[base + _PID] = pid
        self._cells[base + _BORN] = born(pid)
        self._cells[base + _PROXY] = -1
        self._cells[base + _WORKER] = own_id()
        self._cells[base + _THREAD] = 0 if is_alone() else threading.get_ident()
        self.beat()
        self._cells[base + _TOKEN] = token

    def beat(self) -> None:
        """Show that this process runs Python code."""
        self._cells[self._base + _BEAT] = time.monotonic_ns()

    def show(self, activity: Activity, serial: int = 0) -> None:
        """Say what this worker does from now on."""
        self._cells[self._base + _SINCE] = time.monotonic_ns()
        self._cells[self._base + _WORD] = serial * _ACTIVITIES + activity

    def pin(self, proxy: int) -> None:
        """Say which proxy this worker holds, -1 for none."""
        self._cells[self._base + _PROXY] = proxy

    def is_to_leave(self, proxy: int) -> bool:
        """True if the parent has asked the worker to leave this proxy."""
        return self._cells[self._base + _LEAVE] == proxy


def _line(number: int, cells: Sequence[int]) -> Line:
    token, pid, birth, word, since, proxy, leave, worker, thread, beat = cells
    serial, activity = divmod(word, _ACTIVITIES)
    return Line(
        number,
        token,
        pid,
        birth,
        Activity(activity),
        serial,
        since / 1e9,
        proxy,
        leave,
        worker,
        thread,
        beat / 1e9,
    )


def is_alone() -> bool:
    """Whether the calling worker has its process for itself: then it is the main thread."""
    return threading.current_thread() is threading.main_thread()


def own_id() -> int:
    """The calling worker's number, unlike that of any other that lives: its pid, or the kernel's id of its thread."""
    return os.getpid() if is_alone() else threading.get_native_id()
