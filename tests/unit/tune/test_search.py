"""Which numbers of workers are tried, when the growth ends, and which is recommended."""

from __future__ import annotations

from typing import Any

import pytest

from attempts import attempt
from pinpool.tune.result import Row, recommend
from pinpool.tune.search import (
    Tally,
    TrialResult,
    budget_share,
    doublings,
    halfway,
    harmless,
    tally,
    why_stop,
)


def tried(
    workers: int, speed: float, *, error: float = 0.01, tallies: dict[int, Tally] | None = None, **known: Any
) -> TrialResult:
    row = Row(workers, speed, error=error * speed, spares=100 - workers, cpu=known.pop("cpu", None))
    return TrialResult(row, tallies or {}, **known)


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
    assert "bans rose" in why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies={3: Tally(40, 20, 20, 20)})])


def test_worse_proxies_further_down_the_list_are_no_fault_of_the_number() -> None:
    calm = {1: Tally(100, 99, 1, 0)}
    worse = {**calm, 2: Tally(100, 10, 90, 0)}

    assert why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=worse)]) == ""


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"cpu": 0.9}, "cores are 90% busy"),
        ({"starved": 0.5}, "too few known pages for 50% of the time"),
    ],
)
def test_growth_ends_where_more_workers_would_tell_nothing(known: dict[str, Any], reason: str) -> None:
    assert reason in why_stop([tried(2, 10.0), tried(4, 20.0, **known)])


def test_a_number_that_brings_bans_is_not_recommended() -> None:
    calm, banned = {1: Tally(100, 100, 0, 0)}, {1: Tally(100, 50, 50, 50)}
    both = [tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)]

    recommendation = recommend(harmless(both), why_stop(both))

    assert recommendation.workers == 2
    assert "bans rose" in recommendation.why


def test_the_knee_is_looked_for_between_too_few_and_enough() -> None:
    assert halfway([tried(8, 40.0), tried(16, 60.0), tried(32, 60.5)]) == 12
    assert halfway([tried(8, 40.0), tried(12, 58.0), tried(16, 60.0), tried(32, 60.5)]) == 14
    assert halfway([tried(8, 40.0), tried(16, 80.0)]) is None
    assert halfway([tried(8, 40.0)]) is None


def test_only_faults_that_load_can_cause_are_tallied() -> None:
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

    assert tally([attempt(0.0, proxy=7, fault=fault) for fault in faults]) == {7: Tally(9, 1, 3, 1)}
