"""
The one way in which processes are started: tried three times whatever dies meanwhile, and undone each time. Then the
reason is told.
"""

import errno
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

from pinpool.pool.engine import UNGUARDED, EngineError
from pinpool.pool.ground import shortages
from pinpool.pool.pids import is_stopped, send
from pinpool.spider.user_errors import described
from pinpool.text import one_line

TRIES = 3
#: Between two looks at processes that may be stopped. A Ctrl-Z stops this process as well, and its end wakes all.
LOOK_SECONDS = 0.5


def bring_up(start: Callable[[], None], undo: Callable[[], None], end_stopped: Callable[[], None]) -> None:
    """
    Call `start`, and again if it fails. `undo` ends what it has started so far.

    `end_stopped` ends those of its processes that somebody has stopped: they would keep `start` waiting for ever.
    Raises EngineError with the reason of the last failure, and the next step.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            with _looking(end_stopped):
                start()
            return
        except Exception as error:
            # Asked now: as soon as its processes are gone, nothing is short any more.
            reason = reason_of(error)
            logging.getLogger("pinpool").debug("a start failed", exc_info=error)
            undo()
            if not tries_left:
                raise EngineError(reason) from None


def reason_of(error: BaseException) -> str:
    """Why processes cannot be started, and what to do."""
    return f"the workers cannot be started: {lack_of(error)}"


def lack_of(error: BaseException) -> str:
    """What an error of the system says is missing, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE):
        lack = "too many open files: raise the limit (ulimit -n 4096), or use fewer workers (-w)"
    elif isinstance(error, MemoryError) or number == errno.ENOMEM:
        lack = "there is not enough memory: use fewer workers (-w), or raise the limit (ulimit -v, or the container's)"
    elif number == errno.ENOSPC:
        lack = "no space is left in /dev/shm or in the folder for temporary files: make room there"
    elif number == errno.EAGAIN or "start new thread" in str(error):
        lack = (
            "no more processes or threads can be started: use fewer workers (-w, or more of them a process: "
            "--threads), or raise the limit of processes (ulimit -u, or pids.max of the container) or of memory"
        )
    elif isinstance(error, EOFError | ConnectionError):  # all we see of a process that has died
        lack = "; ".join(("a process ended while it started", *(shortages() or _unguarded())))
    else:
        lack = one_line(described(error))
    return lack


def _unguarded() -> list[str]:
    """Each child imports the script, if there is one."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return [UNGUARDED] if file and Path(file).is_file() else []


@contextmanager
def _looking(end_stopped: Callable[[], None]) -> Iterator[None]:
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            end_stopped()

    watch = threading.Thread(target=look, name="pinpool-start", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()


class StoppedTwice:
    """Ends a process that is found stopped at two looks in a row."""

    def __init__(self) -> None:
        self._before: set[int] = set()

    def look(self, *pids: int | None) -> None:
        """Look at these processes; None is one that does not run."""
        now = {pid for pid in pids if pid and is_stopped(pid, unknown=False)}
        for pid in now & self._before:
            send(pid, signal.SIGKILL)
        self._before = now


def server_pids() -> tuple[int | None, int | None]:
    """The forkserver and the resource tracker of this process, None where there is none."""
    server, tracker = getattr(forkserver, "_forkserver", None), getattr(resource_tracker, "_resource_tracker", None)
    return getattr(server, "_forkserver_pid", None), getattr(tracker, "_pid", None)


def end_stopped_servers() -> None:
    """
    Kill the forkserver and the resource tracker if somebody has stopped them. They are of no use to anybody then, would
    outlive this process, and never report the end of a child.
    """
    for pid in server_pids():
        if pid and is_stopped(pid, unknown=False):
            send(pid, signal.SIGKILL)
