"""When a trial has told enough, what it says, and which number of workers comes next."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from pinpool.journal.records import AttemptRow
from pinpool.tune.result import Row
from pinpool.tune.search import (
    Tally,
    TrialResult,
    budget_share,
    doublings,
    halfway,
    recommend_trial,
    tally,
    why_stop,
)
from pinpool.tune.steady_state import Sample, Trial


def run_trial(
    trial: Trial, speed: float, *, able: int = 4, until: float = 500.0, starving: bool = False, **rest: int
) -> float:
    """Let a trial see workers who answer at this speed, a quarter more or less; returns when it was over."""
    random, pages, at = Random(1), 0.0, 0.0
    while at < until:
        at += 0.05
        pages += 0.05 * speed * random.uniform(0.75, 1.25)
        sample = Sample(
            at, int(pages), able, rest.get("parked", 0), 0 if starving else 99, 0 if starving else able
        )
        if trial.add(sample):
            break
    return at


def tried(
    workers: int, speed: float, *, error: float = 0.01, tallies: dict[int, Tally] | None = None, **known: Any
) -> TrialResult:
    row = Row(workers, speed, error=error * speed, spares=100 - workers, cpu=known.pop("cpu", None))
    return TrialResult(row, tallies or {}, **known)


def test_a_trial_ends_as_soon_as_the_speed_is_known() -> None:
    trial = Trial(4, seconds=20, pages=100_000)

    over = run_trial(trial, 100.0)

    measured = trial.throughput()
    assert measured is not None
    assert measured.speed == pytest.approx(100.0, rel=0.03)
    assert 0 < measured.relative_error <= 0.03
    assert over < 5.0


def test_a_slow_site_gets_more_time_and_not_for_ever() -> None:
    slow, dead = Trial(2, seconds=20, pages=1000), Trial(2, seconds=20, pages=1000)

    over = run_trial(slow, 1.0, able=2)

    assert 30 < over < 45
    assert run_trial(dead, 0.0, able=2) < 61
    assert dead.throughput() is None


def test_the_measuring_begins_when_every_worker_has_answered_twice() -> None:
    trial = Trial(40, seconds=20, pages=100_000)

    run_trial(trial, 40.0, able=40)

    assert trial.begun == pytest.approx(2.0, abs=0.2)


def test_a_trial_takes_no_more_pages_than_it_may() -> None:
    trial = Trial(4, seconds=20, pages=60)

    run_trial(trial, 100.0)

    measured = trial.throughput()
    assert measured is not None
    assert measured.pages <= 60


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
        trial.add(Sample(3.0 + tick * 0.05, 150, 4, 0, 0, 1))

    all_of_it, fed = trial.throughput(), trial.throughput(with_end=False)

    assert all_of_it is not None
    assert fed is not None
    assert all_of_it.speed < 25
    assert fed.speed == pytest.approx(50.0, rel=0.05)


def test_a_trial_ends_when_the_site_has_fallen_silent() -> None:
    trial = Trial(4, seconds=20, pages=1000)

    assert not trial.add(Sample(0.0, 10, 4, 0, 9, 4))
    assert not trial.add(Sample(0.1, 10, 4, 0, 9, 4, stalled="the site fell silent"))
    assert trial.add(Sample(1.1, 10, 4, 0, 9, 4, stalled="the site fell silent"))
    assert trial.stalled


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, [1]), (2, [2]), (3, [2, 3]), (8, [2, 4, 8]), (9, [2, 4, 9]), (100, [2, 4, 8, 16, 32, 64, 100])],
)
def test_numbers_of_workers_double_up_to_the_most(most: int, sizes: list[int]) -> None:
    assert doublings(most) == sizes


def test_the_budget_is_shared_by_the_number_of_workers_and_never_exceeded() -> None:
    sizes, left = [2, 4, 8], 1000

    for place in range(3):
        left -= budget_share(sizes[place:], left)

    assert budget_share(sizes, 1000) == 230
    assert left == 0


def test_growth_goes_on_while_the_gain_is_sure() -> None:
    assert why_stop([tried(2, 10.0), tried(4, 20.0)]) == ""


def test_growth_ends_when_the_gain_is_within_the_errors_of_both() -> None:
    assert "not faster" in why_stop([tried(2, 10.0, error=0.05), tried(4, 11.0, error=0.05)])
    assert why_stop([tried(2, 10.0, error=0.01), tried(4, 11.0, error=0.01)]) == ""
    assert why_stop([tried(2, 10.0), tried(4, 10.1)], fixed=True) == ""


def test_a_machine_with_other_work_ends_the_growth_only_where_workers_gain_nothing_any_more() -> None:
    assert why_stop([tried(2, 10.0), tried(4, 20.0, queued=0.4)]) == ""
    assert "wait for a core 40% of the time" in why_stop([tried(2, 10.0), tried(4, 10.1, queued=0.4)])


def test_growth_ends_when_bans_rise_on_proxies_that_served_before() -> None:
    calm, banned = (
        {1: Tally(100, 99, 1, 0), 2: Tally(100, 99, 1, 0)},
        {1: Tally(100, 85, 15, 15), 2: Tally(100, 91, 9, 9)},
    )

    reason = why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)], fixed=True)

    assert reason == "with 4 workers bans rose from 0.0% to 12.0% of the attempts"


def test_a_proxy_that_is_banned_from_the_start_is_no_fault_of_the_number() -> None:
    calm = {1: Tally(100, 100, 0, 0)}
    banned = {**calm, 2: Tally(40, 0, 40, 40)}

    assert why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)]) == ""
    assert "bans rose" in why_stop(
        [tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies={3: Tally(40, 20, 20, 20)})]
    )


def test_worse_proxies_further_down_the_list_are_no_fault_of_the_number() -> None:
    calm = {1: Tally(100, 99, 1, 0)}
    worse = {**calm, 2: Tally(100, 10, 90, 0)}

    assert why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=worse)]) == ""


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"cpu": 0.9}, "cores are 90% busy"),
        ({"starved": 0.5}, "too few known pages for 50% of the time"),
        ({"stalled": "the site fell silent"}, "with 4 workers the site fell silent"),
    ],
)
def test_growth_ends_where_more_workers_would_tell_nothing(known: dict[str, Any], reason: str) -> None:
    assert reason in why_stop([tried(2, 10.0), tried(4, 20.0, **known)])


def test_a_number_that_brings_bans_is_not_recommended() -> None:
    calm, banned = {1: Tally(100, 100, 0, 0)}, {1: Tally(100, 50, 50, 50)}
    both = [tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)]

    recommendation = recommend_trial(both, why_stop(both))

    assert recommendation.workers == 2
    assert "bans rose" in recommendation.why


def test_the_knee_is_looked_for_between_too_few_and_enough() -> None:
    assert halfway([tried(8, 40.0), tried(16, 60.0), tried(32, 60.5)]) == 12
    assert halfway([tried(8, 40.0), tried(12, 58.0), tried(16, 60.0), tried(32, 60.5)]) == 14
    assert halfway([tried(8, 40.0), tried(16, 80.0)]) is None
    assert halfway([tried(8, 40.0)]) is None


def test_only_faults_that_load_can_cause_are_tallied() -> None:
    def attempt(fault: str | None) -> AttemptRow:
        return AttemptRow(
            1, 1, 7, 1, 0.0, 0.1, "failed" if fault else "ok", fault, None, 0, None, False, False
        )

    faults = [
        None,
        "refused",
        "proxy_auth",
        "http_error",
        "extract",
        "banned",
        "timeout",
        "server_error",
        "odd",
    ]

    assert tally([attempt(fault) for fault in faults]) == {7: Tally(9, 1, 3, 1)}
