"""Starts one process as a run would, to see whether it can: for `pinpool doctor`."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Lock
from typing import IO, Any, NamedTuple

from pinpool.pool.child_process import own_folder, starting_children
from pinpool.pool.ground import default_start_method

#: A process that needs longer is as good as none.
_PATIENCE = 30.0


class StartCheck(NamedTuple):
    """By which method, what there is besides, how many seconds it took, and why it failed; empty if it did not."""

    method: str
    others: tuple[str, ...]
    seconds: float
    problem: str = ""


def start_one() -> StartCheck:
    """Start a process that takes a lock, and wait for its end. Never raises."""
    method, start = default_start_method(), time.monotonic()
    others = tuple(name for name in multiprocessing.get_all_start_methods() if name != method)
    try:
        with _stderr_kept() as kept:
            problem = _start(method)
            problem += _last_line(kept) if problem else ""
    except Exception as error:  # noqa: BLE001  whatever a machine refuses
        problem = f"{type(error).__name__}: {error}"
    return StartCheck(method, others, time.monotonic() - start, problem)


def _start(method: str) -> str:
    """What went wrong; empty if nothing did."""
    context: Any = multiprocessing.get_context(method)  # Process is an attribute of each kind of context
    own_folder()
    with starting_children():
        # A lock is a semaphore of the system: in shared memory, on Linux. It ends with the last reference to it.
        lock = context.Lock()
        process = context.Process(target=_take, args=(lock,), daemon=True)
        process.start()
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        return f"it has not come up within {_PATIENCE:g} s"
    return f"it ended with code {process.exitcode}" if process.exitcode else ""


@contextmanager
def _stderr_kept() -> Iterator[IO[bytes]]:
    """What this process and those that it starts say on stderr goes to a file: it would be a traceback."""
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        try:
            os.dup2(kept.fileno(), 2)
            yield kept
        finally:
            os.dup2(before, 2)
            os.close(before)


def _last_line(kept: IO[bytes]) -> str:
    with suppress(OSError):
        kept.seek(0)
        if lines := kept.read(1 << 16).decode("utf-8", "replace").split("\n"):
            return next((f" ({line.strip()})" for line in reversed(lines) if line.strip()), "")
    return ""


def _take(lock: Lock) -> None:
    with lock:
        pass
