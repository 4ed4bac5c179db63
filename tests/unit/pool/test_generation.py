"""How a pool is thrown away."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing import process
from multiprocessing.pool import Pool
from typing import Any, cast
from unittest.mock import Mock

import pytest

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


class Child:
    """A worker that is about to be started."""

    started = 0
    pid = 2**30

    def start(self) -> None:
        self.started += 1


def test_a_pool_that_is_thrown_away_starts_no_more_workers() -> None:
    """The thread that replaces them may be in the midst of many, and nobody waits for it for ever."""
    generation = Generation.prepare(multiprocessing.get_context(), seats=1)
    generation.pool = cast(Pool, TornPool())
    first, late = Child(), Child()
    for child in (first, late):
        vars(child)["start"] = child.start  # as a pool's own processes have it, see `Generation.start`

    generation._start_child(first, first.start)
    generation.dispose()
    with pytest.raises(SystemExit):
        generation._start_child(late, late.start)

    assert (first.started, late.started) == (1, 0)


def test_a_pool_that_was_thrown_away_after_a_failed_start_starts_at_the_second_try() -> None:
    """The solo pool keeps its number. Its end in the first try once ended the whole process, with exit code 0."""
    context = multiprocessing.get_context("spawn")
    generation = Generation.prepare(context, seats=2)
    generation.dispose()

    generation.start(context, 1, 1, None, None)

    assert len(generation.children()) == 1
    generation.dispose()


def test_a_worker_whose_end_is_not_reported_is_not_waited_for_at_the_end_of_the_process() -> None:
    """multiprocessing joins all children that it knows of, without a deadline."""
    generation = Generation.prepare(multiprocessing.get_context(), seats=1)
    generation.pool = cast(Pool, TornPool())
    worker = Mock(pid=None)
    worker.name, worker._popen.poll.return_value = generation._name, None
    cast(Any, process)._children.add(worker)
    assert worker in multiprocessing.active_children()

    generation.dispose()

    assert worker not in multiprocessing.active_children()
