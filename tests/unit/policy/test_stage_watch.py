"""When a stage is held, when it stops, and when it is let go."""

from __future__ import annotations

import pytest

from pinpool.policy.stage_watch import FIRST, SETTLED, StageWatch, Witnesses

OTHERS = Witnesses(range(1, 9), range(1, 9), usable=True)


def watched(pages: int, *, proxies: int = 3, settled: int = SETTLED, times: int = 2, tolerated: int = 0) -> StageWatch:
    watch = StageWatch(tolerated)
    for report in range(pages * times):
        watch.failed(report % pages, 1 + report % proxies)
    for page in range(settled):
        watch.ended(page, fruitless=True)
    return watch


def everybody(proxies: int, *, usable: bool = True) -> Witnesses:
    """All proxies are among those that reported."""
    return Witnesses(range(1, proxies + 1), range(1, proxies + 1), usable)


def test_a_stage_stops_once_ten_pages_on_three_proxies_gave_nothing() -> None:
    assert watched(FIRST).stops(OTHERS, is_all=False)
    assert not watched(FIRST - 1).holds
    assert not watched(FIRST - 1).stops(OTHERS, is_all=False)


def test_a_stage_is_only_held_until_proxies_have_settled_some_of_its_pages_or_all_proxies_say_so() -> None:
    watch = watched(FIRST, settled=SETTLED - 1)

    assert watch.holds
    assert not watch.stops(OTHERS, is_all=False)
    assert watch.stops(everybody(3), is_all=False)


def test_proxies_that_cannot_be_asked_are_not_waited_for() -> None:
    assert watched(FIRST, settled=0).stops(Witnesses(range(1, 9), (1, 2, 3), usable=True), is_all=False)


def test_two_proxies_stop_a_stage_only_if_no_more_live() -> None:
    watch = watched(FIRST, proxies=2)

    assert not watch.stops(OTHERS, is_all=False)
    assert watch.stops(everybody(2), is_all=False)


def test_fewer_pages_are_enough_if_they_are_all_there_are_and_each_was_tried_again() -> None:
    assert not watched(4).stops(everybody(3), is_all=False)
    assert watched(4).stops(everybody(3), is_all=True)
    assert not watched(4, times=1).stops(everybody(3), is_all=True)


def test_nobody_waits_for_proxies_that_rest_because_the_stage_yields_nothing() -> None:
    assert watched(SETTLED).stops(everybody(3, usable=False), is_all=False)
    assert not watched(SETTLED - 1).stops(everybody(2, usable=False), is_all=False)


@pytest.mark.parametrize("is_all", [True, False])
def test_as_many_pages_as_are_tolerated_stop_nothing(is_all: bool) -> None:
    assert not watched(30, tolerated=30).stops(everybody(3), is_all=is_all)
    assert watched(31, tolerated=30).stops(everybody(3), is_all=is_all)


def test_a_page_that_ends_for_another_reason_no_longer_counts() -> None:
    watch = watched(FIRST)

    watch.ended(FIRST - 1, fruitless=False)

    assert not watch.holds


def test_one_page_with_something_in_hand_lets_the_stage_go() -> None:
    watch = watched(FIRST)

    watch.fruitful = True

    assert not watch.holds
    assert not watch.stops(everybody(3), is_all=True)
