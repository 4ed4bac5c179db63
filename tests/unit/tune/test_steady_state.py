"""When a trial has measured enough, and what it has measured."""

from __future__ import annotations

from random import Random

import pytest

from pinpool.model import ProxyState
from pinpool.pool.engine import Census
from pinpool.stats.snapshot import Snapshot
from pinpool.tune.steady_state import Trial


def view(pages: int, able: int = 4, *, parked: int = 0, tasks: int = 103, waiting: str = "") -> Snapshot:
    """A run that has fetched so many pages, with so many workers that have a proxy."""
    census = Census(able, parked=parked, states=dict.fromkeys(range(able), ProxyState.PINNED))
    return Snapshot(pages + tasks, pages, pages, 0, 0, 0, census, "", stopping=False, waiting=waiting)


def run_trial(
    trial: Trial, speed: float, *, able: int = 4, until: float = 500.0, starving: bool = False, parked: int = 0
) -> float:
    """Let a trial see workers who answer at this speed, a quarter more or less; returns when it was over."""
    random, pages, at = Random(1), 0.0, 0.0
    while at < until:
        at += 0.05
        pages += 0.05 * speed * random.uniform(0.75, 1.25)
        if trial.add(at, view(int(pages), able, parked=parked, tasks=0 if starving else 99 + able)):
            break
    return at


def test_a_trial_measures_the_speed_and_how_sure_it_is() -> None:
    trial = Trial(4, seconds=20, pages=100_000)

    over = run_trial(trial, 100.0)

    measured = trial.throughput()
    assert measured is not None
    assert measured.speed == pytest.approx(100.0, rel=0.01)
    assert 0 < measured.error <= 1.0
    assert over == pytest.approx(20.0, abs=0.1)


def test_a_slow_site_gets_more_time_and_not_for_ever() -> None:
    slow, dead = Trial(2, seconds=20, pages=1000), Trial(2, seconds=20, pages=1000)

    over = run_trial(slow, 1.0, able=2)

    assert over == pytest.approx(30.0, abs=0.2)
    assert run_trial(dead, 0.0, able=2) < 61
    assert dead.throughput() is None


def test_the_measuring_begins_when_every_worker_has_answered_twice() -> None:
    trial = Trial(40, seconds=20, pages=100_000)

    run_trial(trial, 40.0, able=40)

    measured = trial.throughput()
    assert measured is not None
    assert measured.since == pytest.approx(2.0, abs=0.2)


def test_a_trial_takes_no_more_pages_than_it_may() -> None:
    trial = Trial(4, seconds=20, pages=60)

    assert run_trial(trial, 100.0) == pytest.approx(0.6, abs=0.1)


def test_a_trial_says_for_how_long_workers_had_no_page_and_no_proxy() -> None:
    trial = Trial(4, seconds=20, pages=100_000)

    run_trial(trial, 50.0, starving=True, parked=1)

    measured = trial.throughput()
    assert measured is not None
    assert measured.starved == pytest.approx(1.0)
    assert measured.parked == pytest.approx(0.25)


def test_the_end_of_a_job_in_which_workers_run_out_of_pages_does_not_count() -> None:
    trial = Trial(4, seconds=20, pages=100_000)
    run_trial(trial, 50.0, until=3.0)
    for tick in range(100):
        trial.add(3.0 + tick * 0.05, view(150, tasks=1))

    all_of_it, fed = trial.throughput(), trial.throughput(with_end=False)

    assert all_of_it is not None
    assert fed is not None
    assert all_of_it.speed < 25
    assert fed.speed == pytest.approx(50.0, rel=0.05)


def test_a_trial_ends_when_the_site_has_fallen_silent() -> None:
    trial = Trial(4, seconds=20, pages=1000)

    assert not trial.add(0.1, view(10))
    assert not trial.add(0.2, view(10, waiting="until 12:30"))
    assert trial.add(1.2, view(10, waiting="until 12:30"))
    assert trial.stalled == "the site fell silent"


def test_a_trial_whose_proxies_all_rest_for_long_is_over() -> None:
    trial = Trial(4, seconds=20, pages=1000)
    resting = view(10)._replace(census=Census(4, parked=4, states={1: ProxyState.COOLING}, wakes_in=30.0))

    assert not trial.add(0.1, resting)
    assert trial.add(1.2, resting)
    assert "had to rest" in trial.stalled
