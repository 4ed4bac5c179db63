"""Which worker the calling code runs in: the process global that holds it, with its pin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pinpool.pool.log_pipe import Whereabouts
from pinpool.pool.status_board import is_alone

if TYPE_CHECKING:
    from pinpool.pool.pin import Pin
    from pinpool.pool.pinned_worker import PinnedWorker

#: The one process global: this process as a worker, with its pin. None if the process carries several workers.
_worker: PinnedWorker | None = None
#: There, the worker of each thread.
_of_thread = threading.local()


def become(worker: PinnedWorker) -> None:
    """From now on this process is the worker; in another thread than the main one, only that thread is."""
    global _worker  # noqa: PLW0603  the process global that the design is about
    if is_alone():
        _worker = worker
    else:
        _of_thread.worker = worker


@contextmanager
def acting_as(worker: PinnedWorker) -> Iterator[None]:
    """Within the block, this thread is the worker: one that the calling process has among other things to do."""
    before = getattr(_of_thread, "worker", None)
    _of_thread.worker = worker
    try:
        yield
    finally:
        _of_thread.worker = before


def this_worker() -> PinnedWorker | None:
    """The worker that calls, None outside of one."""
    return _worker or getattr(_of_thread, "worker", None)


def goes_on() -> None:
    """Show that the assignment of this worker goes on, though it takes long. No effect outside of one."""
    worker = this_worker()
    if worker is not None:
        worker.goes_on()


def pinned() -> Pin:
    """The pin of this worker. Raises RuntimeError outside of one."""
    worker = this_worker()
    if worker is None:
        raise RuntimeError("session() and proxy() work inside a function that a PinnedPool runs, and nowhere else")
    return worker.pin


def whereabouts() -> Whereabouts:
    """Where the worker that calls is; nowhere outside of one."""
    worker = this_worker()
    return worker.whereabouts() if worker else Whereabouts()
