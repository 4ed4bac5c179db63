"""One pool of workers with its status board, and how to kill a worker of it."""

from __future__ import annotations

import errno
import itertools
import multiprocessing.pool
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from typing import Any

from pinpool.pool.child_process import forget, safe_path
from pinpool.pool.packet_queue import PacketQueue, has_packets
from pinpool.pool.pids import born, is_gone, is_stopped, send
from pinpool.pool.shared_process import carry
from pinpool.pool.startup import TRIES, end_stopped_servers
from pinpool.pool.status_board import WIDTH, Activity, Line, StatusBoard

KILL_PATIENCE = 5.0
STOP_PATIENCE = 0.5
HANDLER_SECONDS = 5.0
_NO_JOB = -1

_numbers = itertools.count(1)


class QuietPool(Pool):
    """
    A Pool whose worker handler sleeps until a worker ends or the pool does.

    The stdlib's own wakes for every answer, and whenever no task is in flight, and polls every worker then: 38 % of the
    parent's CPU. All that would need it is `close()`, which nobody calls. Where a Python has other internals, this is
    a plain Pool.
    """

    def __init__(self, processes: int, initializer: Any = None, initargs: Any = (), *, context: Any) -> None:
        context = _PacketContext(context) if has_packets() else context
        try:
            super().__init__(processes, initializer, initargs, context=context)
        except BaseException:
            self.end_handler()
            raise
        cache = getattr(self, "_cache", None)
        if isinstance(cache, dict):
            # It wakes the handler whenever its last entry goes. No job has this key.
            cache[_NO_JOB] = None

    def _setup_queues(self) -> None:
        super()._setup_queues()  # type: ignore[misc]
        if has_packets():
            self._inqueue._reader.instead, self._outqueue._reader.instead = _no_task, _no_answer  # type: ignore[attr-defined]

    def end_handler(self) -> None:
        """From now on no worker is replaced."""
        handler: Any = getattr(self, "_worker_handler", None)
        if handler is not None and handler.is_alive():
            handler._state = multiprocessing.pool.TERMINATE
            self._change_notifier.put(None)  # type: ignore[attr-defined]
            handler.join(HANDLER_SECONDS)

    def _repopulate_pool(self) -> None:
        try:
            super()._repopulate_pool()  # type: ignore[misc]
        except Exception:
            # The stdlib asks them to end by SIGTERM, which they leave to the parent, and waits for that.
            for child in getattr(self, "_pool", ()):
                child.kill()
            raise

    def _get_sentinels(self) -> list[Any]:
        # Without the pipe of answers, which `_change_notifier` does not need.
        return [self._change_notifier._reader]  # type: ignore[attr-defined]


def _no_task(job: object, number: object) -> tuple[object, ...]:
    return job, number, _raise_too_many_files, (), {}


def _no_answer(job: object, number: object) -> tuple[object, ...]:
    return job, number, (False, OSError(errno.EMFILE, os.strerror(errno.EMFILE)))


def _raise_too_many_files() -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class _PacketContext:
    """A context whose queues need no lock, and so no semaphore of the system, which the resource tracker keeps."""

    SimpleQueue = PacketQueue

    def __init__(self, context: BaseContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


@dataclass
class Generation:
    """One pool after the other. `number` is unique here; the lease queue refuses the workers of any other number."""

    number: int
    board: StatusBoard
    pool: Pool | None = None
    #: The processes that it has started, by pid, and when each was born.
    _started: dict[int, int] = field(default_factory=dict)
    _is_over: bool = False

    @classmethod
    def prepare(cls, context: BaseContext, seats: int) -> Generation:
        """Board and number. The pool comes with `start`: its workers are configured with both."""
        return cls(next(_numbers), StatusBoard(context.RawArray("q", seats * WIDTH)))

    def start(self, context: BaseContext, workers: int, threads: int, initializer: Any, config: Any) -> None:
        """
        Start the workers, so many threads a process; the last process carries fewer. Their processes have a name of
        their own, so that `children` finds no others.
        """
        self._is_over = False  # a first try may have failed, and was disposed of
        name, carriers, start_child = self._name, dict[BaseProcess, int](), self._start_child

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
                start, child.start = child.start, lambda: start_child(child, start)
                return child

        self.pool = NamedPool(-(-workers // threads), initializer, (config,), context=context)

    def _start_child(self, child: Any, start: Callable[[], None]) -> None:
        del child.start  # a child that is sent to its process takes its attributes along
        if self._is_over:
            raise SystemExit  # ends the thread of the pool that replaces workers, without a traceback
        is_new = self.pool is None
        for tries_left in reversed(range(1 if is_new else TRIES)):
            try:
                with safe_path():
                    start()
                break
            except Exception:
                if is_new:
                    raise  # nothing of this pool is kept
                if not tries_left:
                    # The thread of the pool that replaces workers ends, without a traceback. `WorkerWatch` sees that.
                    raise SystemExit from None
        self._started = {pid: birth for pid, birth in self._started.items() if not is_gone(pid, birth)}
        self._started[child.pid] = born(child.pid)

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
        """
        End every process of this generation, within seconds. Does not wait for the pool: a jammed one would never end.
        What cannot be ended is left behind.
        """
        self._is_over = True
        end_stopped_servers()
        if isinstance(self.pool, QuietPool):
            self.pool.end_handler()  # or it may start another worker when those are dead
        if self.pool is not None:
            try:
                threading.Thread(target=_terminate, args=(self.pool,), name="pinpool-terminate", daemon=True).start()
            except RuntimeError:  # no thread can be started: it would only tidy up
                _leave_as_it_is(self.pool)
        give_up = time.monotonic() + KILL_PATIENCE
        while (pids := self._living()) and time.monotonic() < give_up:
            for pid in pids:
                send(pid, signal.SIGKILL)
            time.sleep(0.005)
        with suppress(AttributeError, ValueError):
            # A dead worker may have held it, and then terminate() waits for it, with two threads and a dozen files.
            self.pool._inqueue._rlock.release()  # type: ignore[union-attr]
        for child in self.children():
            forget(child)

    def _living(self) -> set[int]:
        children = {child.pid for child in self.children() if child.pid}
        # Once its forkserver is dead, a worker is no child any more.
        started = {pid for pid, birth in [*self._started.items()] if not is_gone(pid, birth)}
        return children | started | {line.pid for line in self.survivors()}


def _terminate(pool: Pool) -> None:
    # It reads the pipe of tasks, where a killed worker may have left half of one. The pool is thrown away anyhow.
    with suppress(Exception):
        pool.terminate()


def _leave_as_it_is(pool: Pool) -> None:
    """At the end of this process, multiprocessing would terminate the pool, and wait for its threads and workers."""
    finalizer: Any = getattr(pool, "_terminate", None)
    if finalizer is not None:
        finalizer.cancel()


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
