"""Who does what next where the parent leads its workers."""

from __future__ import annotations

from typing import Any

import pytest

from dispatching import (
    CALL,
    PAGE,
    PINNED,
    REFUSED,
    RETIRED,
    SPARE,
    TIMEOUT,
    answer,
    clock_of,
    dispatch,
    moves,
    outcomes,
    pairs,
    starts,
)
from engines import spare
from pinpool.model import Assignment, Call, Ending, Evidence
from pinpool.pool.status_board import Activity

# Tasks and workers


def test_each_worker_gets_one_task_and_the_next_when_it_has_answered() -> None:
    made = dispatch(2, "a", "b")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1), (2, 2)]
    answer(made, 2)
    assert pairs(made) == [(2, 3)]
    assert made.flight == {1, 3}


def test_the_worker_that_has_waited_longest_gets_the_next_task() -> None:
    made = dispatch(3, "a", "b", "c")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    for worker in (3, 1, 2):
        answer(made, worker)

    for serial in (4, 5, 6):
        made.submit(serial, CALL)

    assert pairs(made) == [(3, 4), (1, 5), (2, 6)]


def test_a_worker_without_a_proxy_gets_no_task() -> None:
    made = dispatch(1, "a", "b")
    for serial in (1, 2):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1)]
    made.tick()
    assert (made.census.running, made.census.parked) == (1, 1)


def test_a_new_worker_that_has_a_proxy_at_once_does_not_wait_behind_those_that_have_none() -> None:
    """They could never have its proxy, so it would never be used."""
    made = dispatch(1, "a", "b")
    made.lost(made.workers[1])

    made.add(3, number=3, pid=3)
    made.submit(1, CALL)

    assert pairs(made) == [(3, 1)]


def test_the_lease_of_a_worker_without_a_proxy_is_a_mistake_of_its_engine() -> None:
    made = dispatch(0, "a")

    with pytest.raises(RuntimeError, match="worker 1 has no proxy"):
        _ = made.workers[1].lease


# Proxies


def test_a_sure_fault_swaps_the_proxy_and_the_answer_says_so() -> None:
    made = dispatch(2, "a")
    made.submit(1, CALL)
    starts(made)
    first = made.workers[1].pins

    answer(made, 1, REFUSED)

    assert [(one.proxy, one.swapped) for one in outcomes(made)] == [(1, True)]
    assert (made.workers[1].proxy, made.workers[1].pins) == (2, first + 1)


def test_a_doubtful_fault_swaps_the_proxy_at_the_third_in_a_row_only() -> None:
    made = dispatch(2, "a")
    swapped = []
    for serial, evidence in enumerate([TIMEOUT, TIMEOUT, None, TIMEOUT, TIMEOUT, TIMEOUT], 1):
        made.submit(serial, CALL)
        starts(made)
        answer(made, 1, evidence)
        swapped += [one.swapped for one in outcomes(made)]

    assert swapped == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("served", "is_proven"),
    [({}, True), ({"ending": Ending.GONE}, True), ({"ending": Ending.GONE, "unasked": "robots.txt"}, False)],
    ids=["a page", "a page that is gone", "a page that was never asked for"],
)
def test_a_rested_proxy_is_swapped_at_its_first_doubt_unless_it_has_served(
    served: dict[str, Any], is_proven: bool
) -> None:
    made = dispatch(1, "a")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    answer(made, 1, REFUSED)
    clock_of(made).advance(60.0)
    starts(made)

    answer(made, 1, **served)
    proven = made.queue.get(1, 0.0)
    starts(made)
    answer(made, 1, TIMEOUT)

    assert proven is not None
    assert proven.probing is not is_proven
    assert outcomes(made)[-1].swapped is not is_proven


def test_without_a_spare_the_worker_parks_and_takes_the_proxy_that_has_rested() -> None:
    made = dispatch(1, "a")
    for serial in (1, 2):
        made.submit(serial, CALL)
    starts(made)

    answer(made, 1, REFUSED)

    assert pairs(made) == []
    assert made.workers[1].activity is Activity.PARK
    clock_of(made).advance(60.0)
    assert pairs(made) == [(1, 2)]


def test_a_proxy_that_is_withdrawn_is_left_before_the_next_page_and_the_task_goes_back_untried() -> None:
    made = dispatch(1, "a")
    made.submit(1, CALL)
    starts(made)

    made.withdraw([1], "off the list")
    answer(made, 1)
    made.submit(2, CALL)

    assert pairs(made) == []
    assert [(one.serial, one.ending, one.proxy) for one in outcomes(made)] == [
        (1, Ending.OK, 1),
        (2, Ending.DECLINED, 1),
    ]
    assert made.census.states == {1: PINNED}  # as of the last tick
    made.tick()
    assert (made.census.states, made.census.parked) == ({1: RETIRED}, 1)


def test_a_worker_that_leaves_its_proxy_for_a_spare_does_the_task_itself() -> None:
    made = dispatch(2, "a")
    made.withdraw([1], "off the list")
    made.submit(1, CALL)

    [start] = starts(made)

    assert (start.worker.proxy, start.declined) == (2, None)


def test_a_slow_proxy_is_swapped_before_the_next_page() -> None:
    made = dispatch(2, "a")
    made.ask_to_swap(1)
    made.submit(1, CALL)

    [start] = starts(made)

    assert start.worker.proxy == 2
    assert ("faulted", 1, "slow") in moves(made)


def test_a_proxy_that_joins_again_before_it_was_left_stays_with_its_worker() -> None:
    made = dispatch(2, "a")
    made.withdraw([1], "off the list")
    made.join([spare(1)])
    made.submit(1, CALL)

    [start] = starts(made)

    assert start.worker.proxy == 1


def test_flush_returns_the_moves_that_no_poll_has_returned_and_each_once() -> None:
    made = dispatch(2, "a")
    made.withdraw([2], "off the list")

    assert moves(made) == [("leased", 1, ""), ("withdrawn", 2, "off the list")]
    assert moves(made) == []


# Declines


@pytest.mark.parametrize("work", [PAGE._replace(avoid=(1,)), CALL._replace(avoid=(1,))], ids=["page", "call"])
def test_a_task_that_its_proxy_has_tried_is_declined(work: Assignment | Call) -> None:
    made = dispatch(2, "a")
    made.submit(1, work)

    [start] = starts(made)

    assert start.declined is not None
    assert (start.declined.ending, start.declined.proxy) == (Ending.DECLINED, 1)
    made.tick()
    assert (made.census.pacing, made.census.running) == (1, 0)


def test_it_is_exchanged_for_a_spare_that_has_not_if_the_task_asks_for_that() -> None:
    made = dispatch(3, "a")
    made.submit(1, PAGE._replace(avoid=(1, 2), exchange=True))

    [start] = starts(made)

    assert (start.declined, start.worker.proxy) == (None, 3)
    made.tick()
    assert made.census.states == {1: SPARE, 2: SPARE, 3: PINNED}


def test_no_exchange_without_such_a_spare() -> None:
    made = dispatch(2, "a")
    made.submit(1, PAGE._replace(avoid=(1, 2), exchange=True))

    [start] = starts(made)

    assert (start.declined is not None, start.worker.proxy) == (True, 1)


@pytest.mark.parametrize(
    ("before", "work", "declines"),
    [((TIMEOUT,), PAGE, True), ((None, TIMEOUT), PAGE, False), ((TIMEOUT,), CALL, False)],
    ids=["it has served nothing", "it has served a page", "a call"],
)
def test_after_a_failure_a_worker_declines_one_page(
    before: tuple[Evidence | None, ...], work: Assignment | Call, declines: bool
) -> None:
    """The parent may want another proxy for it, once it knows of the failure."""
    made = dispatch(1, "a")
    for serial, evidence in enumerate(before, 1):
        made.submit(serial, work)
        starts(made)
        answer(made, 1, evidence)

    found = []
    for serial in (8, 9):
        made.submit(serial, work)
        found += starts(made)
        answer(made, 1)

    assert [start.declined is not None for start in found] == [declines, False]


# Losses


def test_the_attempt_of_a_lost_worker_is_named_and_its_proxy_is_spare_at_once() -> None:
    made = dispatch(1, "a", "b")
    made.submit(7, CALL)
    starts(made)

    lost = made.lost(made.workers[1])
    made.submit(8, CALL)

    assert (lost, made.losses) == (7, 1)
    assert pairs(made) == [(2, 8)]
    assert made.flight == {8}


def test_the_proxy_of_a_worker_out_of_reach_is_held_back_and_handed_out_when_its_time_is_over() -> None:
    made = dispatch(1, "a", "b")
    starts(made)
    made.submit(1, CALL)

    made.lost(made.workers[1], hold=17.0)

    assert pairs(made) == []
    clock_of(made).advance(16.9)
    assert pairs(made) == []
    clock_of(made).advance(0.1)
    assert pairs(made) == [(2, 1)]


def test_a_proxy_that_is_held_back_is_not_exchanged_for_either() -> None:
    made = dispatch(2, "a", "b")
    made.lost(made.workers[2], hold=17.0)
    made.submit(1, PAGE._replace(avoid=(1,), exchange=True))

    [start] = starts(made)

    assert (start.declined is not None, start.worker.proxy) == (True, 1)


def test_a_proxy_is_held_back_though_it_is_taken_off_the_list_and_put_back() -> None:
    made = dispatch(1, "a", "b")
    made.withdraw([1], "off the list")
    made.lost(made.workers[1], hold=17.0)
    made.join([spare(1)])
    made.submit(1, CALL)

    assert pairs(made) == []
    clock_of(made).advance(17.0)
    assert pairs(made) == [(2, 1)]


@pytest.mark.parametrize("is_parked", [False, True], ids=["idle", "parked"])
def test_a_worker_that_is_lost_without_a_task_gets_none(is_parked: bool) -> None:
    made = dispatch(0 if is_parked else 1, "a")

    assert made.lost(made.workers[1]) == 0
    made.join([spare(2)])
    made.submit(1, CALL)

    assert pairs(made) == []
    made.tick()
    assert (made.census.workers, made.census.losses) == (0, 1)
