"""When a stage is held, when it stops, and when it is let go."""

from __future__ import annotations

from pinpool.policy.stage_watch import FIRST, StageWatch


def watched(pages: int, *, proxies: int = 3, settled: int = 3) -> StageWatch:
    watch = StageWatch()
    for page in range(pages):
        watch.failed(page, 1 + page % proxies)
    for page in range(settled):
        watch.ended(page, fruitless=True)
    return watch


def test_a_stage_stops_once_ten_pages_on_three_proxies_gave_nothing() -> None:
    assert watched(FIRST).stops(alive=8)
    assert not watched(FIRST - 1).holds


def test_a_stage_is_only_held_until_other_proxies_have_settled_some_of_its_pages() -> None:
    watch = watched(FIRST, settled=2)

    assert watch.holds
    assert not watch.stops(alive=8)


def test_two_proxies_stop_a_stage_only_if_there_are_no_more() -> None:
    watch = watched(FIRST, proxies=2)

    assert not watch.stops(alive=3)
    assert watch.stops(alive=2)


def test_a_page_that_ends_for_another_reason_no_longer_counts() -> None:
    watch = watched(FIRST)

    watch.ended(FIRST - 1, fruitless=False)

    assert not watch.holds


def test_one_page_with_something_in_hand_lets_the_stage_go() -> None:
    watch = watched(FIRST)

    watch.fruitful = True

    assert not watch.holds
    assert not watch.stops(alive=8)
