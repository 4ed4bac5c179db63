"""How a pool is thrown away."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.pool import Pool
from typing import cast

from pinpool.pool.generation import Generation


class TornPool:
    """A pool in whose pipe a killed worker has left half a task."""

    def terminate(self) -> None:
        raise EOFError("Ran out of input")


def test_a_pool_with_half_a_task_in_its_pipe_is_thrown_away_without_a_traceback() -> None:
    generation = Generation.prepare(multiprocessing.get_context(), seats=1)
    generation.pool = cast(Pool, TornPool())

    generation.dispose()

    # pytest turns an exception that leaves a thread into a failure of the test.
    for thread in threading.enumerate():
        if thread.name == "pinpool-terminate":
            thread.join(30)
