"""What is learnt from the attempts of a run, and what a page costs on a machine."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.errors import UsageError
from pinpool.journal.records import AttemptRow
from pinpool.stats.resources import Usage
from pinpool.tune.queueing import IDLE, cycles
from pinpool.tune.workload import Machine, delays, machine, observe, page_tree, stretch

START = 1_700_000_000.0


def attempt(
    at: float, seconds: float = 0.2, *, proxy: int = 1, fault: str | None = None, charged: bool = True
) -> AttemptRow:
    ending = "failed" if fault else "ok"
    return AttemptRow(
        1,
        1,
        proxy,
        100 + proxy,
        START + at,
        seconds,
        ending,
        fault,
        None,
        0,
        None,
        charged and bool(fault),
        False,
    )


def good(count: int, proxy: int = 1, begin: float = 0.0) -> list[AttemptRow]:
    return [attempt(begin + n * 0.25, proxy=proxy) for n in range(count)]


def test_too_few_good_attempts_are_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"only 29 good attempts .* --limit 300"):
        observe(good(29), {})


def test_a_calm_run_has_no_faults_and_no_deaths() -> None:
    calm = observe(good(100), {})

    assert (calm.hazard, calm.dead_on_arrival, calm.page_failure, calm.behaviors[0].failure) == (
        0.0,
        0.0,
        0.0,
        0.0,
    )


def test_a_proxy_that_fails_beyond_its_rest_is_dead_and_no_fault_of_a_living_one() -> None:
    rows = [*good(400, proxy=2), *good(200), *(attempt(50.0 + n, fault="refused") for n in (1, 20))]

    seen = observe(rows, {1: [START + 51.5]})

    assert seen.hazard == pytest.approx(1 / 150, rel=0.02)
    assert [failure.fault for failure in seen.deaths[0]] == ["refused", "refused"]
    assert all(behavior.failure == 0.0 for behavior in seen.behaviors)


def test_a_proxy_that_comes_back_after_its_rest_has_not_died() -> None:
    rows = [*good(100), attempt(30.0, fault="banned"), attempt(70.0)]

    seen = observe(rows, {1: [START + 30.1]})

    assert (seen.hazard, seen.deaths) == (0.0, [])
    assert seen.after_rest < 0.5


def test_a_proxy_that_refused_from_the_first_moment_never_worked() -> None:
    rows = [*good(100), *(attempt(n, 0.01, proxy=2, fault="refused") for n in (0.0, 20.0))]

    seen = observe(rows, {2: [START + 0.1]})

    assert seen.dead_on_arrival == pytest.approx(0.5)
    assert seen.hazard == 0.0


def test_pages_that_are_to_blame_themselves_are_not_held_against_proxies() -> None:
    rows = [*good(90), *(attempt(30.0 + n, fault="http_error", charged=False) for n in range(10))]

    seen = observe(rows, {})

    assert seen.page_failure == pytest.approx(0.1)
    assert seen.behaviors[0].failure == 0.0


def test_the_rate_of_deaths_is_found_though_many_die_unseen() -> None:
    """Ten workers use up three hundred proxies; those that died as spares are found dead at their first use."""
    random, rate = Random(5), 0.1
    rows, rests, free = [], {}, [0.0] * 10
    for proxy in range(1, 301):
        at = min(free)
        free.remove(at)
        dies = random.expovariate(rate)
        while at < dies:
            rows.append(attempt(at, proxy=proxy))
            at += 0.25
        rows += [attempt(at, 0.01, proxy=proxy, fault="refused")]
        rows += [attempt(at + 90, 0.01, proxy=proxy, fault="refused")]
        rests[proxy] = [START + at + 0.02]
        free.append(at + 0.02)

    seen = observe(rows, rests)

    assert seen.hazard == pytest.approx(rate, rel=0.2)
    assert seen.dead_on_arrival < 0.05


def test_proxies_first_tried_long_after_all_others_had_died_are_no_trouble() -> None:
    rows = [
        row
        for proxy in range(1, 41)
        for row in [*good(6, proxy=proxy), attempt(1.5, proxy=proxy, fault="refused")]
    ]
    rows += [attempt(2000.0 + n, proxy=50 + n, fault="refused") for n in range(34)]

    assert observe(rows, {}).hazard > 0.1


def test_a_proxy_that_may_die_dies_as_one_was_seen_to() -> None:
    """No end is surely death here, yet some are likely to be."""
    rows = []
    for proxy in range(1, 41):
        rows += good(40, proxy=proxy)
        rows += [attempt(10.0, proxy=proxy, fault="reset"), *good(5, proxy=proxy, begin=10.25)]
        if proxy <= 6:
            rows += [attempt(12.0 + n / 4, proxy=proxy, fault="reset") for n in range(2)]

    seen = observe(rows, {})

    assert bool(seen.deaths) == seen.loses_proxies


def test_hours_between_a_stop_and_a_resume_do_not_count_as_time_survived() -> None:
    rows = [
        *good(200),
        *good(200, begin=86_400.0),
        *(attempt(86_450.0 + n, fault="refused") for n in (1, 20)),
    ]

    assert observe(rows, {1: [START + 86_451.5]}).hazard == pytest.approx(1 / 100, rel=0.02)


def test_a_larger_job_is_the_recorded_one_over_again() -> None:
    job = page_tree([(5, None, True), (6, 5, False), (9, 5, False)], pages=7)

    assert job.pages == 7
    assert list(job.roots) == [0, 3, 6]
    assert job.children[3] == [4, 5]
    assert job.lists == {0, 3, 6}


def test_a_smaller_job_has_fewer_seeds_with_all_that_they_lead_to() -> None:
    tree = [(1, None, True), (2, None, True), (3, 1, False), (4, 1, False), (5, 2, False), (6, 2, False)]

    job = page_tree(tree, pages=4)

    assert list(job.roots) == [0, 3]
    assert job.children == {0: [1, 2]}
    assert job.lists == {0, 3}


def test_pages_that_ask_for_each_other_in_a_circle_are_seeds_all_the_same() -> None:
    job = page_tree([(1, 2, True), (2, 1, True), (3, 3, False)])

    assert job.pages == 3
    assert list(job.roots) == [0, 2]


def used(cpu: float, seconds: float, *, own_cpu: float = 0.0, queued: float = 0.0) -> list[Usage]:
    """A page that took so long, on one core."""
    return [Usage(1, seconds, own_cpu, cpu, queued, 0, 0, 1, 1)]


def busy(workers: int, pages: int, *, begin: float = 0.0, seconds: float = 0.2) -> list[AttemptRow]:
    """So many workers who do a page in so many seconds, one after another."""
    return [
        attempt(begin + n * seconds, seconds, proxy=proxy)
        for proxy in range(1, workers + 1)
        for n in range(pages)
    ]


def at_its_own_speed(known: Machine, workers: int) -> float:
    """By which factor the model stretches what was recorded, for as many workers as recorded it."""
    factor, more = stretch(known, delays(known, workers)[workers])
    return factor + more / known.mean


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
def test_more_workers_are_never_slower_and_never_beyond_the_station(
    wait: float, demand: float, workers: int
) -> None:
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
    assert delays(known, 16)[workers] == pytest.approx(0.0, abs=1e-3)


def test_a_machine_that_was_too_busy_to_show_the_wait_does_not_make_it_disappear() -> None:
    """Forty workers on a core that feeds six: their cycle is that of the queue, whatever they wait for the network."""
    seconds = cycles(0.05, 0.01, 40)[40]
    rows = [attempt(n * seconds, 0.09, proxy=proxy) for proxy in range(1, 41) for n in range(100)]

    known = machine(rows, used(0.01, seconds / 40, own_cpu=0.002, queued=0.03), workers=40)

    assert known.wait == pytest.approx(0.05, abs=0.005)
