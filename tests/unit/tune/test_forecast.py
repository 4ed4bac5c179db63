"""What a forecast makes of many simulated crawls: a chance, how sure it is, and how many spare proxies to keep."""

from __future__ import annotations

import math

import pytest

from pinpool.model import Fault
from pinpool.settings import Settings
from pinpool.tune.forecast import default_sizes, predict, spares_needed
from pinpool.tune.queueing import Machine
from pinpool.tune.recording import Recording, Workload
from pinpool.tune.result import ENOUGH, Row
from pinpool.tune.survival import Behavior, FailureSample, Survival

RULES = Settings(cooling=0.1)
PAGE = 0.05
#: A fifth of the living dies in each second.
DYING = -math.log(0.8)


def recording(*, hazard: float = 0.0, again: float = 0.5, failure: float = 0.0) -> Recording:
    deaths = [[FailureSample(Fault.REFUSED, 0.001)]] if hazard else []
    behaviors = [Behavior(failure, [FailureSample(Fault.BANNED, PAGE)])] * 10
    known = Machine(wait=PAGE, demand=0.0, mean=PAGE, overhead=0.0)
    workload = Workload([PAGE], Survival(behaviors, again, again, 0.0, hazard, deaths))
    return Recording(workload, known, 100, 1, RULES, workers=4, proxies=10)


def row(made: Recording, *, workers: int, proxies: int, pages: int) -> Row:
    return predict(made.changed(pages, {}), workers, proxies=proxies)


def test_the_chance_of_a_list_is_that_of_not_all_of_it_dying() -> None:
    """Few crawls lose the whole list, and the first twenty often none: hundreds are needed to show it."""
    seen = row(recording(hazard=DYING), workers=1, proxies=3, pages=55)

    all_dead = (1 - math.exp(-DYING * 55 * PAGE)) ** 3
    assert seen.survival == pytest.approx(1 - all_dead, abs=0.04)
    assert seen.survival_from is not None
    assert seen.survival_to is not None
    assert seen.survival_to - seen.survival_from < 0.07


def test_where_no_crawl_loses_a_proxy_the_chance_is_certain() -> None:
    seen = row(recording(failure=0.01, again=0.1), workers=2, proxies=4, pages=200)

    assert (seen.survival, seen.survival_from, seen.survival_to) == (1.0, 1.0, 1.0)


def test_spares_are_counted_that_make_up_for_the_dead() -> None:
    made = recording(hazard=DYING)

    spares = spares_needed(made.changed(200, {}), 4)

    assert spares is not None
    few, enough = (row(made, workers=4, proxies=4 + more, pages=200) for more in (0, spares))
    assert (few.survival or 0.0) < ENOUGH <= (enough.survival or 0.0) + 0.05


def test_a_list_that_is_banned_page_by_page_is_predicted_in_seconds() -> None:
    """Every other page fails, and seldom once: hundreds of pages wait for a proxy that has not tried them."""
    seen = row(recording(failure=0.4, again=0.9), workers=2, proxies=4, pages=2000)

    assert seen.pages_per_second < 10


def test_the_numbers_looked_at_grow_by_half_and_end_with_one_worker_for_each_proxy() -> None:
    assert default_sizes(100, 1) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 100]
    assert default_sizes(5, 9) == [1, 2, 3, 4, 5, 9]
    assert default_sizes(1, 1) == [1]
