"""One life of the pool: its workers, their board, and the attempts in their hands. And how to look at a pid."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pinpool.pool.status_board import WIDTH, Line, StatusBoard, born

#: How long terminate() may take before the generation is killed: a healthy pool needs 0.02 to 0.14 s.
TERMINATE_PATIENCE = 0.3
KILL_PATIENCE = 5.0
STOP_PATIENCE = 0.5

_numbers = itertools.count(1)


@dataclass
class Generation:
    """`number` is unique in this process; the lease queue turns away workers of any but the present one."""

    number: int
    board: StatusBoard
    pool: Pool | None = None
    flight: set[int] = field(default_factory=set)
    condemned: set[int] = field(default_factory=set)  # serials of attempts that hang
    known: set[int] = field(default_factory=set)  # the tokens of all workers that ever joined
    joined: float = 0.0  # when the last one did, or the pool was complete

    @classmethod
    def prepare(cls, context: BaseContext, seats: int) -> Generation:
        """The board and the number; the pool comes with `start`, when workers can be told of both."""
        return cls(next(_numbers), StatusBoard(context.RawArray("q", seats * WIDTH)))

    def start(self, context: BaseContext, size: int, initializer: Any, config: Any) -> None:
        """Start the workers. Their processes bear this generation's name, so that no other child is taken for one."""
        name = self._name

        class NamedPool(Pool):
            @staticmethod
            def Process(ctx: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N802  the stdlib's name
                child = ctx.Process(*arguments, **options)
                child.name = name
                return child

        self.pool = NamedPool(size, initializer, (config,), context=context)

    @property
    def _name(self) -> str:
        return f"pinpool-{os.getpid()}-{self.number}"

    def children(self) -> list[BaseProcess]:
        """The living workers that this process has started."""
        return [child for child in multiprocessing.active_children() if child.name == self._name]

    def strays(self) -> list[int]:
        """Living workers that are nobody's children any more: their forkserver has died."""
        return [line.pid for line in self.board.read() if not is_gone(line.pid, line.born)]

    def dispose(self) -> None:
        """End every process of this generation. Never waits for the pool: a poisoned one would not come back."""
        if self.pool is not None:
            threading.Thread(target=self.pool.terminate, name="pinpool-terminate", daemon=True).start()
        soft, hard = time.monotonic() + TERMINATE_PATIENCE, time.monotonic() + KILL_PATIENCE
        while (left := self._left()) and time.monotonic() < hard:
            if time.monotonic() >= soft:
                for pid in left:
                    send(pid, signal.SIGKILL)
            time.sleep(0.005)

    def _left(self) -> list[int]:
        return [child.pid for child in self.children() if child.pid] or self.strays()


def is_gone(pid: int, birth: int = 0) -> bool:
    """True if the process has ended. `birth` tells it from another one that was given its pid since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return True  # somebody else's process: the pid was given anew
    # A birth that cannot be read, for want of descriptors for instance, must not pass for a death.
    return birth != 0 and born(pid) not in (0, birth)


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(OSError):
        os.kill(pid, number)


def stop_check_kill(board: StatusBoard, line: Line, harmless: frozenset[int]) -> None:
    """
    Kill a worker, but only inside the task function, where it holds no lock of the pool; not in a `harmless` activity.

    Stopped first, it cannot leave the function between the look and the kill; without that one of the first 200 kills
    jams the pool (hazard 2c of the pool research).
    """
    send(line.pid, signal.SIGSTOP)
    give_up = time.monotonic() + STOP_PATIENCE
    while not _is_stopped(line.pid) and time.monotonic() < give_up:
        time.sleep(0.001)
    again = board.look(line.seat)
    is_same = (again.token, again.serial) == (line.token, line.serial)
    send(line.pid, signal.SIGKILL if is_same and again.activity not in harmless else signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
    except OSError:
        return True  # no /proc, or no process: the board is looked at in any case
