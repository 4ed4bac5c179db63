"""Which numbers of workers are tried, when the growth ends, and which is recommended."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from attempts import attempt
from pinpool.tune.result import Row, recommend
from pinpool.tune.search import (
    TrialResult,
    budget_share,
    doublings,
    harmless,
    tally,
    why_stop,
)


def tried(
    workers: int, speed: float, *, error: float = 0.01, tallies: dict[int, Counter[bool]] | None = None, **known: Any
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


def test_growth_ends_when_faults_rise_on_proxies_that_were_used_before() -> None:
    calm = {1: Counter({True: 1, False: 99}), 2: Counter({True: 1, False: 99})}
    banned = {1: Counter({True: 15, False: 85}), 2: Counter({True: 9, False: 91}), 3: Counter({True: 1, False: 99})}

    reason = why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)], fixed=True)

    assert reason == "with 4 workers bans and other faults rose from 1.0% to 12.0% of the attempts"


def test_worse_proxies_further_down_the_list_are_no_fault_of_the_number() -> None:
    calm = {1: Counter({True: 1, False: 99})}

    for worse in (Counter({True: 40, False: 0}), Counter({True: 50, False: 50})):
        assert why_stop([tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies={**calm, 2: worse})]) == ""


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
    calm, banned = {1: Counter({True: 0, False: 100})}, {1: Counter({True: 50, False: 50})}
    both = [tried(2, 10.0, tallies=calm), tried(4, 20.0, tallies=banned)]

    recommendation = recommend(harmless(both), why_stop(both))

    assert recommendation.workers == 2
    assert "faults rose" in recommendation.why


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

    assert tally([attempt(0.0, proxy=7, fault=fault) for fault in faults]) == {7: Counter({True: 3, False: 6})}
