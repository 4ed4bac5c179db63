"""The engine in memory keeps simulated time. What else it does, it does as every engine does (`tests/engines`)."""

from __future__ import annotations

import itertools

import pytest

from pinpool.model import Assignment, Ending, Evidence, Outcome, Sign, Step, Task
from pinpool.pool.engine import Answered
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings

TASK = Task("detail", "http://films.test/1", b"1" * 16)
REFUSED = JobResult(Ending.FAILED, evidence=Evidence(Step.CONNECT, Sign.REFUSED))
OK = JobResult(Ending.OK)


class Site:
    """Proxies in `bad` are refused; every attempt takes a second."""

    def __init__(self, *bad: int) -> None:
        self.bad = set(bad)

    def __call__(self, lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        return REFUSED if lease.proxy in self.bad else OK, 1.0


def answers(engine: FakeEngine, *work: Assignment, polls: int = 60) -> list[Outcome]:
    """Submit the work, and poll until it is answered."""
    serials = itertools.count(1)
    for assignment in work:
        engine.submit(next(serials), assignment)
    outcomes: list[Outcome] = []
    for _ in range(polls):
        outcomes += [signal.outcome for signal in engine.poll(0.1) if isinstance(signal, Answered)]
        if len(outcomes) == len(work):
            return outcomes
    raise AssertionError(f"{len(outcomes)} answers to {len(work)} attempts")


def test_workers_answer_side_by_side_and_time_moves_with_them() -> None:
    engine = FakeEngine(Site(), 3)

    outcomes = answers(engine, *[Assignment(TASK)] * 6)

    assert sorted(outcome.proxy for outcome in outcomes) == [1, 1, 2, 2, 3, 3]
    assert engine.clock.now == pytest.approx(2.0, abs=0.2)
    assert engine.attempts == 6


def test_a_worker_without_a_spare_parks_and_goes_on_after_the_rest() -> None:
    site = Site(1)
    engine = FakeEngine(site, 1, settings=Settings(cooling=30.0))
    [failed] = answers(engine, Assignment(TASK))
    engine.cool(1, 30.0)
    site.bad.clear()

    [done] = answers(engine, Assignment(TASK), polls=1000)

    assert (failed.ending, failed.swapped, done.ending) == (Ending.FAILED, True, Ending.OK)
    assert done.at - failed.at == pytest.approx(31.0, abs=2.0)
