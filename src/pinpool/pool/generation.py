"""One pool of workers with its status board, and how to kill a worker of it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from typing import Any

from pinpool.pool.packet_queue import PacketQueue, has_packets
from pinpool.pool.pids import is_gone, is_stopped, send
from pinpool.pool.shared_process import carry
from pinpool.pool.status_board import WIDTH, Activity, Line, StatusBoard

#: How long terminate() may take before all processes are killed: a healthy pool needs 0.02 to 0.14 s.
TERMINATE_PATIENCE = 0.3
KILL_PATIENCE = 5.0
STOP_PATIENCE = 0.5
_NO_JOB = -1

_numbers = itertools.count(1)


class QuietPool(Pool):
    """
    A Pool whose worker handler sleeps until a worker ends or the pool does.

    The stdlib's own wakes for every answer, and whenever no task is in flight, and polls every worker then: 38 % of the
    parent's CPU. All that would need it is `close()`, which nobody calls. Where a Python has other internals, this is
    a plain Pool.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        cache = getattr(self, "_cache", None)
        if isinstance(cache, dict):
            # It wakes the handler whenever its last entry goes. No job has this key.
            cache[_NO_JOB] = None

    def _setup_queues(self) -> None:
        if not has_packets():
            super()._setup_queues()  # type: ignore[misc]
            return
        self._inqueue, self._outqueue = PacketQueue(), PacketQueue()
        self._quick_put, self._quick_get = self._inqueue.put, self._outqueue.get

    def _get_sentinels(self) -> list[Any]:
        # Without the pipe of answers, which `_change_notifier` does not need.
        return [self._change_notifier._reader]  # type: ignore[attr-defined]


@dataclass
class Generation:
    """One pool after the other. `number` is unique here; the lease queue refuses the workers of any other number."""

    number: int
    board: StatusBoard
    pool: Pool | None = None
    _threads: int = 1

    @classmethod
    def prepare(cls, context: BaseContext, seats: int) -> Generation:
        """Board and number. The pool comes with `start`: its workers are configured with both."""
        return cls(next(_numbers), StatusBoard(context.RawArray("q", seats * WIDTH)))

    def start(self, context: BaseContext, workers: int, threads: int, initializer: Any, config: Any) -> None:
        """
        Start the workers, so many threads a process; the last process carries fewer. Their processes have a name of
        their own, so that `children` finds no others.
        """
        name, carriers = self._name, dict[BaseProcess, int]()
        self._threads = threads

        class NamedPool(QuietPool):
            @staticmethod
            def Process(ctx: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N802  the stdlib's name
                missing = 0
                if threads > 1:
                    for dead in [child for child in carriers if child.exitcode is not None]:
                        del carriers[dead]
                    missing = min(threads, workers - sum(carriers.values()))
                    options |= {"target": carry, "args": (missing, *options["args"])}
                child = ctx.Process(*arguments, **options)
                if missing:
                    carriers[child] = missing
                child.name = name
                return child

        self.pool = NamedPool(-(-workers // threads), initializer, (config,), context=context)

    @property
    def _name(self) -> str:
        return f"pinpool-{os.getpid()}-{self.number}"

    def children(self) -> list[BaseProcess]:
        """The living workers that this process has started."""
        return [child for child in multiprocessing.active_children() if child.name == self._name]

    def survivors(self) -> list[Line]:
        """The living workers by the board: also those that are no longer children, because their forkserver died."""
        return [line for line in self.board.read() if not is_gone(line.pid, line.born)]

    def dispose(self) -> None:
        """End every process of this generation. Does not wait for the pool: a jammed one would never end."""
        if self.pool is not None:
            threading.Thread(target=_terminate, args=(self.pool,), name="pinpool-terminate", daemon=True).start()
        now = time.monotonic()
        # With several loops in a process terminate() waits for ever, as one end mark comes for each process.
        soft, hard = now + (TERMINATE_PATIENCE if self._threads == 1 else 0.0), now + KILL_PATIENCE
        while (pids := self._living()) and time.monotonic() < hard:
            if time.monotonic() >= soft:
                for pid in pids:
                    send(pid, signal.SIGKILL)
            time.sleep(0.005)
        with suppress(AttributeError, ValueError):
            # A dead worker may have held it, and then terminate() waits for it, with two threads and a dozen files.
            self.pool._inqueue._rlock.release()  # type: ignore[union-attr]

    def _living(self) -> list[int]:
        children = [child.pid for child in self.children() if child.pid]
        return children or [line.pid for line in self.survivors()]


def _terminate(pool: Pool) -> None:
    # It reads the pipe of tasks, where a killed worker may have left half of one. The pool is thrown away anyhow.
    with suppress(Exception):
        pool.terminate()


def stop_check_kill(board: StatusBoard, line: Line) -> None:
    """
    Kill a worker, but only inside the task function: elsewhere it may hold a lock of the pool.

    Stopped first, it cannot leave the function between the look and the kill. Without that, one of the first 200 kills
    jams the pool (hazard 2c of the pool research).
    """
    send(line.pid, signal.SIGSTOP)
    give_up = time.monotonic() + STOP_PATIENCE
    while not is_stopped(line.pid) and time.monotonic() < give_up:
        time.sleep(0.001)
    again = board.look(line.seat)
    is_same = (again.token, again.serial) == (line.token, line.serial)
    in_a_task = again.activity not in (Activity.INIT, Activity.IDLE)
    send(line.pid, signal.SIGKILL if is_same and in_a_task else signal.SIGCONT)
