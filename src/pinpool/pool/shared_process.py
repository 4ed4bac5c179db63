"""
A process of the pool that carries several workers as threads. Each runs the stdlib's own worker loop, with a pin, a
seat on the board and a lease of its own.

They share what costs most: the modules, the spider, the memory of the allocator. They also share the interpreter's
lock, and their process's death.
"""

import ctypes
import os
import threading
from contextlib import suppress
from multiprocessing.pool import worker as pool_loop  # type: ignore[attr-defined]
from typing import Any

from pinpool.pool.job import WorkerConfig
from pinpool.pool.this_worker import this_worker
from pinpool.pool.worker import Worker, complain, enter_process

#: Between two signs of life. If they stop, a call into C keeps the interpreter's lock, or the process is stopped.
BEAT_SECONDS = 0.25
#: glibc's malloc gives each thread a heap of its own otherwise: 7 MB more for 25 threads that take turns anyway.
_M_ARENA_MAX = -8


def carry(
    workers: int, inqueue: Any, outqueue: Any, initializer: Any, initargs: tuple[WorkerConfig], *rest: Any
) -> None:
    """
    Run so many workers until the first of their loops ends, then end the process. Called in its main thread, with the
    arguments of the stdlib's worker loop after the first.
    """
    # Each loop closes the ends that a worker has no use for. Only the first call does something: it must not race.
    inqueue._writer.close()
    outqueue._reader.close()
    (config,) = initargs
    with suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    try:
        enter_process(config)
        job = config.job()
    except BaseException as error:  # noqa: BLE001
        complain(config, error)
    shared = config._replace(job=lambda: job)
    ended, carried = threading.Event(), list[Worker]()

    def loop() -> None:
        try:
            initializer(shared)
            if isinstance(worker := this_worker(), Worker):
                carried.append(worker)
            pool_loop(inqueue, outqueue, None, (), *rest)
        finally:
            ended.set()

    try:
        for number in range(workers):
            threading.Thread(target=loop, name=f"pinpool-worker-{number}", daemon=True).start()
    except RuntimeError as error:  # a limit of processes or memory
        complain(config, error)
    while not ended.wait(BEAT_SECONDS):
        for worker in carried:
            worker.beat()
    # At once: the pool ends its processes one by one, and the other loops would wait for an end mark of their own.
    os._exit(0)
