"""What a page costs on a machine, learnt from a run, for other numbers of workers."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attempts import attempt, good
from pinpool.journal.records import AttemptRow
from pinpool.stats.resources import Usage
from pinpool.tune.queueing import IDLE, Machine, cycles, machine


def used(cpu: float, seconds: float, *, own_cpu: float = 0.0, queued: float = 0.0) -> list[Usage]:
    """A page that took so long, on one core."""
    return [Usage(1, seconds, own_cpu, cpu, queued, 0, 0, 1, 1)]


def busy(workers: int, pages: int, *, begin: float = 0.0, seconds: float = 0.2) -> list[AttemptRow]:
    """So many workers who do a page in so many seconds, one after another."""
    return [attempt(begin + n * seconds, seconds, proxy=proxy) for proxy in range(1, workers + 1) for n in range(pages)]


def at_its_own_speed(known: Machine, workers: int) -> float:
    """By which factor the model stretches what was recorded, for as many workers as recorded it."""
    return known.stretches(workers)[workers]


def test_a_run_that_was_stopped_for_a_while_is_as_fast_as_it_was() -> None:
    rows = [*busy(8, 100), *busy(8, 100, begin=3000.0)]

    known = machine(rows, used(0.001, 0.2 / 8), workers=8)

    assert at_its_own_speed(known, 8) == pytest.approx(1.0, abs=0.02)


def test_trials_with_few_and_many_workers_make_one_record() -> None:
    rows = [*busy(2, 50), *busy(16, 50, begin=20.0)]
    pages = 50 * (2 + 16)

    known = machine(rows, used(0.001, 20.0 / pages), workers=16)

    assert at_its_own_speed(known, 8) == pytest.approx(1.0, abs=0.02)


def test_a_worker_that_has_nothing_to_do_half_of_the_time_does_not_make_pages_quicker() -> None:
    known = machine(busy(2, 100), used(0.001, 0.2 / 1.45), workers=2)

    assert at_its_own_speed(known, 2) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("gaps", [2, 3, 10])
def test_a_few_rests_of_a_paced_run_are_not_stretched_into_the_impossible(gaps: int) -> None:
    random, at, rows = Random(2), 0.0, []
    for _ in range(gaps + 1):
        rows.append(attempt(at, 0.1))
        at += random.uniform(0.75, 1.25)

    known = machine(rows, used(0.01, 1.0), workers=1, pace=1.0)

    assert 0 <= known.overhead < 0.5
    assert known.wait > 0.05


def test_a_lack_of_tasks_is_no_overhead() -> None:
    rows = [*good(100), *good(100, begin=1000.0)]

    assert machine(rows, workers=1).overhead == pytest.approx(0.05, rel=0.01)


def test_what_workers_do_beside_the_pages_makes_no_page_of_a_paced_run_quick() -> None:
    """Most of 80 pins were dead in one, and declining tasks took 18 ms of CPU time for each page, and 80 in queues."""
    rows = [attempt(0.78 * number, 0.05) for number in range(100)]

    known = machine(rows, used(0.018, 0.02, own_cpu=0.006, queued=0.08), workers=1, pace=1.0)

    assert 0.03 < known.wait < 0.05


def test_a_paced_run_does_not_take_its_rests_for_overhead() -> None:
    random, at, rows = Random(1), 0.0, []
    for _ in range(500):
        rows.append(attempt(at, 0.1))
        at += max(0.11, random.uniform(0.75, 1.25))

    assert machine(rows, workers=1, pace=1.0).overhead < 0.05


@given(st.floats(0, 10), st.floats(0.0001, 1), st.integers(1, 60))
def test_more_workers_are_never_slower_and_never_beyond_the_station(wait: float, demand: float, workers: int) -> None:
    speeds = [max(1, busy) / cycle for busy, cycle in enumerate(cycles(wait, demand, workers))]

    assert all(after >= before * (1 - 1e-9) for before, after in pairwise(speeds))
    assert speeds[-1] <= 1 / demand * (1 + 1e-9)


@pytest.mark.parametrize("workers", [1, 4, 8])
def test_what_a_page_waits_and_works_is_learnt_from_a_crawl_by_any_number_of_workers(workers: int) -> None:
    """Fifty milliseconds of waiting, ten of work on one core, which several workers wait for in turn."""
    seconds = cycles(0.05, 0.01, workers)[workers]
    rows = [attempt(n * seconds, seconds, proxy=proxy) for proxy in range(1, workers + 1) for n in range(100)]
    cpu = 0.01
    for _ in range(20):
        cpu = 0.01 * (1 + IDLE * (1 - min(1.0, workers * cpu / seconds)))

    known = machine(rows, used(cpu, seconds / workers, queued=seconds - 0.05 - cpu), workers=workers)

    assert known.wait == pytest.approx(0.05, rel=0.03)
    assert known.demand == pytest.approx(0.01, rel=0.03)
    assert seconds * known.stretches(16)[workers] == pytest.approx(seconds, abs=1e-3)


def test_a_machine_that_was_too_busy_to_show_the_wait_does_not_make_it_disappear() -> None:
    """Forty workers on a core that feeds six: their cycle is that of the queue, whatever they wait for the network."""
    seconds = cycles(0.05, 0.01, 40)[40]
    rows = [attempt(n * seconds, 0.09, proxy=proxy) for proxy in range(1, 41) for n in range(100)]

    known = machine(rows, used(0.01, seconds / 40, own_cpu=0.002, queued=0.03), workers=40)

    assert known.wait == pytest.approx(0.05, abs=0.005)
