"""The stdlib Pool whose worker handler sleeps until a worker ends. It relies on internals, so these must be watched."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from functools import partial
from multiprocessing.pool import Pool
from typing import Any

import pytest

from crawling import until
from pinpool.pool.generation import QuietPool

pytestmark = [pytest.mark.processes, pytest.mark.grid(share=0.5)]


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever the worker handler looks at its workers."""
    rounds: list[int] = []
    maintain = Pool._maintain_pool  # type: ignore[attr-defined]

    def counted(*arguments: Any) -> None:
        rounds.append(1)
        maintain(*arguments)

    monkeypatch.setattr(Pool, "_maintain_pool", staticmethod(counted))
    return rounds


@pytest.fixture
def pool(rounds: list[int], method: str) -> Iterator[Pool]:
    pool = QuietPool(2, context=multiprocessing.get_context(method))
    yield pool
    # As the engine ends one: terminate() may wait for ever for the lock of a worker that has ended.
    threading.Thread(target=pool.terminate, daemon=True).start()

    def all_are_gone() -> bool:
        for child in (children := multiprocessing.active_children()):
            child.kill()
        return not children

    until(all_are_gone, "no worker", seconds=30)


def test_answers_do_not_wake_the_worker_handler(pool: Pool, rounds: list[int]) -> None:
    for number in range(100):
        assert pool.apply_async(abs, (-number,)).get(30) == number

    assert len(rounds) == 1


def test_a_worker_that_ends_is_replaced_at_once(pool: Pool) -> None:
    for _ in range(3):
        before = workers()
        pool.apply_async(os._exit, (0,))
        until(partial(are_others, before), "another worker", seconds=30)

    assert pool.apply_async(abs, (-1,)).get(30) == 1


def are_others(before: set[int | None]) -> bool:
    return len(now := workers()) >= 2 and now != before


def workers() -> set[int | None]:
    return {child.pid for child in multiprocessing.active_children() if "PoolWorker" in child.name}
